"""The event of an HTTP request, in both payload formats."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.http_api import HttpApi, HttpRoute
from eventrouter.rules.http_event import HttpRequest, http_event
from eventrouter.rules.http_route import RouteTable

pytestmark = pytest.mark.unit

API = HttpApi(id="abc123def4", account="123456789012", region="us-east-1", name="shop")
AT_MS = 1_583_348_638_390


def a_request(method: str = "GET", path: str = "/my/path", **changes: Any) -> HttpRequest:
    plain: dict[str, Any] = {
        "domain": "abc123def4.execute-api.us-east-1.amazonaws.com",
        "port": 443,
        "scheme": "https",
        "source_ip": "1.2.3.4",
        "id": "11111111-2222-3333-4444-555555555555",
        "trace": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
        "at_ms": AT_MS,
    }
    return HttpRequest(method=method, path=path, **{**plain, **changes})


def event_of(request: HttpRequest, *, key: str = "$default", payload_format: str = "2.0") -> dict[str, Any]:
    match = RouteTable([HttpRoute(id="r", key=key)]).find(request.method, request.path)
    assert match is not None
    event: dict[str, Any] = json.loads(http_event(request, API, match, payload_format))
    return event


def test_an_event_of_format_2_is_aws_s_member_for_member() -> None:
    request = a_request(
        "POST",
        "/my/a%20b",
        query="a=1&a=2&b=%C3%A4&c=",
        headers=(
            ("Host", "abc123def4.execute-api.us-east-1.amazonaws.com"),
            ("User-Agent", "agent"),
            ("X-Two", "v1"),
            ("x-two", "v2"),
            ("Cookie", "c1=1; c2=2"),
            ("Cookie", "c3=3"),
            ("Content-Type", "application/json; charset=utf-8"),
        ),
        body=b'{"x":"\xc3\xa4"}',
    )

    event = event_of(request, key="POST /my/{p}")

    assert event == {
        "version": "2.0",
        "routeKey": "POST /my/{p}",
        "rawPath": "/my/a%20b",
        "rawQueryString": "a=1&a=2&b=%C3%A4&c=",
        "cookies": ["c1=1", "c2=2", "c3=3"],
        "headers": {
            "host": "abc123def4.execute-api.us-east-1.amazonaws.com",
            "user-agent": "agent",
            "x-two": "v1,v2",
            "content-type": "application/json; charset=utf-8",
            "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
            "x-forwarded-for": "1.2.3.4",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "queryStringParameters": {"a": "1,2", "b": "ä", "c": ""},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123def4",
            "authentication": None,
            "domainName": "abc123def4.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc123def4",
            "http": {
                "method": "POST",
                "path": "/my/a%20b",
                "protocol": "HTTP/1.1",
                "sourceIp": "1.2.3.4",
                "userAgent": "agent",
            },
            "requestId": "11111111-2222-3333-4444-555555555555",
            "routeKey": "POST /my/{p}",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": AT_MS,
        },
        "body": '{"x":"ä"}',
        "pathParameters": {"p": "a b"},
        "isBase64Encoded": False,
    }


def test_format_2_leaves_out_what_is_empty() -> None:
    event = event_of(a_request())

    assert list(event) == [
        "version",
        "routeKey",
        "rawPath",
        "rawQueryString",
        "headers",
        "requestContext",
        "isBase64Encoded",
    ]
    assert "authorizer" not in event["requestContext"]


def test_an_event_of_format_1_is_aws_s_member_for_member() -> None:
    request = a_request(
        "POST",
        "/shop//x",
        query="price=10&price=20&price=30",
        headers=(("Accept", "*/*"), ("X-Two", "v1"), ("x-two", "v2"), ("Cookie", "c1=1"), ("User-Agent", "agent")),
        body=b"{}",
    )

    event = event_of(request, key="ANY /shop/{proxy+}", payload_format="1.0")

    added = {
        "X-Amzn-Trace-Id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    assert event == {
        "version": "1.0",
        "resource": "/shop/{proxy+}",
        "path": "/shop//x",
        "httpMethod": "POST",
        "headers": {"Accept": "*/*", "X-Two": "v2", "Cookie": "c1=1", "User-Agent": "agent", **added},
        "multiValueHeaders": {
            "Accept": ["*/*"],
            "X-Two": ["v1", "v2"],
            "Cookie": ["c1=1"],
            "User-Agent": ["agent"],
            **{name: [value] for name, value in added.items()},
        },
        "queryStringParameters": {"price": "30"},
        "multiValueQueryStringParameters": {"price": ["10", "20", "30"]},
        "pathParameters": {"proxy": "/x"},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123def4",
            "deploymentId": "abc123",
            "domainName": "abc123def4.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc123def4",
            "extendedRequestId": "11111111-2222-3333-4444-555555555555",
            "httpMethod": "POST",
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": "1.2.3.4",
                "user": None,
                "userAgent": "agent",
                "userArn": None,
            },
            "path": "/shop//x",
            "protocol": "HTTP/1.1",
            "requestId": "11111111-2222-3333-4444-555555555555",
            "requestTime": "04/Mar/2020:19:03:58 +0000",
            "requestTimeEpoch": AT_MS,
            "resourceId": None,
            "resourcePath": "/shop/{proxy+}",
            "stage": "$default",
        },
        "body": "{}",
        "isBase64Encoded": False,
    }


def test_format_1_says_null_of_what_is_empty() -> None:
    event = event_of(a_request(), payload_format="1.0")

    for name in (
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "body",
    ):
        assert event[name] is None


@pytest.mark.parametrize(
    ("content_type", "body", "is_encoded"),
    [
        ("application/json", b"{}", False),
        ("application/problem+json", b"{}", False),
        ("TEXT/HTML; charset=utf-8", b"<p>", False),
        ("application/xml", b"<a/>", False),
        ("", b"plain", False),
        ("", b"\xff", True),
        ("text/plain", b"\xff", True),
        ("application/octet-stream", b"abc", True),
        ("image/png", b"\x89PNG", True),
        ("application/x-www-form-urlencoded", b"a=1", True),
        ("multipart/form-data; boundary=x", b"--x--", True),
        ("application/octet-stream", b"", False),
    ],
)
def test_what_is_not_text_travels_as_base64(content_type: str, body: bytes, is_encoded: bool) -> None:
    headers = (("content-type", content_type),) if content_type else ()
    for payload_format in ("1.0", "2.0"):
        event = event_of(a_request("POST", headers=headers, body=body), payload_format=payload_format)
        expected = (base64.b64encode(body).decode() if is_encoded else body.decode()) or None
        assert (event.get("body"), event["isBase64Encoded"]) == (expected, is_encoded)


def test_a_compressed_body_is_not_text() -> None:
    headers = (("content-type", "application/json"), ("content-encoding", "gzip"))

    assert event_of(a_request("POST", headers=headers, body=b"{}"))["isBase64Encoded"]


def test_the_sender_stands_behind_the_proxies_that_the_client_names() -> None:
    headers = (("x-forwarded-for", "9.9.9.9"), ("X-Forwarded-Proto", "gopher"), ("X-Amzn-Trace-Id", "Root=old"))

    found = event_of(a_request(headers=headers))["headers"]

    assert found["x-forwarded-for"] == "9.9.9.9, 1.2.3.4"
    assert found["x-forwarded-proto"] == "https"
    assert found["x-amzn-trace-id"].startswith("Root=1-5e67")


TOKENS = st.text("abcXYZ-_09", min_size=1, max_size=8)


@pytest.mark.property
@given(
    headers=st.lists(st.tuples(TOKENS, st.text(max_size=10)), max_size=5),
    query=st.text("ab=&%2+;äé", max_size=20).map(lambda text: text.encode().decode("latin-1")),
    body=st.binary(max_size=30),
    payload_format=st.sampled_from(["1.0", "2.0"]),
)
def test_every_request_has_an_event_that_carries_its_body(
    headers: list[tuple[str, str]], query: str, body: bytes, payload_format: str
) -> None:
    request = a_request("POST", headers=headers, query=query, body=body)

    event = event_of(request, payload_format=payload_format)

    text = event.get("body") or ""
    assert (base64.b64decode(text) if event["isBase64Encoded"] else text.encode()) == body
    assert {name.lower() for name, _ in headers} <= {name.lower() for name in event["headers"]}
