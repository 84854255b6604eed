"""Whatever the model allows, and some that it does not: API Gateway and its routes answer without a fault of ours."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventrouter.api.protocol.models import Kind, Location, Shape, service_model
from eventrouter_adapters import http as adapter
from tests.e2e.nodes import NodeProcess

pytestmark = pytest.mark.property

TEXTS = st.sampled_from(["", "a", "a" * 300, "\0", "ä", "0", "-1", "$default", "GET /x", "HTTP", "AWS_PROXY", "1.0"])
NUMBERS = st.sampled_from([0, 50, -1, 2**63, 10**30, 1.5])
ODD = st.sampled_from([None, True, [], {}, [None], {"a": None}, "x", 7])


@pytest.fixture(scope="module")
def connection(adapter_node: NodeProcess) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", adapter_node.port, timeout=30)
    yield connection
    connection.close()


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Return JSON that a shape allows, with something odd in its place now and then."""
    return st.integers(0, 19).flatmap(lambda chance: ODD if chance == 0 else _allowed(shape))


def _allowed(shape: Shape) -> st.SearchStrategy[Any]:
    match shape.kind:
        case Kind.STRUCTURE:
            members = [member for member in shape.members.values() if member.location is Location.BODY]
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


@pytest.mark.parametrize("operation", sorted(adapter.MEMBERS))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_members_are_answered(connection: http.client.HTTPConnection, operation: str, data: st.DataObject) -> None:
    model = service_model(adapter.SERVICE).operation(operation)
    assert model.input is not None
    path, query = model.uri, {}
    for member in model.input.members.values():
        text = data.draw(TEXTS.filter(bool))
        if member.location is Location.URI:
            path = path.replace(f"{{{member.wire_name}}}", quote(text, safe=""))
        elif member.location is Location.QUERY:
            query[member.wire_name] = text
    body = json.dumps(data.draw(values(model.input)))

    connection.request(model.method, f"{path}?{urlencode(query)}", body=body)
    answer = connection.getresponse()

    refusal = answer.read()
    assert answer.status < 500, (answer.status, body, refusal)
    assert answer.headers["x-amzn-requestid"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PATCH"]),
    host=st.sampled_from(["localhost", "a.execute-api.localhost", ".execute-api.", "x.y.execute-api.z:1", "[::1]:9"]),
    path=st.lists(
        st.sampled_from(["_aws", "execute-api", "a", "$default", "%24default", "%", "%ff", "..", "", "orders"])
    ),
    query=st.text("a=&%ä+", max_size=8).map(lambda text: quote(text, safe="=&%+")),
    body=st.binary(max_size=20),
)
def test_any_request_is_answered(
    connection: http.client.HTTPConnection, method: str, host: str, path: list[str], query: str, body: bytes
) -> None:
    connection.request(method, f"/{'/'.join(path)}?{query}", body=body, headers={"Host": host})
    answer = connection.getresponse()

    refusal = answer.read()
    assert answer.status < 500, (answer.status, refusal)
