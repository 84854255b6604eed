"""Whatever the model allows goes through the query protocol unchanged, both ways, by botocore's own reading of it."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.api.http import Request
from eventrouter.api.protocol.models import Kind, Shape, service_model
from eventrouter.api.protocol.query import QueryXml
from tests.adapters.query_client import old_model

pytestmark = pytest.mark.property

SQS = service_model("sqs")
TEXTS = st.text(
    st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), max_size=20
)
KEYS = st.sampled_from(["a", "Foo.bar", "All", "ä&<", "1"])


@cache
def before() -> ServiceModel:
    return ServiceModel(old_model(), "sqs")


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Return what a shape allows. Empty lists, maps and structures are not sent at all."""
    match shape.kind:
        case Kind.STRUCTURE:
            return st.fixed_dictionaries(
                {}, optional={name: values(member.shape) for name, member in shape.members.items()}
            ).filter(bool)
        case Kind.LIST if shape.item is not None:
            return st.lists(values(shape.item), min_size=1, max_size=12)
        case Kind.MAP if shape.value is not None:
            return st.dictionaries(KEYS, values(shape.value), min_size=1, max_size=3)
        case Kind.INTEGER:
            return st.integers(-(2**31), 2**31 - 1)
        case Kind.BOOLEAN:
            return st.booleans()
        case Kind.BLOB:
            return st.binary(max_size=20)
    return TEXTS


def without_what_nothing_tells_of(shape: Shape, members: dict[str, Any]) -> dict[str, Any]:
    """Return the members as read: required lists and maps that were not sent are empty."""
    read = dict(members)
    for name, member in shape.members.items():
        if member.required and member.shape.kind is Kind.LIST:
            read.setdefault(name, [])
        elif member.required and member.shape.kind is Kind.MAP:
            read.setdefault(name, {})
    return read


@pytest.mark.parametrize("operation", SQS.operation_names)
@given(data=st.data())
def test_members_that_an_old_sdk_sends_are_read(operation: str, data: st.DataObject) -> None:
    model = SQS.operation(operation)
    assert model.input is not None
    members = data.draw(values(model.input) | st.just({}))
    sent = create_serializer("query", include_validation=False).serialize_to_request(
        members, before().operation_model(operation)
    )
    headers = {b"content-type": b"application/x-www-form-urlencoded"}
    request = Request(method="POST", path="/", headers=headers, body=urlencode(sent["body"]).encode())

    read = QueryXml("r-1").parse(model, request, {})

    assert read == without_what_nothing_tells_of(model.input, members)


@pytest.mark.parametrize("operation", [name for name in SQS.operation_names if SQS.operation(name).output])
@given(data=st.data())
def test_an_answer_is_read_by_an_old_sdk(operation: str, data: st.DataObject) -> None:
    model = SQS.operation(operation)
    assert model.output is not None
    members = data.draw(values(model.output) | st.just({}))
    answer = QueryXml("r-1").answer(model, members)

    read = create_parser("query").parse(
        {"status_code": answer.status, "headers": {}, "body": answer.body},
        before().operation_model(operation).output_shape,
    )

    assert read.pop("ResponseMetadata")["RequestId"] == "r-1"
    assert read == members
