"""CloudWatch Logs spoken by unmodified boto3, on what a function really logged."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.e2e.accounts import Account
from tests.e2e.nodes import wait_until

pytestmark = pytest.mark.conformance

SOURCE = """
import json

def handler(event, context):
    print(json.dumps({"level": event["level"], "ms": 5}))
"""


def test_what_a_function_logged_is_read_in_every_way(account: Account) -> None:
    name = account.function(SOURCE)
    ids = [account.invoke(name, {"level": level}).request_id for level in ("info", "error")]
    logs, group = account.logs, f"/aws/lambda/{name}"

    def reports() -> bool:
        try:
            found = logs.filter_log_events(logGroupName=group, filterPattern="REPORT")
        except logs.exceptions.ResourceNotFoundException:
            return False
        return len(found["events"]) == 2

    wait_until("both reports to be stored", reports)
    [stream] = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"]
    read = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 3})
    by_json = logs.filter_log_events(logGroupName=group, filterPattern='{ $.level = "error" && $.ms = 5 }')
    again = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], nextToken=read["nextForwardToken"]
    )

    whole = [event["message"] for event in read["events"]]
    assert [event["message"] for page in pages for event in page["events"]] == whole
    assert sum(ids[0] in message for message in whole) >= 3
    assert [event["message"].strip() for event in by_json["events"]] == ['{"level": "error", "ms": 5}']
    assert again["events"] == []
    assert again["nextForwardToken"] == read["nextForwardToken"]
    assert [found["logGroupName"] for found in logs.describe_log_groups()["logGroups"]] == [group]


def test_errors_are_those_of_cloudwatch_logs(account: Account) -> None:
    with pytest.raises(account.logs.exceptions.ResourceNotFoundException) as missing:
        account.logs.get_log_events(logGroupName="/none", logStreamName="s")
    with pytest.raises(ClientError) as invalid:
        account.logs.filter_log_events(logGroupName="/none", limit=10_001)

    assert missing.value.response["Error"]["Message"] == "The specified log group does not exist."
    assert invalid.value.response["Error"]["Code"] == "InvalidParameterException"
