"""EventBridge's rules spoken by unmodified boto3, on a real node."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from tests.e2e.accounts import Account

pytestmark = pytest.mark.conformance


def test_a_rule_lives_from_put_to_delete(account: Account) -> None:
    events = account.client("events")
    queue = account.queue()
    put = events.put_rule(
        Name="nightly", ScheduleExpression="cron(0 2 ? * SAT#3 *)", Description="d", Tags=[{"Key": "a", "Value": "b"}]
    )
    events.put_targets(Rule="nightly", Targets=[{"Id": "1", "Arn": queue.arn}])
    events.disable_rule(Name="nightly")

    described = events.describe_rule(Name="nightly")
    [target] = events.list_targets_by_rule(Rule="nightly")["Targets"]
    assert put["RuleArn"] == f"arn:aws:events:us-east-1:{account.id}:rule/nightly"
    assert {name: described[name] for name in ("Name", "State", "ScheduleExpression", "Description")} == {
        "Name": "nightly",
        "State": "DISABLED",
        "ScheduleExpression": "cron(0 2 ? * SAT#3 *)",
        "Description": "d",
    }
    assert target == {"Id": "1", "Arn": queue.arn}
    assert events.list_rule_names_by_target(TargetArn=queue.arn)["RuleNames"] == ["nightly"]
    assert events.list_tags_for_resource(ResourceARN=put["RuleArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    with pytest.raises(ClientError, match="Rule can't be deleted since it has targets."):
        events.delete_rule(Name="nightly")
    assert events.remove_targets(Rule="nightly", Ids=["1"])["FailedEntryCount"] == 0
    events.delete_rule(Name="nightly")
    with pytest.raises(events.exceptions.ResourceNotFoundException) as missing:
        events.describe_rule(Name="nightly")
    assert missing.value.response["Error"]["Message"] == "Rule nightly does not exist on EventBus default."


def test_errors_are_those_of_eventbridge(account: Account) -> None:
    events = account.client("events")
    with pytest.raises(ClientError) as expression:
        events.put_rule(Name="n", ScheduleExpression="rate(1 minutes)")
    with pytest.raises(ClientError) as name:
        events.put_rule(Name="a b", ScheduleExpression="rate(1 minute)")
    with pytest.raises(ClientError) as pattern:
        events.put_rule(Name="n", EventPattern="{}")
    with pytest.raises(ClientError) as not_served:
        events.put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}])
    events.put_rule(Name="n", ScheduleExpression="rate(1 day)", State="DISABLED")
    target = {"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:{account.id}:q"}
    with pytest.raises(ClientError) as retries:
        events.put_targets(Rule="n", Targets=[{**target, "RetryPolicy": {"MaximumRetryAttempts": 186}}])
    with pytest.raises(events.exceptions.LimitExceededException):
        events.put_targets(Rule="n", Targets=[{**target, "Id": str(number)} for number in range(6)])

    assert expression.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "Parameter ScheduleExpression is not valid.",
    }
    assert name.value.response["Error"]["Code"] == "ValidationException"
    assert "EventPattern of PutRule is not supported" in pattern.value.response["Error"]["Message"]
    assert not_served.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "186" in retries.value.response["Error"]["Message"]


def test_a_rule_fires_within_its_minute(account: Account) -> None:
    events = account.client("events")
    queue, dead, done = account.queue(), account.queue(), account.queue()
    function = account.function("def handler(event, context):\n    return context.aws_request_id")
    account.lambda_.put_function_event_invoke_config(
        FunctionName=function, DestinationConfig={"OnSuccess": {"Destination": done.arn}}
    )
    function_arn = f"arn:aws:lambda:us-east-1:{account.id}:function:{function}"
    events.put_rule(Name="each-minute", ScheduleExpression="cron(* * * * ? *)")
    rule = f"arn:aws:events:us-east-1:{account.id}:rule/each-minute"
    missing = f"arn:aws:lambda:us-east-1:{account.id}:function:missing"
    events.put_targets(
        Rule="each-minute",
        Targets=[
            {"Id": "event", "Arn": queue.arn},
            {"Id": "function", "Arn": function_arn, "Input": '{"job": 1}'},
            {"Id": "missing", "Arn": missing, "DeadLetterConfig": {"Arn": dead.arn}},
        ],
    )

    event, letter, record = {}, {}, {}
    for _ in range(4):  # a receive waits for 20 s at most
        messages = queue.sqs.receive_message(QueueUrl=queue.url, WaitTimeSeconds=20).get("Messages")
        if messages:
            event = json.loads(messages[0]["Body"])
            letter = dead.receive()
            record = json.loads(done.receive()["Body"])
            break
    events.disable_rule(Name="each-minute")

    at = datetime.fromisoformat(event["time"])
    assert at.second == 0
    assert 0 <= (datetime.now(UTC) - at).total_seconds() < 60
    assert list(event) == [
        *("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
    ]
    assert event["resources"] == [rule]
    assert record["requestPayload"] == {"job": 1}
    assert record["responsePayload"] == record["requestContext"]["requestId"]
    assert json.loads(letter["Body"]) == event
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["RULE_ARN"] == rule
    assert attributes["TARGET_ARN"] == missing
    assert attributes["ERROR_CODE"] == "NO_RESOURCE"
