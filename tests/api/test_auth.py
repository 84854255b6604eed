"""Who calls, as signatures say: conventions part 1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.api.auth import Callers, Signature

SCOPE = "{}/20260101/{}/{}/aws4_request"


def read(credential: str, query: bytes = b"") -> Signature:
    header = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00"
    return Callers(default_region="eu-north-1").read({b"authorization": header.encode()}, query)


@pytest.mark.parametrize(
    ("key", "account"),
    [
        ("123456789012", "123456789012"),
        ("test", "000000000000"),
        ("AKIAIOSFODNN7EXAMPLE", "000000000000"),
        ("1234567890123", "000000000000"),
        ("%D9%A1" * 12, "000000000000"),
    ],
)
def test_an_access_key_of_12_digits_is_the_account(key: str, account: str) -> None:
    assert read(SCOPE.format(key, "us-west-2", "lambda")) == Signature(
        account=account, region="us-west-2", service="lambda"
    )


@pytest.mark.parametrize("region", ["us-gov-east-1", "eusc-de-east-1", "us-iso-east-1", "ap-southeast-10"])
def test_the_scope_s_region_is_the_region(region: str) -> None:
    assert read(SCOPE.format("test", region, "sqs")).region == region


@pytest.mark.parametrize("credential", ["", "test", "test/20260101", SCOPE.format("test", "../..", "LAMBDA!")])
def test_what_is_unreadable_falls_back_to_the_default(credential: str) -> None:
    signature = read(credential)

    assert (signature.account, signature.region, signature.service) == ("000000000000", "eu-north-1", None)


def test_no_signature_is_the_default_account() -> None:
    signature = Callers(default_region="eu-north-1").read({}, b"Qualifier=1")

    assert signature == Signature(account="000000000000", region="eu-north-1")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.eu-west-1.localhost.localstack.cloud:4566", "eu-west-1"),
        ("ap-southeast-10.queue.localhost:4566", "ap-southeast-10"),
        ("sqs.localhost:4566", "eu-north-1"),
        ("my-node-1.example.com", "eu-north-1"),
        ("localhost", "eu-north-1"),
        ("10.0.0.1:4566", "eu-north-1"),
    ],
)
def test_without_a_signature_the_host_says_the_region(host: str, region: str) -> None:
    assert Callers(default_region="eu-north-1").read({b"host": host.encode()}, b"").region == region


def test_a_presigned_url_is_read_from_its_query() -> None:
    query = b"Action=x&X-Amz-Credential=123456789012%2F20260101%2Fus-west-2%2Fsqs%2Faws4_request&X-Amz-Date=1"

    signature = Callers(default_region="eu-north-1").read({}, query)

    assert signature == Signature(account="123456789012", region="us-west-2", service="sqs")


def test_what_was_read_is_remembered_and_forgotten_in_time() -> None:
    callers = Callers(default_region="eu-north-1")
    for number in range(5_000):
        header = f"AWS4-HMAC-SHA256 Credential={number:012}/20260101/us-west-2/sqs/aws4_request, SignedHeaders=host"
        assert callers.read({b"authorization": header.encode()}, b"").account == f"{number:012}"

    assert len(callers._seen) <= 4_096


@pytest.mark.property
@given(header=st.binary(max_size=200), query=st.binary(max_size=200))
def test_any_header_and_query_have_a_caller(header: bytes, query: bytes) -> None:
    callers = Callers(default_region="eu-north-1")

    assert len(callers.read({b"authorization": header}, query).account) == 12
    assert len(callers.read({}, b"X-Amz-Credential=" + query).account) == 12
