"""A record of the API as it stands in the Lambda event. Source: lambda-semantics §4.11, §7.6."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from eventrouter.ports import StreamRecord

SEQUENCE_DIGITS = 21
"""The shortest sequence number that the API takes: lambda-semantics §7.6."""

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def sequence_of(text: str) -> str:
    """Return a sequence number without leading zeros, which DynamoDB Local pads its own with."""
    return str(int(text))


def padded(sequence: str) -> str:
    """Return a sequence number as the API takes it."""
    return sequence.zfill(SEQUENCE_DIGITS)


def stream_record(record: Mapping[str, Any], *, arn: str, region: str) -> StreamRecord:
    """Return a record, as botocore has parsed it, with its event JSON.

    Source, version and region are those of the event's shape, whatever the endpoint calls itself. Order is kept per
    item, so the key is the item's whole primary key. Source: lambda-semantics §4.6.
    """
    change = record["dynamodb"]
    arrived: datetime = change["ApproximateCreationDateTime"]
    arrived_s = arrived.timestamp()
    sequence = sequence_of(change["SequenceNumber"])
    shown: dict[str, Any] = {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": region,
        "dynamodb": _change(change, sequence, float(int(arrived_s))),
    }
    if (identity := record.get("userIdentity")) is not None:
        shown["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
    shown["eventSourceARN"] = arn
    return StreamRecord(
        sequence=sequence,
        arrived_ms=round(arrived_s * 1_000),
        key=_encode_sorted(change["Keys"]),
        event=_encode(shown),
    )


def _change(change: Mapping[str, Any], sequence: str, arrived_s: float) -> dict[str, Any]:
    """Return the `dynamodb` member. Binary values are bytes here; the encoder makes them base64.

    Not every server tells a record's size or the stream's view type: what is not told is left out.
    """
    shown: dict[str, Any] = {"ApproximateCreationDateTime": arrived_s}
    shown |= {name: change[name] for name in ("Keys", "NewImage", "OldImage") if name in change}
    shown["SequenceNumber"] = sequence
    return shown | {name: change[name] for name in ("SizeBytes", "StreamViewType") if name in change}
