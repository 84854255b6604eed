"""Whatever the model allows, and some that it does not: SQS and CloudWatch Logs answer without a fault of their own."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventrouter.api.applied import served_apis
from eventrouter.api.protocol.models import Kind, Shape, service_model
from tests.e2e.nodes import NodeProcess

OPERATIONS = [
    (api.service, operation)
    for api in served_apis()
    if service_model(api.service).protocol == "json"
    for operation in sorted(api.members)
]
TEXTS = st.sampled_from(
    ["", "q", "All", "../", "a" * 300, "\0", "ä", "0", "-1", "$LATEST", "http://h/000000000000/q", "http://[h/0/q",
     "http://h]/0/q", "//", "/aws/lambda/f", "arn:aws:sqs:us-east-1:000000000000:q", "{ $.a = 1 }", "f/0-0-0", "%x%"]
)  # fmt: skip
NUMBERS = st.sampled_from([0, 1, 10, -1, 2**31, 2**63, 10**30, 1.5])
ODD = st.sampled_from([None, True, [], {}, [None], {"a": None}, "x", 7])


@pytest.fixture(scope="module")
def connection(adapter_node: NodeProcess) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", adapter_node.port, timeout=30)
    yield connection
    connection.close()


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Return JSON that a shape allows, with something odd in its place now and then; long polls are left out."""
    return st.integers(0, 19).flatmap(lambda chance: ODD if chance == 0 else _allowed(shape))


def _allowed(shape: Shape) -> st.SearchStrategy[Any]:
    match shape.kind:
        case Kind.STRUCTURE:
            members = [member for member in shape.members.values() if member.name != "WaitTimeSeconds"]
            return st.fixed_dictionaries(
                {member.wire_name: values(member.shape) for member in members if member.required},
                optional={member.wire_name: values(member.shape) for member in members if not member.required},
            )
        case Kind.LIST if shape.item is not None:
            return st.lists(values(shape.item), max_size=3)
        case Kind.MAP if shape.value is not None:
            return st.dictionaries(TEXTS, values(shape.value), max_size=2)
        case Kind.INTEGER | Kind.FLOAT | Kind.TIMESTAMP:
            return NUMBERS
        case Kind.BOOLEAN:
            return st.booleans()
    return st.one_of(st.sampled_from(shape.enum), TEXTS) if shape.enum else TEXTS


@pytest.mark.property
@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_members_are_answered(
    connection: http.client.HTTPConnection, service: str, operation: str, data: st.DataObject
) -> None:
    model = service_model(service)
    shape = model.operation(operation).input
    assert shape is not None
    body = json.dumps(data.draw(values(shape)))

    connection.request("POST", "/", body=body, headers={"X-Amz-Target": f"{model.target_prefix}.{operation}"})
    answer = connection.getresponse()

    refusal = answer.read()
    assert answer.status < 500, (answer.status, body, refusal)
    assert answer.headers["x-amzn-requestid"]
