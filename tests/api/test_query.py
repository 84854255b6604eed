"""The query protocol: fields in, XML out. lambda-semantics §8.1."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.api.gateway import Gateway
from eventrouter.api.http import Request
from eventrouter.api.protocol.models import service_model
from eventrouter.api.protocol.query import MAXIMUM_FIELDS, QueryRouter, QueryXml
from eventrouter.api.request_ids import RequestIds
from eventrouter.errors import IntakeRefused, RequestError
from eventrouter.ports import Caller, ServiceApi
from eventrouter.settings import Settings
from tests.api.conftest import Answer, call

pytestmark = pytest.mark.unit

SQS = service_model("sqs")
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


def parse(operation: str, fields: Mapping[str, str] | bytes, *, path: str = "/", query: bytes = b"") -> dict[str, Any]:
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    headers = {name.encode(): value.encode() for name, value in FORM.items()} | {b"host": b"h:1"}
    request = Request(method="POST", path=path, query=query, headers=headers, body=body)
    return QueryXml("r-1").parse(SQS.operation(operation), request, {})


def answer(operation: str, output: Mapping[str, Any]) -> str:
    return QueryXml("r-1").answer(SQS.operation(operation), output).body.decode()


def test_lists_and_maps_are_numbered_fields() -> None:
    fields = {
        "QueueUrl": "q",
        "SendMessageBatchRequestEntry.2.Id": "b",
        "SendMessageBatchRequestEntry.10.Id": "c",
        "SendMessageBatchRequestEntry.1.Id": "a",
        "SendMessageBatchRequestEntry.1.MessageBody": "x",
        "SendMessageBatchRequestEntry.1.DelaySeconds": "5",
        "SendMessageBatchRequestEntry.1.MessageAttribute.1.Name": "n.1",
        "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType": "Binary",
        "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.BinaryValue": "AP8=",
    }

    assert parse("SendMessageBatch", fields) == {
        "QueueUrl": "q",
        "Entries": [
            {
                "Id": "a",
                "MessageBody": "x",
                "DelaySeconds": 5,
                "MessageAttributes": {"n.1": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
            },
            {"Id": "b"},
            {"Id": "c"},
        ],
    }


@pytest.mark.parametrize(
    ("operation", "fields", "members"),
    [
        ("CreateQueue", {"Attribute.1.Name": "Policy", "Attribute.1.Value": ""}, {"Attributes": {"Policy": ""}}),
        ("CreateQueue", {"Tag.1.Key": "k", "Tag.1.Value": "v"}, {"tags": {"k": "v"}}),
        ("CreateQueue", {"Attribute": "", "Tag": ""}, {"Attributes": {}, "tags": {}}),
        ("DeleteMessageBatch", {"QueueUrl": "q"}, {"QueueUrl": "q", "Entries": []}),
        ("UntagQueue", {"TagKey.1": "a", "TagKey.2": "b"}, {"TagKeys": ["a", "b"]}),
        ("AddPermission", {"AWSAccountId.1": "1", "ActionName.1": "*"}, {"AWSAccountIds": ["1"], "Actions": ["*"]}),
        ("ReceiveMessage", {"AttributeName.1": "All"}, {"AttributeNames": ["All"]}),
        ("ReceiveMessage", {"Novelty": "1", "MaxNumberOfMessages": "3"}, {"MaxNumberOfMessages": 3}),
    ],
)
def test_fields_are_named_as_old_tools_name_them(
    operation: str, fields: dict[str, str], members: dict[str, Any]
) -> None:
    assert parse(operation, fields) == members


def test_a_single_entry_needs_no_number() -> None:
    assert parse("GetQueueAttributes", {"QueueUrl": "q", "AttributeName": "All"})["AttributeNames"] == ["All"]
    assert parse("SetQueueAttributes", {"Attribute.Name": "DelaySeconds", "Attribute.Value": "5"}) == {
        "Attributes": {"DelaySeconds": "5"}
    }


def test_fields_come_from_the_url_and_the_queue_from_its_path() -> None:
    members = parse("SendMessage", b"MessageBody=b%C3%A4r+x", path="/000000000000/q", query=b"DelaySeconds=1")

    assert members == {"QueueUrl": "http://h:1/000000000000/q", "MessageBody": "bär x", "DelaySeconds": 1}
    assert parse("SendMessage", {"QueueUrl": "other"}, path="/000000000000/q") == {"QueueUrl": "other"}


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("GetQueueAttributes", b"AttributeName.x=All"),
        ("SetQueueAttributes", b"Attribute.Value=5"),
        ("GetQueueAttributes", b"AttributeName.1.2=All"),
        ("GetQueueAttributes", b"QueueUrl=q&QueueUrl.1=q"),
        ("GetQueueAttributes", b"QueueUrl.1=q&QueueUrl=q"),
        ("GetQueueAttributes", b"QueueUrl.1=q"),
        ("CreateQueue", b"Tag.1.Value=v"),
        ("CreateQueue", b"Tag.1=v"),
        ("CreateQueue", b"Tag.1.Key.x=v"),
        ("CreateQueue", b"QueueName=%FF"),
        ("CreateQueue", b"\xff=1"),
        ("CreateQueue", b".".join([b"a"] * 1_000) + b"=x"),
        ("CreateQueue", b"&".join([b"a=1"] * (MAXIMUM_FIELDS + 1))),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:30].decode("latin-1"),
)
def test_fields_that_cannot_be_read_are_refused(operation: str, body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse(operation, body)

    assert (caught.value.code, caught.value.status) == ("MalformedInput", 400)


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        parse("ReceiveMessage", {"MaxNumberOfMessages": "many"})

    assert caught.value.code == "SerializationException"


def test_an_answer_is_xml_with_the_request_s_id() -> None:
    metadata = "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata>"
    head = '<?xml version="1.0"?>'
    space = 'xmlns="http://queue.amazonaws.com/doc/2012-11-05/"'

    assert answer("DeleteMessage", {}) == f"{head}<DeleteMessageResponse {space}>{metadata}</DeleteMessageResponse>"
    assert answer("ReceiveMessage", {}) == (
        f"{head}<ReceiveMessageResponse {space}><ReceiveMessageResult/>{metadata}</ReceiveMessageResponse>"
    )
    assert "<ListQueuesResult><QueueUrl>a</QueueUrl><QueueUrl>b</QueueUrl></ListQueuesResult>" in answer(
        "ListQueues", {"QueueUrls": ["a", "b"]}
    )
    assert "<Attribute><Name>n</Name><Value>v</Value></Attribute>" in answer(
        "GetQueueAttributes", {"Attributes": {"n": "v"}}
    )
    assert "<Tag><Key>n</Key><Value/></Tag>" in answer("ListQueueTags", {"Tags": {"n": ""}})
    failed = {"Id": "a", "SenderFault": True, "Code": "c"}
    assert (
        "<BatchResultErrorEntry><Id>a</Id><SenderFault>true</SenderFault><Code>c</Code></BatchResultErrorEntry>"
        in answer("SendMessageBatch", {"Failed": [failed]})
    )
    assert "<BinaryValue>AP8=</BinaryValue>" in answer(
        "ReceiveMessage", {"Messages": [{"MessageAttributes": {"b": {"BinaryValue": b"\x00\xff"}}}]}
    )


@given(st.text())
def test_every_text_comes_back_from_xml_except_for_what_xml_cannot_hold(text: str) -> None:
    root = ET.fromstring(answer("ReceiveMessage", {"Messages": [{"Body": f"-{text}"}]}))

    body = root.find(f".//{NAMESPACE}Body")
    assert body is not None
    kept = "".join(
        character if character in "\t\n\r" or (character >= " " and character not in "\ufffe\uffff") else "\ufffd"
        for character in text
    )
    assert body.text == f"-{kept}"


class Served:
    """A gateway that serves two operations of SQS."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[Mapping[str, Any]] = []
        self.error = error

    async def list_queues(self, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append(members)
        if self.error is not None:
            raise self.error
        return {"QueueUrls": [caller.base_url]}

    def ask(
        self,
        path: str = "/",
        *,
        method: str = "POST",
        query: str = "",
        body: str = "",
        signed_for: str = "",
        **more: str,
    ) -> Answer:
        headers = {"host": "h:1", **(FORM if body else {}), **more}
        if signed_for:
            scope = f"AKID/20260101/us-east-1/{signed_for}/aws4_request"
            headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x"
        operations = {"ListQueues": self.list_queues, "GetQueueAttributes": self.list_queues}
        gateway = Gateway(
            services={"sqs": ServiceApi(service="sqs", operations=operations)},
            hot_invoke=None,  # type: ignore[arg-type]  # no test here invokes
            internal={},
            settings=Settings(),
            request_ids=RequestIds(Random(1)),
            log=structlog.get_logger(),
        )
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        return asyncio.run(call(gateway, method, path.encode(), raw, body.encode(), query.encode()))


@pytest.mark.parametrize(
    "request_",
    [
        {"body": "Action=ListQueues&Version=2012-11-05"},
        {"body": "Version=2012-11-05&Action=ListQueues", "signed_for": "sqs"},
        {"method": "GET", "query": "Action=ListQueues"},
        {"method": "GET", "path": "/anything", "query": "Action=ListQueues"},
    ],
)
def test_a_request_in_the_query_protocol_is_answered_in_xml(request_: dict[str, str]) -> None:
    answered = Served().ask(**request_)

    assert (answered.status, answered.headers["content-type"]) == (200, "text/xml")
    assert b"<QueueUrl>http://h:1</QueueUrl>" in answered.body
    assert answered.headers["x-amzn-requestid"].encode() in answered.body


@pytest.mark.parametrize(
    ("request_", "action"),
    [
        ({"body": "Action=FooBar"}, "FooBar"),
        ({"path": "/000000000000/q", "query": "Action=FooBar", "method": "GET"}, "FooBar"),
        ({"path": "/000000000000/q", "body": "Action=CreateQueue"}, "CreateQueue"),
        ({"path": "/queue/us-east-1/000000000000/q/", "query": "Action=ListQueues"}, "ListQueues"),
    ],
)
def test_an_action_that_is_not_valid_there_is_refused(request_: dict[str, str], action: str) -> None:
    answered = Served().ask(**request_)

    error = ET.fromstring(answered.body).find(f"{NAMESPACE}Error")
    assert error is not None
    assert answered.status == 400
    assert {part.tag.removeprefix(NAMESPACE): part.text for part in error} == {
        "Type": "Sender",
        "Code": "InvalidAction",
        "Message": f"The action {action} is not valid for this endpoint.",
        "Detail": None,
    }


def test_a_queue_asked_for_nothing_knows_no_operation() -> None:
    answered = Served().ask("/000000000000/q", method="GET")

    assert (answered.status, answered.body) == (404, b"<UnknownOperationException/>")


def test_an_operation_that_is_not_served_is_refused() -> None:
    answered = Served().ask(body="Action=PurgeQueue&QueueUrl=q")

    assert answered.status == 501
    assert b"<Code>UnsupportedOperationException</Code>" in answered.body


def test_a_missing_parameter_is_told_with_its_old_code() -> None:
    answered = Served().ask(body="Action=GetQueueAttributes")

    assert answered.status == 400
    assert b"<Code>MissingParameter</Code><Message>The request must contain the parameter QueueUrl.</Message>" in (
        answered.body
    )


@pytest.mark.parametrize(
    ("error", "status", "parts"),
    [
        (
            RequestError(
                "QueueDoesNotExist",
                "The specified queue does not exist.",
                headers={"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"},
            ),
            400,
            (
                "<Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code>"
                "<Message>The specified queue does not exist for this wsdl version.</Message>"
            ),
        ),
        (IntakeRefused("full"), 503, "<Type>Receiver</Type><Code>ServiceUnavailableException</Code>"),
        (RequestError("InvalidAddress", "<&\x00>"), 400, "<Message>&lt;&amp;\ufffd&gt;</Message>"),
    ],
)
def test_errors_are_xml(error: Exception, status: int, parts: str) -> None:
    answered = Served(error).ask(body="Action=ListQueues")

    assert answered.status == status
    assert parts in answered.body.decode()


@pytest.mark.parametrize(
    ("path", "query", "form", "signing_name", "is_found"),
    [
        ("/", b"", True, None, True),
        ("/", b"", False, None, False),
        ("/", b"Action=ListQueues", False, "sqs", True),
        ("/", b"Action=ListTopics", False, "sns", False),
        ("/", b"Reaction=1", False, None, False),
        ("/2015-03-31/nothing", b"", True, None, False),
        ("/000000000000/q", b"", False, None, True),
        ("/000000000000/q", b"", False, "s3", False),
    ],
)
def test_only_what_speaks_the_query_protocol_is_read_as_such(
    path: str, query: bytes, form: bool, signing_name: str | None, is_found: bool
) -> None:
    headers = {b"content-type": FORM["content-type"].encode()} if form else {}
    request = Request(method="POST", path=path, query=query, headers=headers)

    found = QueryRouter([SQS, service_model("lambda")]).find(request, signing_name)

    assert (found is SQS) is is_found
