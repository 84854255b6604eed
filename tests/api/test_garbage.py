"""Whatever is sent, the door answers, and never with a fault of its own."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Account

METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
SEGMENTS = st.sampled_from(
    [
        "2015-03-31", "2017-03-31", "2019-09-25", "2017-10-31", "2014-11-13", "functions", "f", "%24LATEST", "f%3A1",
        "invocations", "code", "configuration", "concurrency", "event-invoke-config", "tags", "arn%3Aaws", "..", "%",
        "%ff", "%00", "", "{}",
    ]
)  # fmt: skip
PATHS = st.one_of(
    st.lists(SEGMENTS, max_size=6).map(lambda parts: "/" + "/".join(parts)),
    st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40).map(lambda text: "/" + text),
)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
NAMES = st.sampled_from(
    [
        "X-Amz-Target", "X-Amz-Invocation-Type", "X-Amz-Log-Type", "X-Amz-Client-Context", "X-Amzn-Trace-Id",
        "Content-Type", "Content-Length", "Host", "Authorization", "x-amzn-RequestId", "X-Amz-Tenant-Id",
    ]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | VALUES
OBJECTS = st.dictionaries(
    st.sampled_from(
        ["FunctionName", "Role", "Code", "ZipFile", "Timeout", "Runtime", "Handler", "Environment", "Variables", "Tags",
         "Layers", "FileSystemConfigs", "VpcConfig", "SubnetIds", "DeadLetterConfig", "TargetArn", "LoggingConfig",
         "LogFormat", "ReservedConcurrentExecutions", "DestinationConfig", "OnFailure", "Destination",
         "MaximumRetryAttempts"]
    ),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(VALUES, inner, max_size=3)),
    max_size=5,
)  # fmt: skip

thorough = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def sane(status: int) -> bool:
    """A refusal or a success; 501 names what is not served. Never a fault of the door."""
    return 200 <= status < 500 or status == 501


@pytest.mark.property
@thorough
@given(
    method=METHODS, path=PATHS, query=st.binary(max_size=60), headers=st.dictionaries(NAMES, VALUES), body=st.binary()
)
def test_any_request_is_answered(
    account: Account, method: str, path: str, query: bytes, headers: dict[str, str], body: bytes
) -> None:
    answer = account.ask(method, path, query=query, headers=headers, body=body)

    assert sane(answer.status), answer
    assert answer.headers["x-amzn-requestid"]


@pytest.mark.property
@thorough
@given(
    target=st.sampled_from(
        [
            ("POST", "/2015-03-31/functions"),
            ("PUT", "/2015-03-31/functions/f/code"),
            ("PUT", "/2015-03-31/functions/f/configuration"),
            ("PUT", "/2017-10-31/functions/f/concurrency"),
            ("PUT", "/2019-09-25/functions/f/event-invoke-config"),
            ("POST", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af"),
        ]
    ),
    members=OBJECTS,
    known=st.booleans(),
)
def test_any_members_are_answered(
    account: Account, target: tuple[str, str], members: dict[str, object], known: bool
) -> None:
    import json

    method, path = target
    wanted = {"FunctionName": "f", "Role": account.role, "Runtime": "python3.11", "Handler": "h.h"} if known else {}

    answer = account.ask(method, path, body=json.dumps({**wanted, **members}).encode())

    assert sane(answer.status), answer


@pytest.mark.property
@thorough
@given(
    name=st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=1, max_size=30),
    query=st.binary(max_size=30),
    body=st.binary(max_size=60),
    headers=st.dictionaries(NAMES, VALUES),
)
def test_any_invoke_is_answered(
    account: Account, name: str, query: bytes, body: bytes, headers: dict[str, str]
) -> None:
    path = f"/2015-03-31/functions/{name}/invocations"

    assert sane(account.ask("POST", path, query=query, headers=headers, body=body).status)
