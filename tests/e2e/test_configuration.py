"""What the settings of a function do to its runs, set at its creation and by an update."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.accounts import GATED, RUNTIME, Account, Notes
from tests.e2e.nodes import wait_until

LEVELS = """
import logging

def handler(event, context):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(), level)(level)
"""


def _update(account: Account, name: str, **settings: Any) -> None:
    account.lambda_.update_function_configuration(FunctionName=name, **settings)
    account.wait_active(name)


def test_the_memory_size_bounds_what_a_run_may_hold(account: Account) -> None:
    source = (
        "import time\ndef handler(seconds, context):\n"
        "    held = b'x' * (400 << 20)\n    time.sleep(seconds)\n    return len(held)\n"
    )
    name = account.function(source, MemorySize=128, Timeout=30)

    assert account.invoke(name, 25).json["errorType"] == "Runtime.ExitError"

    _update(account, name, MemorySize=1024)
    assert account.invoke(name, 1).json == 400 << 20


def test_the_timeout_bounds_how_long_a_run_may_take(account: Account) -> None:
    source = "import time\ndef handler(event, context):\n    time.sleep(1.2)\n    return 'slept'\n"
    name = account.function(source, Timeout=1)

    assert account.invoke(name, {}).json["errorType"] == "Sandbox.Timedout"

    _update(account, name, Timeout=20)
    assert account.invoke(name, {}).json == "slept"


def test_the_handler_is_the_function_that_is_called(account: Account) -> None:
    source = "def handler(event, context):\n    return 1\ndef other(event, context):\n    return 2\n"
    name = account.function(source)
    assert account.invoke(name, {}).json == 1

    _update(account, name, Handler="app.other")

    assert account.invoke(name, {}).json == 2


def test_the_runtime_is_what_a_run_finds_itself_on(account: Account) -> None:
    source = "import os\ndef handler(event, context):\n    return os.environ['AWS_EXECUTION_ENV']\n"
    name = account.function(source)
    assert account.invoke(name, {}).json == f"AWS_Lambda_{RUNTIME}"

    _update(account, name, Runtime="python3.15")

    assert account.invoke(name, {}).json == "AWS_Lambda_python3.15"


def test_the_application_log_level_leaves_out_what_is_below_it(account: Account) -> None:
    name = account.function(LEVELS, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"})
    assert _logged(account, name, "level") == ["WARNING", "ERROR"]

    _update(account, name, LoggingConfig={"ApplicationLogLevel": "DEBUG"})

    assert _logged(account, name, "level") == ["DEBUG", "INFO", "WARNING", "ERROR"]


def test_the_system_log_level_leaves_out_the_platform_s_records_below_it(account: Account) -> None:
    name = account.function(LEVELS, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "WARN"})
    assert _logged(account, name, "type") == []

    _update(account, name, LoggingConfig={"SystemLogLevel": "DEBUG"})

    assert _logged(account, name, "type") == ["platform.start", "platform.runtimeDone", "platform.report"]


def _logged(account: Account, name: str, member: str) -> list[str]:
    """Return `member` of every JSON line of one run that has it."""
    lines = account.invoke(name, {}, LogType="Tail").log.splitlines()
    return [record[member] for record in map(json.loads, lines) if member in record]


def test_the_log_group_takes_the_lines_of_every_function_that_names_it(account: Account) -> None:
    group = "/teams/orders"
    source = "def handler(event, context):\n    print('from', context.log_group_name)\n"
    names = [account.function(source, LoggingConfig={"LogGroup": group}) for _ in range(2)]

    for name in names:
        account.invoke(name, {})

    def groups() -> list[str]:
        return [found["logGroupName"] for found in account.logs.describe_log_groups()["logGroups"]]

    def printed() -> list[str]:
        events = account.logs.filter_log_events(logGroupName=group, filterPattern="from")["events"]
        return [event["message"] for event in events]

    wait_until("both lines", lambda: groups() == [group] and printed() == [f"from {group}\n"] * 2)


def test_each_invocation_type_runs_the_function_now_later_or_not_at_all(account: Account, notes: Notes) -> None:
    name = account.function(GATED)
    event = {"notes": notes.path, "open": True}

    assert account.invoke(name, event, InvocationType="DryRun").status == 204
    waited_for = account.invoke(name, event, InvocationType="RequestResponse")
    queued = account.invoke(name, event, InvocationType="Event")

    assert (waited_for.status, waited_for.json) == (200, "through")
    assert (queued.status, queued.body) == (202, b"")
    wait_until("the event's run", lambda: notes.lines("ended") == [waited_for.request_id, queued.request_id])
