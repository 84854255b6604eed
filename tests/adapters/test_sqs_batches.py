"""Batch operations: what fails as a whole, what fails alone. lambda-semantics §8.3, §8.7."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.adapters.queue_steps import receive, texts
from tests.adapters.world import World, play, refused

pytestmark = pytest.mark.integration

Entries = list[dict[str, Any]]

ID_TEXT = (
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
    "It can be at most 80 letters long."
)
OPERATIONS = {
    "SendMessageBatch": ("SendMessageBatchRequestEntry", {"MessageBody": "x"}),
    "DeleteMessageBatch": ("DeleteMessageBatchRequestEntry", {"ReceiptHandle": "x"}),
    "ChangeMessageVisibilityBatch": (
        "ChangeMessageVisibilityBatchRequestEntry",
        {"ReceiptHandle": "x", "VisibilityTimeout": 1},
    ),
}


def test_messages_are_sent_entry_by_entry() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs", MaximumMessageSize="1024")
        text = {"DataType": "String", "StringValue": "Bar"}
        entries = [
            {"Id": "good", "MessageBody": "hello", "MessageAttributes": {"Foo": text}},
            {"Id": "long", "MessageBody": "x" * 1_025},
            {"Id": "empty", "MessageBody": ""},
            {"Id": "odd", "MessageBody": "\x01"},
            {"Id": "attribute", "MessageBody": "x", "MessageAttributes": {"AWS.x": text}},
            {"Id": "late", "MessageBody": "later", "DelaySeconds": 10},
        ]

        answer = await world.sqs("SendMessageBatch", QueueUrl=url, Entries=entries)
        now = await receive(world, url)

        [good, late] = answer["Successful"]
        assert good == {
            "Id": "good",
            "MessageId": now[0]["MessageId"],
            "MD5OfMessageBody": hashlib.md5(b"hello").hexdigest(),
            "MD5OfMessageAttributes": "ae7155c6026991b6d54b11589678bf9c",
        }
        assert late["Id"] == "late"
        failed = {entry["Id"]: entry for entry in answer["Failed"]}
        assert failed["long"] == {
            "Id": "long",
            "Code": "InvalidParameterValue",
            "Message": ("One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes."),
            "SenderFault": True,
        }
        assert (failed["empty"]["Code"], failed["odd"]["Code"]) == ("MissingParameter", "InvalidMessageContents")
        assert failed["attribute"]["Code"] == "InvalidParameterValue"
        assert texts(now) == ["hello"]
        await world.clock.sleep(10)
        assert texts(await receive(world, url)) == ["later"]

    play(scenario)


def test_a_batch_in_which_all_fails_is_answered() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        wrong = [{"Id": "a", "MessageBody": ""}]

        answer = await world.sqs("SendMessageBatch", QueueUrl=url, Entries=wrong)

        assert answer.keys() == {"Failed"}
        nowhere = await refused(world.sqs("SendMessageBatch", QueueUrl="none", Entries=wrong))
        assert nowhere.code == "QueueDoesNotExist"

    play(scenario)


def test_messages_are_deleted_entry_by_entry() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs", VisibilityTimeout="5")
        await world.sqs(
            "SendMessageBatch", QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(3)]
        )
        messages = await receive(world, url)
        entries = [{"Id": m["Body"], "ReceiptHandle": m["ReceiptHandle"]} for m in messages[:2]]

        answer = await world.sqs(
            "DeleteMessageBatch", QueueUrl=url, Entries=[*entries, {"Id": "x", "ReceiptHandle": "garbage"}]
        )

        assert answer["Successful"] == [{"Id": entry["Id"]} for entry in entries]
        assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("x", "ReceiptHandleIsInvalid")]
        await world.clock.sleep(5)
        assert texts(await receive(world, url)) == [messages[2]["Body"]]

    play(scenario)


def test_visibility_is_changed_entry_by_entry() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        await world.sqs(
            "SendMessageBatch", QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(3)]
        )
        handles = {m["Body"]: m["ReceiptHandle"] for m in await receive(world, url)}
        entries: Entries = [
            {"Id": "now", "ReceiptHandle": handles["0"], "VisibilityTimeout": 0},
            {"Id": "far", "ReceiptHandle": handles["1"], "VisibilityTimeout": 43_201},
            {"Id": "odd", "ReceiptHandle": "garbage", "VisibilityTimeout": 1},
            {"Id": "soon", "ReceiptHandle": handles["2"], "VisibilityTimeout": 5},
        ]

        answer = await world.sqs("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=entries)

        assert answer["Successful"] == [{"Id": "now"}, {"Id": "soon"}]
        assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [
            ("far", "InvalidParameterValue"),
            ("odd", "ReceiptHandleIsInvalid"),
        ]
        assert texts(await receive(world, url)) == ["0"]
        await world.clock.sleep(5)
        assert texts(await receive(world, url)) == ["2"]

    play(scenario)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_wrong_with_a_batch_as_a_whole_is_refused(operation: str) -> None:
    kind, valid = OPERATIONS[operation]
    legacy = "AWS.SimpleQueueService."
    wrong: list[tuple[Entries, str, str, str]] = [
        ([], "EmptyBatchRequest", legacy, f"There should be at least one {kind} in the request."),
        (
            [{"Id": str(n)} | valid for n in range(20)],
            "TooManyEntriesInBatchRequest",
            legacy,
            "Maximum number of entries per request are 10. You have sent 20.",
        ),
        ([{"Id": "a"} | valid, {"Id": "a"} | valid], "BatchEntryIdsNotDistinct", legacy, "Id a repeated."),
        ([{"Id": "a.b"} | valid], "InvalidBatchEntryId", legacy, ID_TEXT),
        ([{"Id": "a" * 81} | valid], "InvalidBatchEntryId", legacy, ID_TEXT),
        ([valid], "MissingRequiredParameterException", "", f"The request must contain the parameter {kind}.1.Id."),
        (
            [{"Id": "a"} | valid, {"Id": "b"}],
            "MissingRequiredParameterException",
            "",
            f"The request must contain the parameter {kind}.2.{next(iter(valid))}.",
        ),
    ]

    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        for entries, code, prefix, message in wrong:
            error = await refused(world.sqs(operation, QueueUrl=url, Entries=entries))
            assert (error.code, error.message) == (code, message)
            query_code = "MissingParameter" if code.startswith("Missing") else f"{prefix}{code}"
            assert error.headers["x-amzn-query-error"] == f"{query_code};Sender"

    play(scenario)


def test_a_batch_holds_a_megabyte() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        entries = [{"Id": str(n), "MessageBody": "x" * 524_288} for n in range(2)]

        assert len((await world.sqs("SendMessageBatch", QueueUrl=url, Entries=entries))["Successful"]) == 2
        entries[1]["MessageBody"] += "x"
        error = await refused(world.sqs("SendMessageBatch", QueueUrl=url, Entries=entries))

        assert error.code == "BatchRequestTooLong"
        assert error.message == ("Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.")

    play(scenario)


def test_a_batch_of_garbage_is_answered() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        garbage = [{"Id": "a", "ReceiptHandle": "garbage", "VisibilityTimeout": 1}]

        for operation in ("DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
            answer = await world.sqs(operation, QueueUrl=url, Entries=garbage)
            assert [entry["Code"] for entry in answer["Failed"]] == ["ReceiptHandleIsInvalid"]

    play(scenario)


def test_garbage_for_a_queue_that_is_not_there_is_told_of_the_queue() -> None:
    async def scenario(world: World) -> None:
        garbage = {"ReceiptHandle": "garbage", "VisibilityTimeout": 1}

        for operation in ("DeleteMessage", "ChangeMessageVisibility"):
            one = await refused(world.sqs(operation, QueueUrl="none", **garbage))
            many = await refused(world.sqs(f"{operation}Batch", QueueUrl="none", Entries=[{"Id": "a", **garbage}]))
            assert one.code == many.code == "QueueDoesNotExist"

    play(scenario)
