"""The wire protocols: members in and out, errors, routing. lambda-semantics §0, §8.1."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from eventrouter.api.http import Request
from eventrouter.api.protocol.aws_json import AwsJson, TargetRouter
from eventrouter.api.protocol.models import Kind, Member, OperationModel, Shape, service_model
from eventrouter.api.protocol.models import Location as At
from eventrouter.api.protocol.rest_json import PathRouter, RestJson
from eventrouter.api.protocol.values import format_timestamp, from_json, from_text, parse_timestamp, to_json, to_text
from eventrouter.errors import RequestError

LAMBDA = service_model("lambda")


def a_request(body: bytes = b"", *, query: bytes = b"", headers: dict[bytes, bytes] | None = None) -> Request:
    return Request(method="POST", path="/", query=query, headers=headers or {}, body=body)


def parse(operation: str, request: Request, **labels: str) -> dict[str, Any]:
    return RestJson().parse(LAMBDA.operation(operation), request, labels)


def test_members_come_from_path_query_headers_and_body() -> None:
    request = a_request(b"raw", query=b"Qualifier=a%20b", headers={b"x-amz-log-type": b"Tail"})

    assert parse("Invoke", request, FunctionName="f") == {
        "FunctionName": "f",
        "Qualifier": "a b",
        "LogType": "Tail",
        "Payload": b"raw",
    }


def test_blobs_are_base64_and_unknown_and_null_members_are_left_out() -> None:
    body = b'{"ZipFile": "UEs=", "Handler": null, "Novelty": 1, "DryRun": true}'

    assert parse("UpdateFunctionCode", a_request(body), FunctionName="f") == {
        "FunctionName": "f",
        "ZipFile": b"PK",
        "DryRun": True,
    }


def test_lists_in_queries_repeat_their_name() -> None:
    request = a_request(query=b"tagKeys=a&tagKeys=b%2Fc")

    assert parse("UntagResource", request, Resource="r")["TagKeys"] == ["a", "b/c"]


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"{", b"\xff", b'{"Description": "\\ud800"}'])
def test_a_body_that_is_no_object_of_text_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse("UpdateFunctionConfiguration", a_request(body), FunctionName="f")

    assert caught.value.code == "InvalidRequestContentException"
    assert caught.value.message.startswith("Could not parse request body into json: ")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"Timeout": "abc"}, "STRING_VALUE can not be converted to an Integer"),
        ({"Timeout": [1]}, "START_ARRAY can not be converted to an Integer"),
        ({"Handler": {}}, "START_OBJECT can not be converted to a String"),
        ({"Layers": "x"}, "Unexpected value type in payload: expected a list"),
        ({"VpcConfig": 1}, "Unexpected value type in payload: expected a structure"),
        ({"Environment": {"Variables": []}}, "Unexpected value type in payload: expected a map"),
        ({"VpcConfig": {"Ipv6AllowedForDualStack": "no"}}, "STRING_VALUE can not be converted to a Boolean"),
        ({"MemorySize": 2**70}, None),
    ],
)
def test_a_value_of_the_wrong_type_cannot_be_read(body: dict[str, Any], text: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        parse("UpdateFunctionConfiguration", a_request(json.dumps(body).encode()), FunctionName="f")

    assert caught.value.status == 400
    if text is not None:
        assert (caught.value.code, caught.value.message) == ("SerializationException", text)


def test_a_bad_blob_and_a_bad_number_cannot_be_read() -> None:
    with pytest.raises(RequestError, match="base64"):
        parse("UpdateFunctionCode", a_request(b'{"ZipFile": "%%%"}'), FunctionName="f")
    with pytest.raises(RequestError, match="can not be converted to an Integer"):
        parse("ListFunctions", a_request(query=b"MaxItems=many"))


def test_answers_carry_status_headers_and_body_members() -> None:
    deleted = RestJson().answer(LAMBDA.operation("DeleteFunction"), {"StatusCode": 204})
    shown = RestJson().answer(
        LAMBDA.operation("GetFunctionEventInvokeConfig"), {"LastModified": 1.5, "MaximumRetryAttempts": None, "X": 1}
    )

    assert (deleted.status, deleted.body) == (204, b"")
    assert (shown.status, json.loads(shown.body)) == (200, {"LastModified": 1.5})


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (RequestError("ResourceNotFoundException", "m"), 404, {"Type": "User", "Message": "m"}),
        (RequestError("ResourceConflictException", "m"), 409, {"Type": "User", "message": "m"}),
        (RequestError("ServiceException", "m"), 500, {"Type": "Service", "Message": "m"}),
        (RequestError("ValidationException", "m"), 400, {"message": "m"}),
        (RequestError("AccessDeniedException", "m", fault=None), 403, {"Message": "m"}),
        (RequestError("RequestEntityTooLargeException", "m"), 413, {"message": "m"}),
        (RequestError("SomethingNew", "m", status=418), 418, {"Type": "User", "message": "m"}),
        (
            RequestError("TooManyRequestsException", "m", members={"Reason": "R", "retryAfterSeconds": "3"}),
            429,
            {"Reason": "R", "Type": "User", "message": "m"},
        ),
    ],
)
def test_row_25_errors_are_spelt_by_the_model(error: RequestError, status: int, body: dict[str, str]) -> None:
    response = RestJson().error(LAMBDA, error, "id")

    assert (response.status, json.loads(response.body)) == (status, body)
    headers = dict(response.headers)
    assert headers[b"x-amzn-errortype"] == error.code.encode()
    assert headers.get(b"retry-after") == (b"3" if status == 429 else None)


def test_an_error_s_own_headers_are_sent_on_one_line() -> None:
    error = RequestError("ServiceException", "m", headers={"X-Note": "a\r\nSet-Cookie: b€"})

    assert (b"x-note", b"a  Set-Cookie: b?") in RestJson().error(LAMBDA, error, "id").headers


def test_json_errors_of_sqs_carry_the_query_code_too() -> None:
    sqs = service_model("sqs")

    plain = AwsJson().error(sqs, RequestError("OverLimit", "m"), "id")
    own = AwsJson().error(
        sqs, RequestError("QueueDoesNotExist", "m", headers={"x-amzn-query-error": "A.B;Sender"}), "id"
    )

    assert (plain.status, json.loads(plain.body)) == (400, {"__type": "com.amazonaws.sqs#OverLimit", "message": "m"})
    assert (b"x-amzn-query-error", b"OverLimit;Sender") in plain.headers
    assert [value for name, value in own.headers if name == b"x-amzn-query-error"] == [b"A.B;Sender"]
    assert (b"content-type", b"application/x-amz-json-1.0") in own.headers


def test_json_errors_of_logs_are_plain() -> None:
    response = AwsJson().error(service_model("logs"), RequestError("ResourceNotFoundException", "m"), "id")

    assert json.loads(response.body) == {"__type": "ResourceNotFoundException", "message": "m"}
    assert response.status == 400
    assert b"x-amzn-query-error" not in dict(response.headers)
    assert (b"content-type", b"application/x-amz-json-1.1") in response.headers


def test_json_answers_follow_the_model() -> None:
    operation = service_model("sqs").operation("ReceiveMessage")
    attribute = {"DataType": "Binary", "BinaryValue": b"\x00"}

    response = AwsJson().answer(operation, {"Messages": [{"Body": "b", "MessageAttributes": {"a": attribute}}]})
    empty = AwsJson().answer(operation, {})

    assert json.loads(response.body) == {
        "Messages": [{"Body": "b", "MessageAttributes": {"a": {"DataType": "Binary", "BinaryValue": "AA=="}}}]
    }
    assert empty.body == b"{}"


def test_paths_lead_to_operations() -> None:
    router = PathRouter([LAMBDA])

    def find(method: str, path: str, query: bytes = b"") -> tuple[str, dict[str, str]] | None:
        route = router.find(method, path, query)
        return None if route is None else (route.operation, route.labels)

    assert find("GET", "/2015-03-31/functions") == ("ListFunctions", {})
    assert find("GET", "/2015-03-31/functions/") == ("ListFunctions", {})
    assert find("GET", "/2015-03-31/functions/f%3Av1") == ("GetFunction", {"FunctionName": "f:v1"})
    assert find("PUT", "/2015-03-31/functions/f/code") == ("UpdateFunctionCode", {"FunctionName": "f"})
    assert find("GET", "/2017-03-31/tags/arn%3Aa%2Fb") == ("ListTags", {"Resource": "arn:a/b"})
    concurrency = "/2019-09-30/functions/f/provisioned-concurrency"
    found = find("GET", concurrency, b"List=ALL")
    assert found is not None
    assert found[0] == "ListProvisionedConcurrencyConfigs"
    other = find("GET", concurrency, b"Qualifier=1")
    assert other is not None
    assert other[0] == "GetProvisionedConcurrencyConfig"
    assert find("PATCH", "/2015-03-31/functions") is None
    assert find("GET", "/nowhere") is None
    assert find("GET", "/") is None


def test_every_operation_of_the_model_is_found_at_its_own_path() -> None:
    router = PathRouter([LAMBDA])

    for name in LAMBDA.operation_names:
        method, template = LAMBDA.uri_of(name)
        path, _, query = template.partition("?")
        route = router.find(method, path.replace("{", "").replace("}", ""), query.encode())
        assert route is not None
        assert route.operation == name


def test_targets_lead_to_operations() -> None:
    router = TargetRouter([service_model("sqs"), service_model("logs")])

    assert router.find("AmazonSQS.SendMessage") == ("sqs", "SendMessage")
    assert router.find("Logs_20140328.GetLogEvents") == ("logs", "GetLogEvents")
    assert router.find("Nobody.Knows") is None
    assert router.find("") is None


@pytest.mark.parametrize(
    "text", ["1767225600", "1767225600.0", "2026-01-01T00:00:00Z", "Thu, 01 Jan 2026 00:00:00 GMT", "2026-01-01"]
)
def test_timestamps_are_read_in_every_format(text: str) -> None:
    assert parse_timestamp(text) == 1_767_225_600


@pytest.mark.parametrize("value", [1e308, -1e308, 10**400, float("nan"), float("inf"), "nan", "-inf", "1e300"])
def test_a_timestamp_is_within_the_calendar(value: Any) -> None:
    operation = service_model("kinesis").operation("GetShardIterator").input
    assert operation is not None
    with pytest.raises(RequestError) as refusal:
        from_json(operation, {"Timestamp": value})
    assert refusal.value.code == "SerializationException"


def test_timestamps_are_written_in_their_shape_s_format() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    assert format_timestamp(1_767_225_600, "unixTimestamp") == 1_767_225_600
    assert format_timestamp(1_767_225_600.25, "iso8601") == "2026-01-01T00:00:00.250Z"
    shape = Shape(name="T", kind=Kind.TIMESTAMP)
    assert to_json(shape, moment) == 1_767_225_600
    assert to_text(shape, moment) == "Thu, 01 Jan 2026 00:00:00 GMT"
    with pytest.raises(RequestError):
        parse_timestamp("yesterday")


def test_text_becomes_the_value_of_its_shape() -> None:
    def read(kind: Kind, text: str) -> Any:
        return from_text(Shape(name="S", kind=kind), text)

    assert (read(Kind.INTEGER, "7"), read(Kind.FLOAT, "0.5"), read(Kind.BOOLEAN, "true")) == (7, 0.5, True)
    assert (read(Kind.STRING, "x"), read(Kind.BLOB, "x"), read(Kind.TIMESTAMP, "5")) == ("x", b"x", 5.0)
    for kind, text in ((Kind.BOOLEAN, "yes"), (Kind.INTEGER, "9" * 40), (Kind.FLOAT, "x"), (Kind.LIST, "x")):
        with pytest.raises(RequestError):
            read(kind, text)


def test_numbers_and_booleans_are_text_where_the_model_wants_text() -> None:
    shape = Shape(name="S", kind=Kind.STRING)

    assert [from_json(shape, value) for value in (1, 1.5, True, "x")] == ["1", "1.5", "true", "x"]


def test_nesting_beyond_any_model_is_refused() -> None:
    inner = Shape(name="S", kind=Kind.STRUCTURE)
    inner.members["S"] = Member(name="S", wire_name="S", shape=inner, required=False, location=At.BODY)
    value: dict[str, Any] = {}
    for _ in range(100):
        value = {"S": value}

    with pytest.raises(RequestError, match="too deeply"):
        from_json(inner, value)


def test_operations_without_input_or_output_are_simple() -> None:
    bare = OperationModel(service="lambda", name="X", method="GET", uri="/", status=200, input=None, output=None)

    assert RestJson().parse(bare, a_request(b"ignored"), {}) == {}
    assert RestJson().answer(bare, {}).status == 200
    assert AwsJson().parse(bare, a_request(b"{}"), {}) == {}
    assert AwsJson().answer(bare, {}).body == b"{}"
