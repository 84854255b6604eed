"""Functions written as the documentation of Powertools writes them, and what they note of their runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.accounts import Account, Notes
from tests.e2e.nodes import wait_until

TOLD = """
import json, os, time

def note(name, value):
    with open(os.path.join(os.environ["NOTES"], name), "a") as file:
        file.write(json.dumps(value) + "\\n")

def count(name):
    path = os.path.join(os.environ["NOTES"], name)
    return len(open(path).readlines()) if os.path.exists(path) else 0

def wait_for_file(name):
    deadline = time.monotonic() + 20
    while not os.path.exists(os.path.join(os.environ["NOTES"], name)):
        assert time.monotonic() < deadline, "waited in vain for " + name
        time.sleep(0.01)

def process(value):
    '''Note what is processed; fail for what says so: `bad` always, `once` the first time.'''
    note("processed", value)
    if value.startswith("bad"):
        raise ValueError(value)
    if value.startswith("once") and count("failed") == 0:
        note("failed", value)
        raise ValueError(value)
    return value
"""
"""A module `told` of every function: how it notes what it does in files of the folder `NOTES`."""


@dataclass(frozen=True, slots=True)
class Functions:
    """Makes functions of one account, which all note in one folder."""

    account: Account
    notes: Notes
    tables_url: str

    def make(self, source: str, **settings: Any) -> str:
        """Create a function of module `app` and return its name once it is active."""
        variables = {
            "NOTES": self.notes.path,
            "AWS_ENDPOINT_URL_DYNAMODB": self.tables_url,
            "POWERTOOLS_SERVICE_NAME": "shop",
            "POWERTOOLS_METRICS_NAMESPACE": "Shop",
            **settings.pop("variables", {}),
        }
        return self.account.function(
            {"app.py": source, "told.py": TOLD}, **{"Environment": {"Variables": variables}, "Timeout": 10, **settings}
        )

    def noted(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.notes.lines(name)]

    def wait_noted(self, name: str, count: int) -> list[Any]:
        """Return what was noted under a name, once there are so many notes."""
        wait_until(f"{count} notes of {name}", lambda: len(self.noted(name)) >= count)
        return self.noted(name)

    def map(self, source_arn: str, function: str, **settings: Any) -> str:
        """Map a source to a function, which reports what failed; return the mapping's UUID once it is enabled."""
        lambda_ = self.account.lambda_
        answer = lambda_.create_event_source_mapping(
            EventSourceArn=source_arn,
            FunctionName=function,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            **settings,
        )
        uuid = str(answer["UUID"])
        wait_until(f"{uuid} to be enabled", lambda: lambda_.get_event_source_mapping(UUID=uuid)["State"] == "Enabled")
        return uuid
