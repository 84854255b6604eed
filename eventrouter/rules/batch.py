"""When a batch fires, and with what: the first of BatchSize records, the batch window, 6 MB of payload.

Source: lambda-semantics §4.5.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import islice

from eventrouter.rules.limits import SYNC_REQUEST_BYTES

INVOCATION_BYTES = SYNC_REQUEST_BYTES

_HEAD, _TAIL = b'{"Records":[', b"]"


def cut(sizes: Iterable[int], *, limit: int, envelope: int) -> tuple[int, bool]:
    """Return how many of the lane's next records one batch takes, and whether waiting could not add to it.

    `sizes` are the bytes of the records in the event, `limit` is BatchSize, `envelope` the bytes of the event
    without them (`envelope_bytes`). `(0, True)`: the first record alone does not fit, so no event can carry it.
    """
    room = INVOCATION_BYTES - envelope + 1  # a comma before each record but the first
    wanted = list(islice(sizes, limit))
    count = len(wanted)
    total = sum(wanted) + count
    while total > room:
        count -= 1
        total -= wanted[count] + 1
    return count, count < len(wanted) or count == limit or (count > 0 and total == room)


def due_in_ms(count: int, *, is_full: bool, waited_ms: int, window_s: int) -> int | None:
    """Return how long a batch of `count` records still waits for more: 0 fires it, None means there is none.

    `waited_ms` counts from when its first record was there and the lane was free to take it: the next window starts
    when the previous invocation has ended. A window never waits without a record, and no batch is empty.
    """
    if not count:
        return None
    return 0 if is_full else max(window_s * 1_000 - waited_ms, 0)


def lane_of(key: bytes, lanes: int) -> int:
    """Return the lane of a partition key, among `lanes` of them: the same in every process and on every node."""
    return zlib.crc32(key) % lanes if lanes > 1 else 0


def batch_event(records: Sequence[bytes], window_members: bytes = b"") -> bytes:
    """Build the Lambda event of a batch from its records' JSON, and its window's members if it has one."""
    members = b"," + window_members if window_members else b""
    return b"".join((_HEAD, b",".join(records), _TAIL, members, b"}"))


def envelope_bytes(window_members: bytes = b"") -> int:
    """Return the size of the event of a batch without its records."""
    return len(batch_event((), window_members))
