"""The operations of a node in this process: with the door's checks, without its HTTP."""

import asyncio
from datetime import UTC, datetime

import pytest

from eventrouter.errors import RequestError
from eventrouter.ports import ServiceApi
from eventrouter.project.api import ApiError, NodeApi

pytestmark = pytest.mark.unit


class Node:
    """Serves two operations that answer with what they were called with."""

    url = "http://127.0.0.1:4566"

    def __init__(self):
        self.seen = []
        self.services = {
            "lambda": ServiceApi(
                service="lambda",
                operations={"CreateFunction": self.answer, "DeleteFunction": self.refuse, "TagResource": self.answer},
            ),
            "kinesis": ServiceApi(service="kinesis", operations={"GetShardIterator": self.answer}),
        }

    async def answer(self, caller, values):
        self.seen.append((caller, values))
        return {"Got": values}

    async def refuse(self, caller, values):
        raise RequestError("ResourceNotFoundException", "no such function")


FUNCTION = {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/any", "Code": {"ZipFile": b"zip"}}


def call(node, service, operation, **members):
    return asyncio.run(NodeApi(node, account="123456789012", region="eu-west-1").call(service, operation, members))


def test_members_pass_as_boto3_takes_them():
    node = Node()

    answer = call(node, "lambda", "CreateFunction", **FUNCTION, Timeout=3, Environment={"Variables": {"AA": "1"}})

    [(caller, values)] = node.seen
    assert (caller.account, caller.region, caller.base_url) == ("123456789012", "eu-west-1", node.url)
    assert values == {**FUNCTION, "Timeout": 3, "Environment": {"Variables": {"AA": "1"}}}
    assert answer == {"Got": values}


def test_members_that_travel_in_paths_are_members_like_others():
    node = Node()

    call(node, "lambda", "TagResource", Resource="arn:aws:lambda:us-east-1:000000000000:function:f", Tags={"a": "b"})

    assert node.seen[0][1]["Resource"].endswith("function:f")


def test_texts_are_bytes_and_times_are_seconds_where_the_model_says_so():
    node = Node()

    call(node, "lambda", "CreateFunction", **{**FUNCTION, "Code": {"ZipFile": "zip"}}, Description=None)
    at = datetime(2026, 1, 31, tzinfo=UTC)
    members = {"StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at}
    call(node, "kinesis", "GetShardIterator", **members)

    assert node.seen[0][1]["Code"] == {"ZipFile": b"zip"}
    assert "Description" not in node.seen[0][1]
    assert node.seen[1][1]["Timestamp"] == at.timestamp()


@pytest.mark.parametrize(
    ("service", "operation", "members", "code", "told"),
    [
        (
            "lambda",
            "CreateFunction",
            {**FUNCTION, "Timout": 3},
            "ParamValidation",
            "Unknown parameter in input: 'Timout'",
        ),
        ("lambda", "CreateFunction", {**FUNCTION, "Timeout": 0}, "ValidationException", "Value '0' at 'timeout'"),
        ("lambda", "CreateFunction", {**FUNCTION, "Timeout": "3s"}, "SerializationException", "can not be converted"),
        ("lambda", "CreateFunction", {**FUNCTION, "Code": []}, "SerializationException", "expected a structure"),
        ("lambda", "DeleteFunction", {"FunctionName": "f"}, "ResourceNotFoundException", "no such function"),
        (
            "lambda",
            "PublishVersion",
            {"FunctionName": "f"},
            "UnsupportedOperationException",
            "PublishVersion of lambda",
        ),
        ("ec2", "RunInstances", {}, "UnsupportedOperationException", "RunInstances of ec2"),
    ],
)
def test_what_is_refused_has_its_code_and_message(service, operation, members, code, told):
    with pytest.raises(ApiError) as refused:
        call(Node(), service, operation, **members)

    assert refused.value.code == code
    assert told in refused.value.message
