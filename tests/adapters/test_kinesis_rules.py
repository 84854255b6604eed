"""Sequence numbers, hash keys, ARNs and event JSON: the parts of Kinesis that need no store."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.stream import RecordId, StreamConsumer, StreamName, StreamShard
from eventrouter_adapters.kinesis.addresses import consumer_arn, parse_consumer_arn, parse_stream_arn
from eventrouter_adapters.kinesis.events import EventWriter, filterable
from eventrouter_adapters.kinesis.hashing import Router, even_ranges, hash_key
from eventrouter_adapters.kinesis.resharding import first_shards
from eventrouter_adapters.kinesis.sequence import (
    before,
    before_time,
    parse_sequence_number,
    record_of,
    sequence_number,
    sequence_numbers,
)

pytestmark = pytest.mark.unit

RECORDS = st.builds(RecordId, st.integers(0, 2**53), st.integers(0, 2**53 - 1))
INDEXES = st.integers(0, 10**12 - 1)


def test_partition_keys_hash_as_aws_says() -> None:
    assert hash_key(b"1") == 261578874264819908609102035485573088411
    assert hash_key(b"test") == 12707736894140473154801792860916528374


def test_hash_keys_are_divided_evenly_and_the_last_range_takes_the_remainder() -> None:
    assert even_ranges(1) == [(0, 2**128 - 1)]
    assert even_ranges(2) == [(0, 2**127 - 1), (2**127, 2**128 - 1)]
    assert even_ranges(3) == [
        (0, 113427455640312821154458202477256070484),
        (113427455640312821154458202477256070485, 226854911280625642308916404954512140969),
        (226854911280625642308916404954512140970, 2**128 - 1),
    ]


@pytest.mark.property
@given(count=st.integers(1, 50), key=st.integers(0, 2**128 - 1))
def test_every_hash_key_belongs_to_the_one_shard_whose_range_holds_it(count: int, key: int) -> None:
    shard = Router(tuple(reversed(first_shards(count)))).route(b"", str(key))
    assert int(shard.first_hash_key) <= key <= int(shard.last_hash_key)


@pytest.mark.property
@given(one=RECORDS, other=RECORDS, index=INDEXES)
def test_sequence_numbers_name_their_record_and_order_as_integers(one: RecordId, other: RecordId, index: int) -> None:
    first, second = sequence_number(one, index), sequence_number(other, index)

    assert (len(first), first[:4]) == (56, "4959")
    assert parse_sequence_number(first) == (one, index)
    assert (int(first) < int(second)) is (one < other)
    assert sequence_numbers(one, 2, index) == [first, sequence_number(RecordId(one.ms, one.n + 1), index)]


@pytest.mark.parametrize("text", ["", "0", "1", "4959", "5" * 56, "4959" + "x" * 52, "4959" + "٣" * 52])
def test_what_is_no_sequence_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a sequence number"):
        parse_sequence_number(text)


def test_positions_are_before_the_record_that_is_read_next() -> None:
    assert record_of("0") == RecordId(0, 0)
    assert record_of(sequence_number(RecordId(5, 7), 3)) == RecordId(5, 7)
    assert before(RecordId(5, 7)) == RecordId(5, 6)
    assert RecordId(4, 10**9) < before(RecordId(5, 0)) == before_time(5) < RecordId(5, 0)
    assert before_time(0) == before_time(-5) == RecordId(0, 0)


def test_arns_lead_to_streams_and_consumers() -> None:
    name = StreamName(account="000000000000", region="us-east-1", name="orders")
    consumer = consumer_arn(name, StreamConsumer(name="reader", created_at_ms=1_767_225_600_123))

    assert consumer == f"{name.arn}/consumer/reader:1767225600"
    assert parse_stream_arn(name.arn) == name
    assert parse_consumer_arn(consumer) == (name, "reader", 1767225600)
    assert parse_stream_arn(consumer) is None
    assert parse_consumer_arn(name.arn) is None
    assert parse_stream_arn("arn:aws:sqs:us-east-1:000000000000:q") is None


def an_event(key: bytes, data: bytes) -> bytes:
    writer = EventWriter(
        arn="arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
        region="us-east-2",
        shard=StreamShard(index=6, first_hash_key="0", last_hash_key="1"),
        identity_arn="arn:aws:iam::123456789012:role/lambda-role",
    )
    [record] = writer.write([(b"1545084650987-2", key, data)])
    assert (record.arrived_ms, record.key) == (1545084650987, key)
    assert record.sequence == sequence_number(RecordId(1545084650987, 2), 6)
    return record.event


def test_an_event_has_every_member_in_order() -> None:
    number = sequence_number(RecordId(1545084650987, 2), 6)
    assert json.loads(an_event(b"1", b"Hello")) == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "1",
            "sequenceNumber": number,
            "data": "SGVsbG8=",
            "approximateArrivalTimestamp": 1545084650.987,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000006:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
        "awsRegion": "us-east-2",
        "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
    }
    order = [
        b"kinesisSchemaVersion", b"partitionKey", b"sequenceNumber", b"data", b"approximateArrivalTimestamp",
        b"eventSource", b"eventVersion", b"eventID", b"eventName", b"invokeIdentityArn", b"awsRegion",
        b"eventSourceARN",
    ]  # fmt: skip
    places = [an_event(b"1", b"Hello").index(b'"%b":' % name) for name in order]
    assert places == sorted(places)


@pytest.mark.property
@given(key=st.text(min_size=1, max_size=256).map(lambda text: text.encode(errors="replace")), data=st.binary())
def test_any_key_and_any_data_travel_in_an_event(key: bytes, data: bytes) -> None:
    members = json.loads(an_event(key, data))["kinesis"]
    assert (members["partitionKey"], base64.b64decode(members["data"])) == (key.decode(), data)


def test_filters_see_the_data_decoded_and_none_where_it_is_not_json() -> None:
    seen = filterable(an_event(b"k", b'{"level": "error", "n": [1, null]}'))

    assert seen["data"] == {"level": "error", "n": [1, None]}
    assert seen["partitionKey"] == "k"
    assert set(seen) == {
        "kinesisSchemaVersion", "partitionKey", "sequenceNumber", "data", "approximateArrivalTimestamp"
    }  # fmt: skip
    assert filterable(an_event(b"k", b"7"))["data"] == 7
    for data in (b"", b"{", b"\xff", b"plain"):
        assert "data" not in filterable(an_event(b"k", data))


def test_data_too_deep_to_be_read_is_filtered_as_text_is() -> None:
    for data in (b"[" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000):
        assert "data" not in filterable(an_event(b"1", data))
