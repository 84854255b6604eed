"""AWS's models as plain values."""

from __future__ import annotations

import itertools
import re

import pytest

from eventrouter.api.protocol import models
from eventrouter.api.protocol.models import Kind, Location, compile_pattern, service_model

SERVICES = ["lambda", "sqs", "logs"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_of_the_services_compiles(name: str) -> None:
    service = service_model(name)

    for operation in service.operation_names:
        assert service.operation(operation).name == operation


def test_an_unknown_operation_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        service_model("lambda").operation("Nope")


def test_members_know_where_they_travel() -> None:
    invoke = service_model("lambda").operation("Invoke").input
    assert invoke is not None

    locations = {name: member.location for name, member in invoke.members.items()}

    assert locations["FunctionName"] is Location.URI
    assert locations["Qualifier"] is Location.QUERY
    assert locations["InvocationType"] is Location.HEADER
    assert locations["Payload"] is Location.PAYLOAD


def test_a_shape_may_contain_itself() -> None:
    value = service_model("dynamodb").operation("PutItem").input
    assert value is not None
    attribute = value.members["Item"].shape.value
    assert attribute is not None

    assert attribute.members["L"].shape.item is attribute
    assert attribute.kind is Kind.STRUCTURE


def test_errors_know_their_status_and_how_they_spell_the_message() -> None:
    errors = service_model("lambda").errors

    assert errors["ResourceNotFoundException"].status == 404
    assert errors["ResourceNotFoundException"].message_member == "Message"
    assert errors["TooManyRequestsException"].message_member == "message"
    assert errors["TooManyRequestsException"].headers == {"retryAfterSeconds": "Retry-After"}
    assert service_model("apigatewayv2").errors["NotFoundException"].message_member == "message"


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "équipe 日本\u00a0①_.:/=+-@", "no#hash"),
        (r"[\w-_]*", "a-b_c", "a b"),
        (r"[0-9A-Za-z\.\-_]*(?<!\.)", "bucket", "bucket."),
    ],
)
def test_java_s_patterns_are_understood(pattern: str, yes: str, no: str) -> None:
    assert compile_pattern(pattern).fullmatch(yes)
    assert not compile_pattern(pattern).fullmatch(no)


def test_a_pattern_that_could_be_kept_busy_is_matched_by_one_that_matches_the_same() -> None:
    [original] = models._UNAMBIGUOUS
    texts = ["".join(text) for length in range(6) for text in itertools.product(" \ta\n~", repeat=length)]

    found = [models.compile_pattern(original).fullmatch(text) is not None for text in texts]

    assert found == [re.fullmatch(original, text) is not None for text in texts]
    assert models.compile_pattern(original).fullmatch(" " * 10_000 + "\n\n") is None
