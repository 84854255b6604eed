"""ARNs of streams and of their consumers. Source: lambda-semantics §7.1."""

from __future__ import annotations

import re
from typing import NamedTuple

from eventrouter.rules.stream import Stream, StreamConsumer, StreamName

_STREAM = re.compile(r"arn:aws[a-z-]*:kinesis:([a-z0-9-]+):(\d{12}):stream/([a-zA-Z0-9_.-]+)")
_CONSUMER = re.compile(_STREAM.pattern + r"/consumer/([a-zA-Z0-9_.-]+):(\d+)")


def parse_stream_arn(arn: str) -> StreamName | None:
    """Return the stream that an ARN names; None if it is not a stream's."""
    match = _STREAM.fullmatch(arn)
    return None if match is None else StreamName(account=match[2], region=match[1], name=match[3])


class ConsumerAddress(NamedTuple):
    """What a consumer's ARN says: its stream, its name and the second it was registered in."""

    stream: StreamName
    name: str
    created_s: int

    def find(self, stream: Stream) -> StreamConsumer | None:
        """Return the consumer among those of its stream."""
        for consumer in stream.consumers:
            if (consumer.name, consumer.created_at_ms // 1_000) == (self.name, self.created_s):
                return consumer
        return None


def parse_consumer_arn(arn: str) -> ConsumerAddress | None:
    """Return what the ARN of a consumer says; None if it is not a consumer's."""
    match = _CONSUMER.fullmatch(arn)
    if match is None:
        return None
    stream = StreamName(account=match[2], region=match[1], name=match[3])
    return ConsumerAddress(stream, match[4], int(match[5][:15]))


def consumer_arn(stream: StreamName, consumer: StreamConsumer) -> str:
    return f"{stream.arn}/consumer/{consumer.name}:{consumer.created_at_ms // 1_000}"
