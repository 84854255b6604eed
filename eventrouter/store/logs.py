"""Logs of functions: one Redis stream per log group, bounded by bytes and by age.

Lines are kept in chunks: what one flush brings of one log stream is one entry. A group's other keys say how large
each entry is and what streams there are, so that trimming never reads a line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from random import Random

    from eventrouter.clock import Clock
    from eventrouter.store.connect import Scripts
    from eventrouter.store.keys import Keys

ENTRY_BYTES = 32_768
"""Lines of one stream are gathered into entries of about this size."""

ENTRY_OVERHEAD_BYTES = 200
"""What an entry costs beside its lines: counted, so that the bound holds for many short ones too."""

LINE_OVERHEAD_BYTES = 26
"""What a line counts beside its text. Source: lambda-semantics §9.4 (PutLogEvents)."""

CALL_ENTRIES = 100
CALL_BYTES = 1_048_576
READ_ENTRIES = 100
READ_STEPS = 50
"""A page looks at no more than this many times READ_ENTRIES entries."""

PAGE_BYTES = 1_048_576
_LIST_STEP = 100
_BEHIND_ALL_LINES = 999_999_999
_LAST_SEQUENCE = 2**64 - 1


class LogLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One log event: when it happened (wall ms), and its text without a final line break."""

    timestamp_ms: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """Lines of one log stream, in order."""

    account: str
    region: str
    group: str
    stream: str
    lines: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGroup:
    """One log group: when it began, what it holds, and how long it keeps it."""

    name: str
    created_at_ms: int
    stored_bytes: int
    retention_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStream:
    """One log stream that still holds lines; all times are wall ms."""

    name: str
    created_at_ms: int
    first_event_at_ms: int
    last_event_at_ms: int
    last_ingested_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One line as read. `id` names its place: reading `after` it goes on behind it."""

    id: str
    stream: str
    timestamp_ms: int
    message: str
    ingested_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Lines in the order asked for, and where to read on; None once the end was reached."""

    events: tuple[LogEvent, ...] = ()
    next: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """The place of a line: its entry's id in the Redis stream, and its index in the entry."""

    at_ms: int
    sequence: int
    line: int

    @classmethod
    def parse(cls, text: str) -> _Place:
        """Read a place; raises ValueError if `text` is none."""
        at_ms, sequence, line = (int(part) for part in text.split("-"))
        if at_ms >= 2**53 or sequence > _LAST_SEQUENCE:
            raise ValueError(f"{text} lies beyond every entry")
        return cls(at_ms, sequence, line)

    @property
    def entry(self) -> str:
        return f"{self.at_ms}-{self.sequence}"

    def __str__(self) -> str:
        return f"{self.entry}-{self.line}"


def is_place(text: str) -> bool:
    """Say whether `text` can be the id of a LogEvent."""
    try:
        _Place.parse(text)
    except ValueError:
        return False
    return True


def just_after(place: str) -> str:
    """Return the place right behind an event: reading backward from it begins with that event."""
    at = _Place.parse(place)
    return str(_Place(at.at_ms, at.sequence, at.line + 1))


def just_before(place: str) -> str:
    """Return the place right before an event: reading forward from it begins with that event."""
    at = _Place.parse(place)
    if at.line > 0:
        return str(_Place(at.at_ms, at.sequence, at.line - 1))
    if at.sequence > 0:
        return str(_Place(at.at_ms, at.sequence - 1, _BEHIND_ALL_LINES))
    return str(_Place(max(at.at_ms - 1, 0), _LAST_SEQUENCE, _BEHIND_ALL_LINES))


@dataclass(slots=True)
class _Entry:
    """Lines that are being gathered into one entry."""

    stream: str
    lines: list[tuple[int, str]] = field(default_factory=list)
    size_bytes: int = ENTRY_OVERHEAD_BYTES

    def args(self) -> list[str | bytes | int]:
        times = [timestamp for timestamp, _ in self.lines]
        return [self.stream, min(times), max(times), self.size_bytes, msgspec.json.encode(self.lines)]


class Logs:
    """The log groups of this installation."""

    def __init__(self, scripts: Scripts, keys: Keys, clock: Clock, random: Random) -> None:
        self._scripts = scripts
        self._keys = keys
        self._clock = clock
        self._random = random
        self._listed: set[tuple[str, str, str]] = set()

    async def append(self, chunks: Sequence[LogChunk], *, max_bytes: int, retention_ms: int) -> None:
        """Store lines; drop those older than `retention_ms` and the oldest beyond `max_bytes` of each group.

        One script per group and megabyte. Raises IntakeRefused or Unavailable; some groups may then be stored.
        """
        groups: dict[tuple[str, str, str], list[LogChunk]] = {}
        for chunk in chunks:
            if chunk.lines:
                groups.setdefault((chunk.account, chunk.region, chunk.group), []).append(chunk)
        limits = (max_bytes, retention_ms)
        if len(groups) == 1:
            ((group, only),) = groups.items()
            await self._append(group, only, limits)
            return
        results = await asyncio.gather(
            *(self._append(group, some, limits) for group, some in groups.items()), return_exceptions=True
        )
        for result in results:
            if result is not None:
                raise result

    async def groups(self, account: str, region: str, prefix: str = "") -> list[LogGroup]:
        """Return the log groups whose names begin with `prefix`, by name."""
        names: list[str] = []
        index, last = self._index_key(account, region), ""
        while True:
            listed = await self._scripts.call("log_list", [index], [prefix, last, _LIST_STEP])
            names += [name.decode() for name in listed]
            if len(listed) < _LIST_STEP:
                break
            last = names[-1]
        wanted = ("created_at_ms", "bytes", "retention_ms")
        found = await self._scripts.command_each(
            [("HMGET", self._keys_of(account, region, name)[1], *wanted) for name in names]
        )
        return [
            LogGroup(name=name, created_at_ms=int(answer[0]), stored_bytes=int(answer[1]), retention_ms=int(answer[2]))
            for name, answer in zip(names, found, strict=True)
            if answer[0] is not None
        ]

    async def has_group(self, account: str, region: str, group: str) -> bool:
        """Say whether anything was ever logged to `group`."""
        return bool(await self._scripts.command("EXISTS", self._keys_of(account, region, group)[1]))

    async def streams(self, account: str, region: str, group: str, prefix: str = "") -> list[LogStream]:
        """Return the log streams of `group` that hold lines and whose names begin with `prefix`, by name."""
        found: dict[str, LogStream] = {}
        key, cursor = self._keys_of(account, region, group)[2], b"0"
        while True:
            cursor, flat = await self._scripts.command("HSCAN", key, cursor, "COUNT", 500)
            for raw_name, stored in zip(flat[::2], flat[1::2], strict=True):
                name = raw_name.decode()
                if name.startswith(prefix):
                    found[name] = _stream(name, stored)
            if int(cursor) == 0:
                return [found[name] for name in sorted(found)]

    async def existing_streams(self, account: str, region: str, group: str, names: Sequence[str]) -> frozenset[str]:
        """Return those of `names` (at least one) that are log streams holding lines."""
        key = self._keys_of(account, region, group)[2]
        found = await self._scripts.command("HMGET", key, *names)
        return frozenset(name for name, stored in zip(names, found, strict=True) if stored is not None)

    async def read(
        self,
        account: str,
        region: str,
        group: str,
        *,
        streams: frozenset[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        after: str | None = None,
        limit: int,
        backward: bool = False,
        max_bytes: int = PAGE_BYTES,
    ) -> LogPage:
        """Read up to `limit` lines of some streams (None: all), oldest first, or newest first if `backward`.

        `start_ms` and `end_ms` bound the lines' own times and are both included. `after` is the id of an event,
        or a page's `next`: reading goes on behind it, in the direction of this call; ValueError if it is neither.
        """
        if streams is not None and not streams:
            return LogPage()
        keys = self._keys_of(account, region, group)[:2]
        place = _Place.parse(after) if after else None
        events: list[LogEvent] = []
        room = max_bytes
        for _ in range(READ_STEPS):
            entries = await self._scripts.call(
                "log_read",
                keys,
                [
                    self._clock.now_ms(),
                    place.entry if place else "",
                    READ_ENTRIES,
                    int(backward),
                    -1 if start_ms is None else start_ms,
                    -1 if end_ms is None else end_ms,
                    *sorted(streams or ()),
                ],
            )
            ended = entries[0] == b"END"
            for entry in entries[2:]:
                for event in _events(entry, place, backward=backward):
                    if not _within(event.timestamp_ms, start_ms, end_ms):
                        continue
                    room -= len(event.message.encode()) + LINE_OVERHEAD_BYTES
                    if len(events) == limit or (room < 0 and events):
                        return LogPage(events=tuple(events), next=events[-1].id)
                    events.append(event)
            if ended:
                return LogPage(events=tuple(events))
            at_ms, sequence = (int(part) for part in entries[1].split(b"-"))
            place = _Place(at_ms, sequence, 0 if backward else _BEHIND_ALL_LINES)
        return LogPage(events=tuple(events), next=str(place))

    async def _append(self, group: tuple[str, str, str], chunks: Sequence[LogChunk], limits: tuple[int, int]) -> None:
        keys = self._keys_of(*group)
        for entries in _calls(_entries(chunks)):
            token = f"{self._random.getrandbits(96):024x}"
            args = [arg for entry in entries for arg in entry.args()]
            answer = await self._scripts.call("log_append", keys, [token, self._clock.now_ms(), *limits, *args])
            # A repetition cannot tell whether the group was new; listing it again is harmless.
            if answer[0] == b"DUP" or answer[1] == 1 or group not in self._listed:
                account, region, name = group
                await self._scripts.call("log_index", [self._index_key(account, region)], [name])
                self._listed.add(group)

    def _keys_of(self, account: str, region: str, group: str) -> list[str]:
        """Return the keys of a group, in the order that the scripts declare."""
        tag = f"l:{account}:{region}:{group}"
        return [self._keys.of(tag, part) for part in ("d", "meta", "st", "sz", "ap")]

    def _index_key(self, account: str, region: str) -> str:
        return self._keys.of(f"l:{account}:{region}", "groups")


def _entries(chunks: Sequence[LogChunk]) -> Iterator[_Entry]:
    """Gather the lines of each stream into entries, the streams in the order of their first lines."""
    open_entries: dict[str, _Entry] = {}
    for chunk in chunks:
        entry = open_entries.setdefault(chunk.stream, _Entry(chunk.stream))
        for line in chunk.lines:
            if entry.size_bytes >= ENTRY_BYTES:
                yield entry
                entry = open_entries[chunk.stream] = _Entry(chunk.stream)
            entry.lines.append((line.timestamp_ms, line.message))
            entry.size_bytes += len(line.message.encode()) + LINE_OVERHEAD_BYTES
    yield from open_entries.values()


def _calls(entries: Iterator[_Entry]) -> Iterator[list[_Entry]]:
    """Split entries into what one script call takes."""
    call: list[_Entry] = []
    room = CALL_BYTES
    for entry in entries:
        if call and (len(call) == CALL_ENTRIES or entry.size_bytes > room):
            yield call
            call, room = [], CALL_BYTES
        call.append(entry)
        room -= entry.size_bytes
    if call:
        yield call


def _events(entry: Sequence[bytes], place: _Place | None, *, backward: bool) -> Iterator[LogEvent]:
    """Return the lines of an entry in reading order, those only that lie behind `place`."""
    entry_id, stream, packed = entry
    at_ms, sequence = (int(part) for part in entry_id.split(b"-"))
    lines = list(enumerate(msgspec.json.decode(packed, type=list[tuple[int, str]])))
    for index, (timestamp_ms, message) in reversed(lines) if backward else lines:
        here = _Place(at_ms, sequence, index)
        if place is None or (here < place if backward else here > place):
            yield LogEvent(
                id=str(here),
                stream=stream.decode(),
                timestamp_ms=timestamp_ms,
                message=message,
                ingested_at_ms=at_ms,
            )


def _within(timestamp_ms: int, start_ms: int | None, end_ms: int | None) -> bool:
    return (start_ms is None or timestamp_ms >= start_ms) and (end_ms is None or timestamp_ms <= end_ms)


def _stream(name: str, stored: bytes) -> LogStream:
    record = msgspec.json.decode(stored, type=dict[str, int])
    return LogStream(
        name=name,
        created_at_ms=record["c"],
        first_event_at_ms=record["f"],
        last_event_at_ms=record["l"],
        last_ingested_at_ms=record["i"],
    )
