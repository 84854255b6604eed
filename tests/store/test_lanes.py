"""Lanes in the store, on every server: one owner at a time, and nothing of an earlier one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from eventrouter.errors import Unavailable
from eventrouter.store import make_client
from eventrouter.store.connect import Lane
from eventrouter.store.embedded import EmbeddedValkey
from eventrouter.store.lanes import Held, LaneChange, LaneLost, Lanes, StoredLane, Taken, precedes
from tests.store.test_idempotence import StandingClock
from tests.store.twice import Twice
from tests.store.worlds import Server, World, open_world, parse, read_call

pytestmark = pytest.mark.integration

MAPPING = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
UNIT = "shardId-000000000000"
HERE = (MAPPING, UNIT)


def with_lanes(server: Server, scenario: Callable[[Lanes, World], Awaitable[None]]) -> None:
    async def play(world: World) -> None:
        await scenario(Lanes(world.store.scripts, world.keys), world)

    server.run(play)


async def take(lanes: Lanes, inc: str, over: str = "") -> Taken:
    taken = await lanes.take(*HERE, inc, over)
    assert isinstance(taken, Taken), taken
    return taken


async def lane_of(lanes: Lanes) -> StoredLane:
    lane = await lanes.read(*HERE)
    assert lane is not None
    return lane


class Recorder:
    """A lane that keeps the scripts it sent, and loses those that the test says."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.lost: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()

    def wrap(self, lane: Lane) -> Lane:
        return _RecordedLane(lane, self)

    def last(self, script: str) -> list[bytes]:
        """Return the latest command that ran a script."""
        return parse([command for command in self.sent if read_call(command)[0] == script][-1])


class _RecordedLane:
    def __init__(self, lane: Lane, recorder: Recorder) -> None:
        self._lane = lane
        self._recorder = recorder

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        self._recorder.sent += commands
        if any(read_call(command)[0] == "lane_save" for command in commands):
            await self._recorder.gate.wait()
        if any(read_call(command)[0] in self._recorder.lost for command in commands):
            return [RedisConnectionError("cut")] * len(commands)
        return await self._lane.execute(commands)

    async def close(self) -> None:
        await self._lane.close()


def with_recorder(server: Server, scenario: Callable[[Lanes, World, Recorder], Awaitable[None]]) -> None:
    """Play a scenario whose lanes go through a recorder."""

    async def play(world: World) -> None:
        recorder = Recorder()
        recorded = await open_world(world.client, clock=StandingClock(), wrap=recorder.wrap)
        await scenario(Lanes(recorded.store.scripts, world.keys), world, recorder)
        await recorded.store.close()

    server.run(play)


def test_a_unit_has_one_owner_and_every_take_an_epoch_of_its_own(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World) -> None:
        first = await take(lanes, "a")
        assert first == Taken(epoch=1, lane=StoredLane(owner="a", epoch=1))
        assert await lanes.take(*HERE, "b") == Held(owner="a")
        assert (await take(lanes, "a")).epoch == 2
        await lanes.release(*HERE, "a", 2)
        assert (await take(lanes, "b")).epoch == 3
        assert await lanes.take(*HERE, "a", "c") == Held(owner="b")
        assert (await take(lanes, "a", over="b")).epoch == 4
        assert (await lane_of(lanes)).owner == "a"

    with_lanes(server, scenario)


def test_what_is_saved_is_what_the_next_owner_takes(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World) -> None:
        await lanes.place(*HERE, "100")
        assert (await take(lanes, "a")).lane.checkpoint == "100"
        await lanes.save(
            *HERE, "a", 1, LaneChange(checkpoint="120", states={0: b"\x00{", 7: b"seven"}, outbox={"r:1": b"\xff"})
        )
        await lanes.save(*HERE, "a", 1, LaneChange(states={0: b"new"}, removed=(7,), outbox={"r2": b"2"}, info=b"i"))
        await lanes.release(*HERE, "a", 1)

        taken = await take(lanes, "b")

        assert taken.lane == StoredLane(
            owner="b", epoch=2, checkpoint="120", states={0: b"new"}, outbox={"r:1": b"\xff", "r2": b"2"}, info=b"i"
        )
        await lanes.forwarded(*HERE, ["r:1", "unknown"])
        assert (await lane_of(lanes)).outbox == {"r2": b"2"}
        await lanes.forwarded(*HERE, [])

    with_lanes(server, scenario)


def test_who_lost_a_unit_changes_nothing(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World) -> None:
        zombie = Lanes(world.store.scripts, world.keys)
        await take(zombie, "a")
        await zombie.save(*HERE, "a", 1, LaneChange(checkpoint="10"))
        await take(lanes, "b", over="a")
        before = await lane_of(lanes)

        for owner, inc, epoch in (
            (zombie, "a", 1),
            (zombie, "a", 2),
            (lanes, "a", 1),
            (lanes, "b", 1),
            (lanes, "b", 3),
        ):
            with pytest.raises(LaneLost):
                await owner.save(
                    *HERE, inc, epoch, LaneChange(checkpoint="99", states={0: b"x"}, outbox={"r": b""}, is_drained=True)
                )
            await owner.release(*HERE, inc, epoch)
        key = world.keys.of(f"m:{MAPPING}:{UNIT}", "lane")
        for inc, number in (("a", 1), ("a", 2), ("b", 1), ("b", 3), ("", 2), ("", 0)):
            answer = await world.store.scripts.call("lane_save", (key,), (inc, number, 1_000, "99", 2, "s:0", b"x"))
            assert answer == [b"LOST"]

        assert await lane_of(lanes) == before
        assert await lanes.units(MAPPING) == {UNIT: False}
        await lanes.save(*HERE, "b", 2, LaneChange(checkpoint="11"))
        await lanes.release(*HERE, "b", 2)
        with pytest.raises(LaneLost):
            await lanes.save(*HERE, "b", 2, LaneChange(checkpoint="12"))

    with_lanes(server, scenario)


def test_a_checkpoint_only_grows_as_a_number(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World) -> None:
        await take(lanes, "a")
        seen = []
        for checkpoint in ("9", "10", "9", "2", None, "49590338271490256608559692538361571095921575989136588898", "99"):
            await lanes.save(*HERE, "a", 1, LaneChange(checkpoint=checkpoint))
            seen.append((await lane_of(lanes)).checkpoint)
        assert seen[:5] == ["9", "10", "10", "10", "10"]
        assert seen[5] == seen[6] == "49590338271490256608559692538361571095921575989136588898"

    with_lanes(server, scenario)


def test_a_position_is_placed_once_and_never_under_an_owner(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World) -> None:
        assert await lanes.read(*HERE) is None
        await lanes.place(*HERE, "5")
        await lanes.place(*HERE, "7")
        assert await lane_of(lanes) == StoredLane(checkpoint="5")
        await lanes.take(MAPPING, "other", "a")
        await lanes.place(MAPPING, "other", "7")

        other = await lanes.read(MAPPING, "other")

        assert other is not None
        assert other.checkpoint is None
        assert await lanes.units(MAPPING) == {UNIT: False, "other": False}

    with_lanes(server, scenario)


def test_a_drained_unit_is_marked_and_whoever_takes_it_marks_it_again(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World) -> None:
        await take(lanes, "a")
        await lanes.save(*HERE, "a", 1, LaneChange(checkpoint="5", is_drained=True))
        assert (await lane_of(lanes)).is_drained
        assert await lanes.units(MAPPING) == {UNIT: True}

        await world.client.hset(world.keys.installation(f"lanes:{MAPPING}"), UNIT, "0|0")
        await lanes.release(*HERE, "a", 1)
        assert (await take(lanes, "b")).lane.is_drained
        assert await lanes.units(MAPPING) == {UNIT: True}

    with_lanes(server, scenario)


def test_only_a_unit_without_an_owner_is_rewound(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World) -> None:
        await take(lanes, "a")
        await lanes.save(
            *HERE,
            "a",
            1,
            LaneChange(checkpoint="50", states={0: b"0", 3: b"3"}, outbox={"r": b"r"}, is_drained=True, info=b"i"),
        )
        assert not await lanes.rewind(*HERE, "5")
        assert (await lane_of(lanes)).checkpoint == "50"
        await lanes.release(*HERE, "a", 1)

        assert await lanes.rewind(*HERE, "5")

        assert await lane_of(lanes) == StoredLane(epoch=2, checkpoint="5", outbox={"r": b"r"})
        assert await lanes.units(MAPPING) == {UNIT: False}
        with pytest.raises(LaneLost):
            await lanes.save(*HERE, "a", 1, LaneChange(checkpoint="60"))
        assert (await take(lanes, "a")).epoch == 3
        assert await lanes.rewind(MAPPING, "unknown", "8")
        unknown = await lanes.read(MAPPING, "unknown")
        assert unknown == StoredLane(epoch=1, checkpoint="8")

    with_lanes(server, scenario)


def test_removed_units_do_not_come_back(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World) -> None:
        await take(lanes, "a")
        await lanes.take(MAPPING, "other", "a")

        await lanes.remove(MAPPING, [UNIT])

        assert await lanes.read(*HERE) is None
        assert await lanes.units(MAPPING) == {"other": False}
        with pytest.raises(LaneLost):
            await lanes.save(*HERE, "a", 1, LaneChange(checkpoint="1"))
        with pytest.raises(LaneLost):
            await lanes.take(*HERE, "a")
        with pytest.raises(LaneLost):
            await lanes.rewind(*HERE, "1")

        await lanes.remove(MAPPING)
        await lanes.place(MAPPING, "third", "1")
        with pytest.raises(LaneLost):
            await lanes.take(MAPPING, "third", "a")
        assert await lanes.units(MAPPING) == {}
        assert await lanes.read(MAPPING, "third") is None
        marks = sorted(await world.client.keys(f"*{MAPPING}*"))
        assert [await world.client.pttl(key) > 0 for key in marks] == [True] * 3, marks

    with_lanes(server, scenario)


def test_many_units_and_parcels_go_in_several_steps_and_the_checkpoint_last(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World) -> None:
        await take(lanes, "a")
        parcels = {f"r{number}": b"x" for number in range(250)}
        await lanes.save(*HERE, "a", 1, LaneChange(checkpoint="9", outbox=parcels))
        assert world.ran["lane_save"] == 3
        assert (await lane_of(lanes)).outbox == parcels
        await lanes.forwarded(*HERE, list(parcels))
        assert (await lane_of(lanes)).outbox == {}

        units = [f"u{number}" for number in range(210)]
        for unit in units:
            await lanes.place(MAPPING, unit, "1")
        await lanes.remove(MAPPING, units)
        assert await lanes.units(MAPPING) == {UNIT: False}

    with_lanes(server, scenario)


def test_saves_of_one_owner_gather_and_keep_their_order(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World, recorder: Recorder) -> None:
        await take(lanes, "a")
        recorder.gate.clear()
        changes = [
            LaneChange(checkpoint="1", states={0: b"0"}),
            LaneChange(states={1: b"1", 2: b"2"}, outbox={"r1": b"1"}),
            LaneChange(checkpoint="12", removed=(0, 1)),
            LaneChange(checkpoint="9", states={1: b"again"}, outbox={"r2": b"2"}, info=b"i"),
        ]
        saves = [asyncio.create_task(lanes.save(*HERE, "a", 1, change)) for change in changes]
        await asyncio.sleep(0)
        saves[2].cancel()
        recorder.gate.set()
        results = await asyncio.gather(*saves, return_exceptions=True)

        assert [type(result) for result in results] == [type(None), type(None), asyncio.CancelledError, type(None)]
        assert [read_call(command)[0] for command in recorder.sent].count("lane_save") == 2
        assert await lane_of(lanes) == StoredLane(
            owner="a",
            epoch=1,
            checkpoint="12",
            states={1: b"again", 2: b"2"},
            outbox={"r1": b"1", "r2": b"2"},
            info=b"i",
        )

    with_recorder(server, scenario)


def test_a_save_whose_caller_has_gone_holds_nobody_up(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World, recorder: Recorder) -> None:
        await take(lanes, "a")
        recorder.gate.clear()
        first = asyncio.create_task(lanes.save(*HERE, "a", 1, LaneChange(checkpoint="1", outbox={"r": b"r"})))
        second = asyncio.create_task(lanes.save(*HERE, "a", 1, LaneChange(checkpoint="2")))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        recorder.gate.set()
        await second

        assert first.cancelled()
        lane = await lane_of(lanes)
        assert (lane.checkpoint, lane.outbox) == ("2", {"r": b"r"})

    with_recorder(server, scenario)


def test_a_save_that_failed_goes_out_with_the_next_so_no_checkpoint_overtakes_a_parcel(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World, recorder: Recorder) -> None:
        await take(lanes, "a")
        recorder.lost = {"lane_save"}
        dropped = LaneChange(checkpoint="4", states={0: b"0"}, outbox={"r": b"r"})
        failed = asyncio.create_task(lanes.save(*HERE, "a", 1, dropped))
        gathered = asyncio.create_task(lanes.save(*HERE, "a", 1, LaneChange(states={1: b"1"})))
        with pytest.raises(Unavailable):
            await failed
        with pytest.raises(Unavailable):
            await gathered
        assert await lane_of(lanes) == StoredLane(owner="a", epoch=1)
        late = recorder.last("lane_save")

        recorder.lost = set()
        await lanes.save(*HERE, "a", 1, LaneChange(checkpoint="5"))

        stored = StoredLane(owner="a", epoch=1, checkpoint="5", states={0: b"0", 1: b"1"}, outbox={"r": b"r"})
        assert await lane_of(lanes) == stored
        await lanes.forwarded(*HERE, ["r"])
        assert await world.client.execute_command(*late) == [b"OLD"]
        assert (await lane_of(lanes)).outbox == {}

    with_recorder(server, scenario)


def test_a_lost_answer_to_a_take_gives_the_same_epoch_and_a_late_take_takes_nothing(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World, recorder: Recorder) -> None:
        await take(lanes, "a")
        command = recorder.last("lane_take")
        assert (await world.client.execute_command(*command))[:2] == [b"OK", 1]
        assert (await lane_of(lanes)).epoch == 1

        await lanes.release(*HERE, "a", 1)
        assert await world.client.execute_command(*command) == [b"MOVED", 1]
        await take(lanes, "b")
        assert await world.client.execute_command(*command) == [b"HELD", b"b"]
        await lanes.release(*HERE, "b", 2)
        assert await world.client.execute_command(*command) == [b"MOVED", 2]
        assert (await lane_of(lanes)).owner == ""

    with_recorder(server, scenario)


def test_late_duplicates_of_every_call_change_nothing(server: Server) -> None:
    async def scenario(lanes: Lanes, world: World, recorder: Recorder) -> None:
        await lanes.place(*HERE, "1")
        await take(lanes, "a")
        await lanes.save(*HERE, "a", 1, LaneChange(checkpoint="2", states={0: b"old"}, is_drained=True))
        await lanes.save(*HERE, "a", 1, LaneChange(checkpoint="3", states={0: b"new"}))
        await lanes.release(*HERE, "a", 1)
        assert await lanes.rewind(*HERE, "1")
        late = [parse(command) for command in recorder.sent if read_call(command)[0].startswith("lane_")]
        assert len({command[1] for command in late}) == 6
        await take(lanes, "b")
        await lanes.save(*HERE, "b", 3, LaneChange(checkpoint="4", states={1: b"b"}))
        for is_owned in (True, False):
            if not is_owned:
                await lanes.release(*HERE, "b", 3)
            before = await lane_of(lanes), await lanes.units(MAPPING)
            for command in late:
                await world.client.execute_command(*command)
            assert (await lane_of(lanes), await lanes.units(MAPPING)) == before

        await lanes.remove(MAPPING)
        for command in late:
            await world.client.execute_command(*command)
        assert await lanes.read(*HERE) is None
        assert await lanes.units(MAPPING) == {}

    with_recorder(server, scenario)


def test_every_script_applied_twice_is_the_script_applied_once(server: Server) -> None:
    async def scenario(world: World) -> None:
        twice = await open_world(world.client, wrap=Twice)
        lanes = Lanes(twice.store.scripts, world.keys)
        await lanes.place(*HERE, "1")
        assert (await take(lanes, "a")).epoch == 1
        await lanes.save(*HERE, "a", 1, LaneChange(checkpoint="2", states={0: b"x"}, outbox={"r": b"r"}))
        await lanes.save(*HERE, "a", 1, LaneChange(removed=(0,), is_drained=True))
        await lanes.release(*HERE, "a", 1)
        assert await lanes.rewind(*HERE, "1")
        assert (await take(lanes, "b")).epoch == 3
        assert (await take(lanes, "c", over="b")).lane == StoredLane(
            owner="c", epoch=4, checkpoint="1", outbox={"r": b"r"}
        )
        await lanes.remove(MAPPING, [UNIT])
        await lanes.remove(MAPPING)
        assert await lanes.units(MAPPING) == {}
        await twice.store.close()

    server.run(scenario)


def test_a_full_server_still_moves_saves_and_removes_lanes(valkey: EmbeddedValkey) -> None:
    async def scenario() -> None:
        client = make_client(valkey.url)
        await client.flushall()
        world = await open_world(client)
        lanes = Lanes(world.store.scripts, world.keys)
        limit = (await client.config_get("maxmemory"))["maxmemory"]
        await client.config_set("maxmemory", 1)
        try:
            await lanes.place(*HERE, "1")
            await take(lanes, "a")
            await lanes.save(
                *HERE, "a", 1, LaneChange(checkpoint="2", states={0: b"x"}, outbox={"r": b"r"}, is_drained=True)
            )
            await lanes.forwarded(*HERE, ["r"])
            await lanes.release(*HERE, "a", 1)
            assert await lanes.rewind(*HERE, "1")
            await lanes.remove(MAPPING)
        finally:
            await client.config_set("maxmemory", limit)
        assert await lanes.units(MAPPING) == {}
        await world.store.close()
        await client.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("first", "second", "is_before"),
    [(None, "0", True), ("9", "10", True), ("10", "9", False), ("10", "10", False), ("10", None, False)],
)
def test_checkpoints_compare_as_numbers(first: str | None, second: str | None, is_before: bool) -> None:
    assert precedes(first, second) is is_before
