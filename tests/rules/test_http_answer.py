"""What an HTTP caller is answered for a function's result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.http_answer import BAD_GATEWAY, HttpAnswer, read_answer

pytestmark = pytest.mark.unit

JSON = ("content-type", "application/json")


def answered(result: Any, payload_format: str = "1.0") -> HttpAnswer:
    return read_answer(json.dumps(result).encode(), payload_format)


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"statusCode": 200}, 200),
        ({"statusCode": "201"}, 201),
        ({"headers": {"a": "b"}}, 200),
        ({"statusCode": 200, "headers": None, "multiValueHeaders": None, "body": None}, 200),
        ({"statusCode": 204, "body": "none"}, 204),
        ({"statusCode": "test"}, 502),
        ({}, 502),
        ({"statusCode": 200, "wrongValue": "x"}, 502),
        ("text", 502),
        (["a"], 502),
        (3, 502),
        (None, 502),
        ({"statusCode": 200, "multiValueHeaders": {"a": "b"}}, 502),
        ({"statusCode": 200, "headers": ["a"]}, 502),
        ({"statusCode": 200, "headers": {"a": ["b"]}}, 502),
        ({"statusCode": 200, "headers": {"a b": "c"}}, 502),
        ({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}, 502),
        ({"statusCode": 200, "headers": {"a": "b\x1bc"}}, 502),
        ({"statusCode": 200, "headers": {"a": "b\x7fc"}}, 502),
        ({"statusCode": 200, "headers": {"a": "b\tc"}}, 200),
        ({"statusCode": 200, "body": {"a": 1}}, 502),
        ({"statusCode": 200, "body": "%", "isBase64Encoded": True}, 502),
        ({"statusCode": 99}, 502),
        ({"statusCode": 1000}, 502),
        ({"statusCode": True}, 502),
        ({"statusCode": None}, 502),
        ({"statusCode": 200.5}, 502),
    ],
)
def test_the_table_of_format_1(result: Any, status: int) -> None:
    answer = answered(result)

    assert answer.status == status
    assert (answer == BAD_GATEWAY) == (status == 502)


def test_an_answer_that_is_none_is_a_bad_gateway_s_word_for_word() -> None:
    assert (BAD_GATEWAY.status, BAD_GATEWAY.body) == (502, b'{"message": "Internal server error"}')
    assert read_answer(b"no json", "1.0") == read_answer(b"\xff", "2.0") == BAD_GATEWAY
    assert read_answer(b"[" * 100_000, "1.0") == read_answer(b"[" * 100_000, "2.0") == BAD_GATEWAY


def test_a_status_alone_is_an_empty_json_answer() -> None:
    assert answered({"statusCode": 200}) == HttpAnswer(status=200, headers=(JSON,))


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (3, "3"), (1.5, "1.5"), ("x", "x"), (None, "")]
)
def test_values_of_headers_become_text(value: Any, text: str) -> None:
    for payload_format in ("1.0", "2.0"):
        answer = answered({"statusCode": 200, "headers": {"X-Value": value}}, payload_format)
        assert dict(answer.headers)["x-value"] == text


def test_both_kinds_of_headers_are_merged_without_saying_the_same_twice() -> None:
    answer = answered(
        {
            "statusCode": 200,
            "headers": {"X-A": "1", "x-b": "3", "Content-Type": "text/plain"},
            "multiValueHeaders": {"x-a": ["1", "2"], "X-B": ["4"]},
        }
    )

    assert answer.headers == (
        ("x-a", "1"),
        ("x-a", "2"),
        ("x-b", "4"),
        ("x-b", "3"),
        ("content-type", "text/plain"),
    )


def test_headers_of_the_connection_are_not_the_function_s() -> None:
    for payload_format in ("1.0", "2.0"):
        answer = answered({"statusCode": 200, "headers": {"Content-Length": 9, "Connection": "close"}}, payload_format)
        assert answer.headers == (JSON,)


def test_a_body_in_base64_is_decoded() -> None:
    for payload_format in ("1.0", "2.0"):
        result = {"statusCode": 200, "body": "/wA=", "isBase64Encoded": True}
        assert answered(result, payload_format).body == b"\xff\x00"
        assert answered({**result, "isBase64Encoded": False}, payload_format).body == b"/wA="


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        (b'"hello"', b"hello"),
        (b"3", b"3"),
        (b"3.1", b"3.1"),
        (b"true", b"true"),
        (b"null", b"null"),
        (b'["hello", 3, true]', b'["hello",3,true]'),
        (b'{"a": {"b": [1, 2]}}', b'{"a":{"b":[1,2]}}'),
        (b'{"body": "x"}', b'{"body":"x"}'),
        (b"{}", b"{}"),
    ],
)
def test_format_2_takes_what_has_no_status_for_the_body(payload: bytes, body: bytes) -> None:
    assert read_answer(payload, "2.0") == HttpAnswer(status=200, headers=(JSON,), body=body)


def test_format_2_sets_cookies_and_ignores_what_it_does_not_know() -> None:
    result = {"statusCode": "418", "cookies": ["a=1", "b=2"], "body": "tea", "multiValueHeaders": {"a": ["b"]}, "x": 1}

    assert answered(result, "2.0") == HttpAnswer(
        status=418, headers=(("set-cookie", "a=1"), ("set-cookie", "b=2"), JSON), body=b"tea"
    )


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "test"},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "cookies": [["a"]]},
        {"statusCode": 200, "headers": "a"},
        {"statusCode": 200, "body": 7},
        {"statusCode": 200, "cookies": ["a=1\r\nset-cookie: b=2"]},
    ],
)
def test_format_2_knows_malformed_answers_too(result: Any) -> None:
    assert answered(result, "2.0") == BAD_GATEWAY


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded", "cookies", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.property
@given(ANYTHING, st.sampled_from(["1.0", "2.0"]))
def test_whatever_is_returned_there_is_an_answer_that_http_can_carry(result: Any, payload_format: str) -> None:
    answer = answered(result, payload_format)

    assert 200 <= answer.status <= 599
    for name, value in answer.headers:
        assert name == name.lower()
        assert not set("\r\n\0") & set(name + value)
        name.encode("ascii")
        value.encode()
