"""Sequence numbers: a record's place in its shard, and the shard, as one decimal numeral of 56 digits.

`4959`, the arrival in milliseconds (20 digits), the number within it (20), the shard's index (12). All have one
length, so they order as numbers and as text alike; what callers send is still read as a number of any length.
Source: lambda-semantics §7.3.
"""

from __future__ import annotations

from eventrouter.rules.stream import RecordId

START = "0"
"""The position before every record."""

PREFIX = "4959"
ID_DIGITS = 20
"""Digits of an arrival, and of a number within it."""
_DIGITS = 56
_HIGHEST_NUMBER = 2**53 - 1
"""More than the records that arrive in one millisecond. Redis could count further, its scripts could not."""


def sequence_number(record: RecordId, shard_index: int) -> str:
    """Return the sequence number of a record of a shard."""
    return f"{PREFIX}{record.ms:020d}{record.n:020d}{shard_index:012d}"


def sequence_numbers(first: RecordId, count: int, shard_index: int) -> list[str]:
    """Return the sequence numbers of `count` records of a shard that were stored together."""
    head, tail = f"{PREFIX}{first.ms:020d}", f"{shard_index:012d}"
    return [f"{head}{number:020d}{tail}" for number in range(first.n, first.n + count)]


def parse_sequence_number(text: str) -> tuple[RecordId, int]:
    """Return the record and the index of the shard that a sequence number names. Raises ValueError."""
    if len(text) != _DIGITS or not text.startswith(PREFIX) or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text} is not a sequence number of a stream")
    return RecordId(int(text[4:24]), int(text[24:44])), int(text[44:])


def record_of(position: str) -> RecordId:
    """Return the record that a position is after. Raises ValueError."""
    return RecordId(0, 0) if position == START else parse_sequence_number(position)[0]


def before(record: RecordId) -> RecordId:
    """Return the id that comes directly before another: reading after it begins with `record`."""
    if record.n > 0:
        return RecordId(record.ms, record.n - 1)
    return before_time(record.ms)


def before_time(at_ms: int) -> RecordId:
    """Return the last id before an instant: reading after it begins with the first record that arrived since."""
    return RecordId(0, 0) if at_ms <= 0 else RecordId(at_ms - 1, _HIGHEST_NUMBER)
