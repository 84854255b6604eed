"""What a message may hold, and its digests."""

from __future__ import annotations

import pytest

from eventrouter.errors import RequestError
from eventrouter_adapters.sqs import errors, messages
from eventrouter_adapters.sqs.digests import md5_of_attributes, md5_of_body
from eventrouter_adapters.sqs.messages import Extras, MessageAttribute

pytestmark = pytest.mark.unit


def test_digests_are_those_that_aws_answered() -> None:
    assert md5_of_attributes({"Foo": MessageAttribute("String", b"Bar")}) == "ae7155c6026991b6d54b11589678bf9c"
    assert md5_of_body(b"hello") == "5d41402abc4b2a76b9719d911017c592"


def test_a_digest_tells_names_types_and_values_apart_and_knows_no_order() -> None:
    one, two = MessageAttribute("String", b"1"), MessageAttribute("Binary", b"1")

    assert md5_of_attributes({"a": one, "b": two}) == md5_of_attributes({"b": two, "a": one})
    assert md5_of_attributes({"a": one}) != md5_of_attributes({"b": one})
    assert md5_of_attributes({"a": one}) != md5_of_attributes({"a": two})
    assert md5_of_attributes({"a": one}) != md5_of_attributes({"a": MessageAttribute("Number", b"1")})


def test_the_size_counts_body_and_attribute_names_types_and_values() -> None:
    attributes = {"Ünit": MessageAttribute("String", "ä".encode()), "n": MessageAttribute("Number.int", b"12")}

    assert messages.size_bytes("körper".encode(), attributes) == 7 + (5 + 6 + 2) + (1 + 10 + 2)


def test_extras_are_stored_only_where_there_are_any() -> None:
    extras = Extras(attributes={"a": MessageAttribute("Binary", b"\x00\xff")}, trace="Root=1")

    assert Extras().encode() == b""
    assert Extras.decode(b"") == Extras()
    assert Extras.decode(extras.encode()) == extras


@pytest.mark.parametrize("text", ["\t\n\r", "plain", "\ud7ff\ue000\ufffd", "\U0001f600\U0010ffff"])
def test_a_body_may_hold_every_character_that_xml_may(text: str) -> None:
    assert messages.check_body(text) == text.encode()


@pytest.mark.parametrize("text", ["\x00", "a\x0bb", "\x1f", "\ufffe", "\uffff"])
def test_a_body_with_other_characters_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as refusal:
        messages.check_body(text)

    assert (refusal.value.code, refusal.value.message) == ("InvalidMessageContents", errors.VALID_CHARACTERS)
    assert not messages.has_invalid_characters(messages.with_valid_characters(text))


def test_an_empty_body_is_a_missing_one() -> None:
    with pytest.raises(RequestError) as refusal:
        messages.check_body("")

    assert refusal.value.code == "MissingRequiredParameterException"
    assert refusal.value.message == "The request must contain the parameter MessageBody."
    assert refusal.value.headers == {"x-amzn-query-error": "MissingParameter;Sender"}


@pytest.mark.parametrize(
    ("name", "attribute", "message"),
    [
        (
            "N",
            {"DataType": "String", "StringValue": ""},
            "Message (user) attribute 'N' must contain a non-empty value of type 'String'.",
        ),
        (
            "N",
            {"DataType": "Binary", "StringValue": "text"},
            "Message (user) attribute 'N' must contain a non-empty value of type 'Binary'.",
        ),
        (
            "N",
            {"DataType": "Number", "StringValue": "many"},
            "Can't cast the value of message (user) attribute 'N' to a number.",
        ),
        ("N", {"DataType": "String", "StringValue": "\x00"}, errors.VALID_CHARACTERS),
        (
            "N",
            {"DataType": "Text", "StringValue": "x"},
            (
                "Type for parameter MessageAttributes.Attribute_name.DataType must be prefixed with "
                '"String", "Binary", or "Number", but was: Text'
            ),
        ),
        (
            "N",
            {"DataType": "String." + "x" * 250, "StringValue": "x"},
            "Message (user) attribute types must be shorter than 256 Bytes",
        ),
        (
            "n" * 257,
            {"DataType": "String", "StringValue": "x"},
            "Message (user) attribute names must be shorter than 256 Bytes",
        ),
        (
            "with space",
            {"DataType": "String", "StringValue": "x"},
            (
                "Message (user) attributes name can only contain upper and lower score characters, digits, periods, "
                "hyphens and underscores."
            ),
        ),
    ],
)
def test_a_wrong_attribute_is_refused_with_its_reason(name: str, attribute: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError) as refusal:
        messages.parse_attributes({name: attribute})

    assert refusal.value.code == "InvalidParameterValueException"
    assert refusal.value.message == message


@pytest.mark.parametrize("name", ["aws.x", "AWS.x", "Amazon.x", ".x", "x."])
def test_reserved_attribute_names_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match="reserved for internal use"):
        messages.parse_attributes({name: {"DataType": "String", "StringValue": "x"}})


@pytest.mark.parametrize("name", ["awsome", "a.b", "Amazonas", "x-1_2"])
def test_names_that_only_look_reserved_are_taken(name: str) -> None:
    assert name in messages.parse_attributes({name: {"DataType": "String.label", "StringValue": "x"}})


def test_a_message_has_ten_attributes_at_most() -> None:
    eleven = {f"n{number}": {"DataType": "Number", "StringValue": f"{number}e-3"} for number in range(11)}

    with pytest.raises(RequestError, match=r"\[11\] exceeds the allowed maximum \[10\]"):
        messages.parse_attributes(eleven)
    eleven.popitem()
    assert len(messages.parse_attributes(eleven)) == 10


def test_values_that_are_lists_are_refused() -> None:
    with pytest.raises(RequestError) as refusal:
        messages.parse_attributes({"N": {"DataType": "String", "StringListValues": ["x"]}})

    assert refusal.value.code == "UnsupportedOperation"
