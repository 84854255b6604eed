"""Log groups in the store, on every server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from eventrouter.store import LogChunk, LogEvent, LogLine, Logs
from eventrouter.store.logs import ENTRY_BYTES, just_after, just_before
from tests.store.twice import Twice
from tests.store.worlds import Server, World, open_world

pytestmark = pytest.mark.integration

GROUP = ("000000000000", "us-east-1", "/aws/lambda/orders")
DAY_MS = 86_400_000


def a_chunk(stream: str, *texts: str, at_ms: int = 1_000, group: tuple[str, str, str] = GROUP) -> LogChunk:
    """Lines of one stream, a millisecond apart from `at_ms` on."""
    account, region, name = group
    lines = tuple(LogLine(timestamp_ms=at_ms + index, message=text) for index, text in enumerate(texts))
    return LogChunk(account=account, region=region, group=name, stream=stream, lines=lines)


async def append(logs: Logs, *chunks: LogChunk, max_bytes: int = 1 << 24, retention_ms: int = DAY_MS) -> None:
    await logs.append(chunks, max_bytes=max_bytes, retention_ms=retention_ms)


async def read(logs: Logs, **options: Any) -> list[LogEvent]:
    page = await logs.read(*GROUP, **{"limit": 10_000} | options)
    return list(page.events)


def texts(events: Sequence[LogEvent]) -> list[str]:
    return [event.message for event in events]


async def check_books(world: World, logs: Logs) -> None:
    """Check that a group's keys agree about its entries, bytes and streams."""
    d, meta, st, sz, _ = logs._keys_of(*GROUP)
    sizes = [item.decode().split(" ", 2) for item in await world.client.lrange(sz, 0, -1)]
    streams = {
        name.decode(): msgspec.json.decode(stored)["n"] for name, stored in (await world.client.hgetall(st)).items()
    }
    entries = [fields[b"s"].decode() for _, fields in await world.client.xrange(d)]
    assert [stream for _, _, stream in sizes] == entries
    assert streams == {name: entries.count(name) for name in entries}
    assert int(await world.client.hget(meta, "bytes")) == sum(int(size) for _, size, _ in sizes)


def test_lines_are_read_in_order_from_both_ends(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        await append(logs, a_chunk("a", "a1", "a2"), a_chunk("b", "b1"))
        await append(logs, a_chunk("a", "a3"))

        forward = await read(logs)
        backward = await read(logs, backward=True)

        assert texts(forward) == ["a1", "a2", "b1", "a3"]
        assert backward == forward[::-1]
        assert [event.stream for event in forward] == ["a", "a", "b", "a"]
        assert [event.timestamp_ms for event in forward] == [1_000, 1_001, 1_000, 1_000]
        assert len({event.id for event in forward}) == 4
        await check_books(world, logs)

    server.run(scenario)


def test_pages_join_without_a_gap_or_a_repeat(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        for number in range(30):
            await append(logs, a_chunk(f"s{number % 3}", *(f"{number}.{line}" for line in range(9))))
        everything = await read(logs)

        for backward in (False, True):
            found: list[LogEvent] = []
            place = None
            while True:
                page = await logs.read(*GROUP, after=place, limit=7, backward=backward)
                assert len(page.events) <= 7
                found += page.events
                if page.next is None:
                    break
                place = page.next
            assert found == (everything[::-1] if backward else everything)
        assert len(everything) == 270

    server.run(scenario)


def test_reading_goes_on_behind_an_event_and_turns_around_beside_it(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        await append(logs, a_chunk("a", "1", "2"))
        await append(logs, a_chunk("a", "3"))
        one, two, three = await read(logs)

        assert texts(await read(logs, after=two.id)) == ["3"]
        assert texts(await read(logs, after=three.id)) == []
        assert texts(await read(logs, after=two.id, backward=True)) == ["1"]
        assert texts(await read(logs, after=just_after(two.id), backward=True)) == ["2", "1"]
        assert texts(await read(logs, after=just_before(three.id))) == ["3"]
        assert texts(await read(logs, after=just_before(one.id))) == ["1", "2", "3"]
        await append(logs, a_chunk("a", "4"))
        assert texts(await read(logs, after=three.id)) == ["4"]
        with pytest.raises(ValueError, match="nonsense"):
            await read(logs, after="nonsense")

    server.run(scenario)


def test_streams_and_times_select_lines(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        await append(logs, a_chunk("a", "a0", "a1", "a2", at_ms=100), a_chunk("b", "b0", "b1", at_ms=101))

        assert texts(await read(logs, streams=frozenset({"b"}))) == ["b0", "b1"]
        assert texts(await read(logs, streams=frozenset({"b", "none"}))) == ["b0", "b1"]
        assert texts(await read(logs, streams=frozenset())) == []
        assert texts(await read(logs, start_ms=101, end_ms=101)) == ["a1", "b0"]
        assert texts(await read(logs, start_ms=103)) == []

    server.run(scenario)


def test_a_page_ends_at_its_bytes(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        await append(logs, a_chunk("a", *("x" * 74 for _ in range(10))))

        page = await logs.read(*GROUP, limit=100, max_bytes=350)

        assert len(page.events) == 3
        assert len((await logs.read(*GROUP, limit=100, after=page.next)).events) == 7
        assert len((await logs.read(*GROUP, limit=100, max_bytes=1)).events) == 1

    server.run(scenario)


def test_many_lines_go_in_few_entries_and_large_flushes_in_several_calls(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        await append(logs, *(a_chunk("one", f"line {number}") for number in range(500)))
        assert await world.client.xlen(logs._keys_of(*GROUP)[0]) == 1
        before = world.ran["log_append"]

        await append(logs, a_chunk("long", *("y" * 10_000 for _ in range(150))))

        entries = await world.client.xrange(logs._keys_of(*GROUP)[0])
        assert max(len(fields[b"e"]) for _, fields in entries) < 2 * ENTRY_BYTES
        assert world.ran["log_append"] - before == 2
        assert len(await read(logs, limit=10_000, max_bytes=1 << 24)) == 650
        await check_books(world, logs)

    server.run(scenario)


def test_the_oldest_lines_make_room_and_streams_without_lines_vanish(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        for number in range(40):
            await append(logs, a_chunk(f"s{number:02}", "z" * 1_000, at_ms=number), max_bytes=10_000)

        events = await read(logs)

        assert [event.stream for event in events] == [f"s{number:02}" for number in range(32, 40)]
        assert [stream.name for stream in await logs.streams(*GROUP)] == [event.stream for event in events]
        [group] = await logs.groups(*GROUP[:2])
        assert group.stored_bytes <= 10_000
        await check_books(world, logs)

    server.run(scenario)


def test_lines_past_retention_are_not_read_and_are_dropped_by_the_next_append(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        await append(logs, a_chunk("old", "old"), retention_ms=30)
        deadline = time.monotonic() + 5
        while await read(logs):
            assert time.monotonic() < deadline, "the line never passed its retention"
            await asyncio.sleep(0.005)

        await append(logs, a_chunk("new", "new"), retention_ms=DAY_MS)
        await append(logs, a_chunk("new", "newer"), retention_ms=30)

        assert [stream.name for stream in await logs.streams(*GROUP)] == ["new"]
        await check_books(world, logs)

    server.run(scenario)


def test_streams_tell_their_times(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        began = time.time_ns() // 1_000_000
        await append(logs, a_chunk("b", "1", "2", at_ms=50), a_chunk("a", "3", at_ms=70))
        await append(logs, a_chunk("b", "4", at_ms=90))

        a, b = await logs.streams(*GROUP)

        assert (a.name, a.first_event_at_ms, a.last_event_at_ms) == ("a", 70, 70)
        assert (b.name, b.first_event_at_ms, b.last_event_at_ms) == ("b", 50, 90)
        assert began - 1 <= b.created_at_ms <= b.last_ingested_at_ms
        assert await logs.streams(*GROUP, prefix="b") == [b]
        assert await logs.existing_streams(*GROUP, ["a", "c"]) == {"a"}

    server.run(scenario)


def test_groups_belong_to_an_account_and_a_region(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        account, region, name = GROUP
        others = [(account, region, "/other"), (account, "eu-west-1", name), ("111111111111", region, name)]
        await append(logs, *(a_chunk("s", "x", group=group) for group in [GROUP, *others]), a_chunk("t", "y"))

        assert [group.name for group in await logs.groups(account, region)] == [name, "/other"]
        assert [group.name for group in await logs.groups(account, region, prefix="/o")] == ["/other"]
        assert await logs.has_group(*GROUP)
        assert not await logs.has_group("222222222222", region, name)
        assert texts(await read(logs)) == ["x", "y"]

    server.run(scenario)


def test_a_group_is_listed_again_after_everything_was_flushed(server: Server) -> None:
    async def scenario(world: World) -> None:
        logs = world.store.logs
        await append(logs, a_chunk("s", "before"))
        await world.store.flush()
        await append(logs, a_chunk("s", "after"))

        assert [group.name for group in await logs.groups(*GROUP[:2])] == [GROUP[2]]
        assert texts(await read(logs)) == ["after"]

    server.run(scenario)


def test_an_append_that_runs_twice_stores_once(server: Server) -> None:
    async def scenario(world: World) -> None:
        twice = await open_world(world.client, wrap=Twice)
        logs = twice.store.logs
        for number in range(5):
            await append(logs, a_chunk("s", f"{number}"))

        assert texts(await read(logs)) == ["0", "1", "2", "3", "4"]
        assert [group.name for group in await logs.groups(*GROUP[:2])] == [GROUP[2]]
        await check_books(world, logs)
        await twice.store.close()

    server.run(scenario)
