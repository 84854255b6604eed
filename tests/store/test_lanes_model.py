"""Lanes against a plain model of the promises: two nodes, calls that nobody hears of, and late requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from redis.exceptions import ConnectionError as RedisConnectionError

from eventrouter.errors import Unavailable
from eventrouter.store.connect import Lane
from eventrouter.store.lanes import Held, LaneChange, LaneLost, Lanes, StoredLane, Taken
from eventrouter.testing.redis import virtual_redis
from tests.store.test_idempotence import StandingClock
from tests.store.worlds import World, open_world, parse, read_call

MAPPING = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
UNIT = "shardId-000000000000"
HERE = (MAPPING, UNIT)
INCS = ("a", "b")


@dataclass
class Model:
    """What is promised of one unit."""

    owner: str = ""
    epoch: int = 0
    checkpoint: int | None = None
    states: dict[int, bytes] = field(default_factory=dict)
    outbox: dict[str, bytes] = field(default_factory=dict)
    is_drained: bool = False
    info: bytes | None = None
    is_removed: bool = False
    saves: int = 0
    """The newest save of this epoch that was stored."""

    @property
    def stored(self) -> StoredLane | None:
        if self.is_removed or (not self.epoch and self.checkpoint is None):
            return None
        return StoredLane(
            owner=self.owner,
            epoch=self.epoch,
            checkpoint=None if self.checkpoint is None else str(self.checkpoint),
            states=self.states,
            outbox=self.outbox,
            is_drained=self.is_drained,
            info=self.info,
        )

    def place(self, position: int) -> bool:
        if not self.is_removed and not self.epoch and self.checkpoint is None:
            self.checkpoint = position
        return True

    def take(self, inc: str, over: str, seen: int) -> bool:
        if self.is_removed or self.owner not in ("", inc, over) or self.epoch != seen:
            return False
        self.owner, self.epoch, self.saves = inc, seen + 1, 0
        return True

    def save(self, inc: str, epoch: int, number: int, changes: Sequence[LaneChange]) -> bool:
        if self.is_removed or (self.owner, self.epoch) != (inc, epoch) or number <= self.saves:
            return False
        self.saves = number
        for change in changes:
            if change.checkpoint is not None:
                self.checkpoint = max(self.checkpoint or 0, int(change.checkpoint))
            for lane in change.removed:
                self.states.pop(lane, None)
            self.states.update(change.states)
            self.outbox.update(change.outbox)
            self.is_drained = self.is_drained or change.is_drained
            self.info = change.info or self.info
        return True

    def release(self, inc: str, epoch: int) -> bool:
        if not self.is_removed and (self.owner, self.epoch) == (inc, epoch):
            self.owner = ""
        return True

    def rewind(self, position: int, seen: int) -> bool:
        if self.is_removed or self.owner or self.epoch != seen:
            return False
        self.epoch, self.checkpoint, self.states, self.is_drained, self.saves = seen + 1, position, {}, False, 0
        self.info = None
        return True


class FatefulLane:
    """A lane whose next call of one script meets a fate; everything that was sent is kept."""

    def __init__(self, lane: Lane, wire: Wire) -> None:
        self._lane = lane
        self._wire = wire

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        answers: list[Any] = []
        for command in commands:
            answers += await self._carry(command)
        return answers

    async def _carry(self, command: bytes) -> list[Any]:
        wire = self._wire
        name, _ = read_call(command)
        if name.startswith("lane_") and (not wire.sent or wire.sent[-1] != command):
            wire.sent.append(command)
        if name != wire.script or wire.fate == "once":
            return await self._lane.execute([command])
        if wire.fate == "twice":
            return (await self._lane.execute([command, command]))[1:]
        if wire.fate == "unheard":
            await self._lane.execute([command])
        return [RedisConnectionError("cut")]

    async def close(self) -> None:
        await self._lane.close()


class Wire:
    """What one node's calls go through."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.script = ""
        self.fate = "once"


FATES = st.sampled_from(["once", "once", "once", "twice", "unheard", "lost"])
NODES = st.sampled_from([0, 1])
POSITIONS = st.integers(0, 2_000)
CHANGES = st.builds(
    LaneChange,
    checkpoint=st.none() | POSITIONS.map(str),
    states=st.dictionaries(st.integers(0, 3), st.binary(max_size=3), max_size=2),
    removed=st.lists(st.integers(4, 5), max_size=1),
    is_drained=st.sampled_from([False, False, False, True]),
    info=st.none() | st.binary(min_size=1, max_size=2),
)


class LanesMachine(RuleBasedStateMachine):
    """Two nodes that use one unit."""

    @initialize()
    def start(self) -> None:
        self.stack = ExitStack()
        self.runner = self.stack.enter_context(asyncio.Runner())
        connect = self.stack.enter_context(virtual_redis(time.time))
        self.client = connect()
        self.wire = Wire()
        self.world: World = self.run(
            open_world(self.client, clock=StandingClock(), wrap=lambda lane: FatefulLane(lane, self.wire))
        )
        self.nodes = [Lanes(self.world.store.scripts, self.world.keys) for _ in INCS]
        self.model = Model()
        self.taken: list[int | None] = [None, None]
        self.failed: list[list[LaneChange]] = [[], []]
        self.late: list[tuple[bytes, Callable[[], object]]] = []
        self.numbers = 0
        self.marked_epoch = 0

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.run(self.world.store.close())
            self.run(self.client.aclose())
            self.stack.close()

    def run(self, job: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(job)

    def call(self, script: str, fate: str, job: Coroutine[Any, Any, Any], effect: Callable[[], bool]) -> Any:
        """Make a call that meets a fate; apply its effect if it ran. Returns its result, or None if unknown."""
        self.wire.script, self.wire.fate = script, fate
        before = len(self.wire.sent)
        try:
            result = self.run(job)
        except Unavailable:
            assert fate in ("unheard", "lost")
            result = None
        except LaneLost as error:
            result = error
        finally:
            self.wire.script, self.wire.fate = "", "once"
        ran = [command for command in self.wire.sent[before:] if read_call(command)[0] == script]
        if ran and fate == "lost":
            self.late.append((ran[-1], effect))
        elif ran:
            effect()
        return result

    @rule(position=POSITIONS, fate=FATES, node=NODES)
    def place(self, position: int, fate: str, node: int) -> None:
        self.call("lane_place", fate, self.nodes[node].place(*HERE, str(position)), lambda: self.model.place(position))

    @rule(node=NODES, is_over=st.booleans(), fate=FATES)
    def take(self, node: int, is_over: bool, fate: str) -> None:
        """Take the unit, also over the other node, which goes on as a zombie."""
        inc, over, seen = INCS[node], INCS[1 - node] if is_over else "", self.model.epoch
        held = self.model.owner if self.model.owner not in ("", inc, over) else None
        job = self.nodes[node].take(*HERE, inc, over)
        result = self.call("lane_take", fate, job, lambda: self.model.take(inc, over, seen))
        if self.model.is_removed:
            assert isinstance(result, LaneLost)
        elif result is None:
            return
        elif held:
            assert result == Held(owner=held)
        else:
            assert result == Taken(epoch=seen + 1, lane=self.model.stored)
            self.taken[node], self.failed[node] = seen + 1, []

    @rule(node=NODES, change=CHANGES, parcels=st.integers(0, 2), fate=FATES)
    def save(self, node: int, change: LaneChange, parcels: int, fate: str) -> None:
        inc, epoch = INCS[node], self.taken[node]
        if epoch is None:
            return
        self.numbers += 1 + parcels
        number = self.numbers
        outbox = {f"r{number - each}": b"parcel" for each in range(parcels)}
        change = LaneChange(
            checkpoint=change.checkpoint,
            states=change.states,
            removed=change.removed,
            outbox=outbox,
            is_drained=change.is_drained,
            info=change.info,
        )
        changes = [*self.failed[node], change]
        is_owner = not self.model.is_removed and (self.model.owner, self.model.epoch) == (inc, epoch)
        job = self.nodes[node].save(*HERE, inc, epoch, change)
        result = self.call("lane_save", fate, job, lambda: self.model.save(inc, epoch, number, changes))
        if fate in ("unheard", "lost"):
            assert result is None
            self.failed[node] = changes
        else:
            assert is_owner if result is None else isinstance(result, LaneLost)
            assert is_owner == (result is None)
            self.failed[node] = []

    @rule(node=NODES, fate=FATES)
    def release(self, node: int, fate: str) -> None:
        epoch = self.taken[node]
        if epoch is not None:
            inc, self.taken[node] = INCS[node], None
            job = self.nodes[node].release(*HERE, inc, epoch)
            self.call("lane_release", fate, job, lambda: self.model.release(inc, epoch))

    @rule(position=POSITIONS, fate=FATES, node=NODES)
    def rewind(self, position: int, fate: str, node: int) -> None:
        seen, owner = self.model.epoch, self.model.owner
        job = self.nodes[node].rewind(*HERE, str(position))
        result = self.call("lane_rewind", fate, job, lambda: self.model.rewind(position, seen))
        if self.model.is_removed:
            assert isinstance(result, LaneLost)
        elif result is not None:
            assert result is not bool(owner)

    @rule(node=NODES)
    def forward(self, node: int) -> None:
        if self.model.outbox and not self.model.is_removed:
            first = min(self.model.outbox)
            self.run(self.nodes[node].forwarded(*HERE, [first]))
            del self.model.outbox[first]

    @rule(data=st.data())
    def a_request_arrives_late(self, data: st.DataObject) -> None:
        """Run anew what ran before, which changes nothing; or what got lost, which has its effect now or never."""
        if self.late and data.draw(st.booleans()):
            command, effect = self.late.pop(data.draw(st.integers(0, len(self.late) - 1)))
            effect()
            self.run(self.client.execute_command(*parse(command)))
            return
        lost = {command for command, _ in self.late}
        known = [command for command in self.wire.sent if command not in lost]
        if known:
            before = self.facts()
            command = data.draw(st.sampled_from(known))
            self.run(self.client.execute_command(*parse(command)))
            assert self.facts() == before, parse(command)

    @rule(sure=st.integers(0, 9))
    def remove(self, sure: int) -> None:
        if sure == 0:
            self.run(self.nodes[0].remove(MAPPING))
            self.run(self.nodes[0].remove(MAPPING, [UNIT]))
            self.model.is_removed = True
            self.taken[0] = None

    def facts(self) -> tuple[StoredLane | None, dict[str, bool]]:
        return self.run(self.nodes[0].read(*HERE)), self.run(self.nodes[0].units(MAPPING))

    @invariant()
    def the_store_is_as_the_model_says(self) -> None:
        if hasattr(self, "world"):
            lane, units = self.facts()
            assert lane == self.model.stored
            if units.get(UNIT):
                assert self.model.is_drained, "a unit to be read is listed as drained"


LanesMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestLanes = pytest.mark.property(LanesMachine.TestCase)
