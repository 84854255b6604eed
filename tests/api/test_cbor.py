"""CBOR bodies. lambda-semantics §7.1."""

from __future__ import annotations

import contextlib
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.api.http import Request
from eventrouter.api.protocol.aws_json import AwsCbor
from eventrouter.api.protocol.cbor import MAX_DEPTH, decode_cbor, encode_cbor, timestamp
from eventrouter.api.protocol.models import service_model
from eventrouter.errors import RequestError

pytestmark = pytest.mark.unit

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@pytest.mark.property
@given(value=VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert decode_cbor(encode_cbor(value)) == value


@pytest.mark.property
@given(data=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(RequestError):
        decode_cbor(data)


@pytest.mark.parametrize("seconds", [0.0, 1.5, 86_400.0, 1_767_225_600.123, -1.0])
def test_timestamps_travel_in_milliseconds(seconds: float) -> None:
    data = encode_cbor({"Timestamp": timestamp(seconds)})

    assert data.endswith(cbor2.dumps(round(seconds * 1_000)))
    assert decode_cbor(data) == {"Timestamp": seconds}


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("9f01820203ff", [1, [2, 3]]),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("f93c00", 1.0),
        ("c249010000000000000000", bytes.fromhex("010000000000000000")),
        ("d9d9f783010203", [1, 2, 3]),
    ],
)
def test_what_other_writers_may_write_is_read(data: str, value: Any) -> None:
    assert decode_cbor(bytes.fromhex(data)) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",  # a break of nothing
        b"\x01\x01",  # two values
        b"\x44abc",  # cut off
        b"\x9b" + b"\xff" * 8,  # more items than bytes
        b"\xbb" + b"\xff" * 8,
        b"\xa1\x01",  # a key without its value
        b"\xa1\x80\x01",  # a list as a key
        b"\xbf\x01\xff",
        b"\x81\xff",
        b"\x1c",  # a reserved length
        b"\x1f",  # an indefinite number
        b"\xe0",  # a simple value that nothing means
        b"\xc1\x61a",  # a timestamp that is no number
        b"\xc1\xf5",
        b"\xc1\xf9\x7e\x00",
        b"\x61\xff",  # no UTF-8
        b"\x81" * 100 + b"\x01",
        b"\xc2" * 5_000 + b"\x01",
        b"\x9f" * 5_000,
    ],
)
def test_what_is_not_one_value_is_refused(data: bytes) -> None:
    with pytest.raises(RequestError) as refusal:
        decode_cbor(data)
    assert refusal.value.code == "SerializationException"


def test_depth_is_bounded() -> None:
    assert decode_cbor(b"\x81" * (MAX_DEPTH - 1) + b"\x01")
    with pytest.raises(RequestError, match="nested too deeply"):
        decode_cbor(b"\x81" * (MAX_DEPTH + 1) + b"\x01")


def test_the_codec_reads_and_writes_what_the_model_says() -> None:
    kinesis = service_model("kinesis")
    body = cbor2.dumps({"StreamName": "s", "Data": b"\xff", "PartitionKey": "k", "Novelty": 1, "StreamARN": None})
    values = AwsCbor().parse(
        kinesis.operation("PutRecord"), Request(method="POST", path="/", headers={}, body=body), {}
    )
    record = {"SequenceNumber": "1", "Data": b"\xff", "PartitionKey": "k", "ApproximateArrivalTimestamp": 1.5}
    answer = AwsCbor().answer(kinesis.operation("GetRecords"), {"Records": [record], "NextShardIterator": None})
    bare = AwsCbor().answer(kinesis.operation("DeleteStream"), {})
    error = AwsCbor().error(kinesis, RequestError("ResourceNotFoundException", "gone"), "id")

    assert values == {"StreamName": "s", "Data": b"\xff", "PartitionKey": "k"}
    assert answer.headers == ((b"content-type", b"application/x-amz-cbor-1.1"),)
    assert decode_cbor(answer.body) == {"Records": [record]}
    assert decode_cbor(bare.body) == {}
    assert error.status == 400
    assert decode_cbor(error.body) == {"__type": "ResourceNotFoundException", "message": "gone"}


def test_a_body_that_is_no_map_is_refused() -> None:
    operation = service_model("kinesis").operation("ListStreams")
    assert AwsCbor().parse(operation, Request(method="POST", path="/", headers={}), {}) == {}
    with pytest.raises(RequestError, match="not a CBOR map"):
        AwsCbor().parse(operation, Request(method="POST", path="/", headers={}, body=b"\x80"), {})


@pytest.mark.parametrize(
    "data",
    [
        b"\x9a\x00\x0f\x42\x40" + b"\xa0" * 1_000_000,
        b"\x9f" + b"\xa0" * 1_000_000 + b"\xff",
        b"\x82" + (b"\x99\xff\xff" + b"\x80" * 65_535) * 2,
    ],
)
def test_items_are_bounded(data: bytes) -> None:
    with pytest.raises(RequestError, match="too many items"):
        decode_cbor(data)


@pytest.mark.parametrize("data", [b"\xa1\x01\x61a", b"\xa1\x41k\x61a", b"\xbf\x01\x61a\xff", b"\xa1\xff\x01"])
def test_names_are_text(data: bytes) -> None:
    with pytest.raises(RequestError, match="not CBOR"):
        decode_cbor(data)
