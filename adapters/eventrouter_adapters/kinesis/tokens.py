"""Opaque texts that callers hand back: shard iterators and the places where further pages begin.

Nothing of them is trusted: what they name is looked up and checked like any other input.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, TypeVar

import msgspec

from eventrouter.errors import RequestError
from eventrouter.rules.stream import RecordId, Stream, StreamName, StreamShard
from eventrouter_adapters.kinesis import errors

TOKEN_LIFE_MS = 300_000

_Whole = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Seconds = Annotated[float, msgspec.Meta(gt=-(2**53), lt=2**53)]


class _Token(msgspec.Struct, frozen=True, array_like=True):
    """Parts in a fixed order; together they name what they are about for good."""

    def encode(self) -> str:
        """Return the text for the caller."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()


class ShardIterator(_Token, frozen=True):
    """A position in a shard: reading goes on after the record (ms, n). 400 characters at most, of 512 allowed."""

    account: str
    region: str
    name: str
    generation: str
    index: _Whole
    ms: _Whole
    n: _Whole
    issued_at_ms: _Whole

    @classmethod
    def at(cls, stream: Stream, shard: StreamShard, after: RecordId, now_ms: int) -> ShardIterator:
        """Return the iterator that is issued now for a position."""
        name = stream.name
        return cls(name.account, name.region, name.name, stream.generation, shard.index, *after, now_ms)

    @property
    def stream(self) -> StreamName:
        return StreamName(account=self.account, region=self.region, name=self.name)


class NamePage(_Token, frozen=True):
    """ListStreams goes on behind a name."""

    after: str


class ShardPage(_Token, frozen=True):
    """ListShards goes on behind a shard, with the filter (its type, and its shard or time) that it began with."""

    name: str
    generation: str
    after: str
    filter_type: str
    filter_time: _Seconds
    issued_at_ms: _Whole


class ConsumerPage(_Token, frozen=True):
    """ListStreamConsumers goes on behind a name."""

    name: str
    generation: str
    after: str
    issued_at_ms: _Whole


AnyToken = TypeVar("AnyToken", bound=_Token)


def decode_token(text: str, kind: type[AnyToken], name: str = "NextToken") -> AnyToken:
    """Return the token that a caller hands back as member `name`. Raises RequestError."""
    try:
        return msgspec.json.decode(base64.b64decode(text, altchars=b"-_", validate=True), type=kind)
    except (binascii.Error, ValueError) as error:
        raise _invalid(name) from error


def _invalid(name: str) -> RequestError:
    return errors.invalid_argument(f"Invalid {name}.")
