"""A record as the Lambda event shows it, and as filter patterns see it. Source: lambda-semantics §4.10, §4.11."""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Iterable
from typing import Any

import msgspec

from eventrouter.ports import StreamRecord
from eventrouter.rules.stream import StreamShard
from eventrouter.store.streams import Row
from eventrouter_adapters.kinesis.sequence import ID_DIGITS, PREFIX

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class EventWriter:
    """Writes the records of one shard for one reader; what they have in common is rendered once."""

    def __init__(self, *, arn: str, region: str, shard: StreamShard, identity_arn: str) -> None:
        self._index = b"%012d" % shard.index
        self._event_id = b'},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"%b:' % shard.id.encode()
        self._end = b'","eventName":"aws:kinesis:record","invokeIdentityArn":%b,"awsRegion":%b,"eventSourceARN":%b}' % (
            _encode(identity_arn),
            _encode(region),
            _encode(arn),
        )

    def write(self, rows: Iterable[Row]) -> list[StreamRecord]:
        """Render rows of id, partition key and data. Ids stay text: this is done for every record that is read."""
        prefix, index, event_id, end = PREFIX.encode(), self._index, self._event_id, self._end
        at, begin, middle, arrived_ms = b"", b"", b"", 0
        written = []
        for text, key, data in rows:
            ms, _, n = text.partition(b"-")
            if ms != at:  # neighbours often share their millisecond
                at, begin, arrived_ms = ms, prefix + ms.zfill(ID_DIGITS), int(ms)
                middle = b'","approximateArrivalTimestamp":%b.%b%b' % (ms[:-3], ms[-3:], event_id)
            number = begin + n.zfill(ID_DIGITS) + index
            event = b"".join(
                (
                    b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":',
                    _encode(key.decode()),
                    b',"sequenceNumber":"',
                    number,
                    b'","data":"',
                    b2a_base64(data, newline=False),
                    middle,
                    number,
                    end,
                )
            )
            written.append(StreamRecord(sequence=number.decode(), arrived_ms=arrived_ms, key=key, event=event))
        return written


def filterable(event: bytes) -> dict[str, Any]:
    """Return the members of `kinesis`, with `data` decoded; without it if it is not JSON, or too deep to be read."""
    found: dict[str, Any] = _decode(event)["kinesis"]
    try:
        found["data"] = _decode(a2b_base64(found["data"]))
    except (Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        del found["data"]
    return found
