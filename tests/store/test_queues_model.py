"""Queues against a plain model of the promises: lost answers, late requests, dead nodes, letters sent back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eventrouter.store.connect import Lane
from eventrouter.store.queues import (
    ChangeOutcome,
    DeleteOutcome,
    MessageState,
    MoveStatus,
    MoveTask,
    NewMessage,
    QueueName,
    QueueSettings,
    Receipt,
    ReceivedMessage,
    SendOutcome,
)
from eventrouter.testing.redis import virtual_redis
from tests.store.test_idempotence import StandingClock
from tests.store.worlds import World, open_world, parse, read_call

MOST = 2
"""How often a message is received before it is given up."""

WINDOW_MS = 300_000
LATE_MS = 8_000
"""A request arrives this late at most."""

READING = {"queue_get", "queue_moves", "queue_outbox", "queue_peek"}


class DoublingLane:
    """Runs commands once or twice, and keeps those that change queues."""

    def __init__(self, lane: Lane, wire: Wire) -> None:
        self._lane = lane
        self._wire = wire

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        wire = self._wire
        for command in commands:
            script, _ = read_call(command)
            if script.startswith("queue_") and script not in READING:
                wire.sent.append((wire.clock.ms, command))
        if not wire.is_doubling:
            return await self._lane.execute(commands)
        return (await self._lane.execute([command for command in commands for _ in range(2)]))[1::2]

    async def close(self) -> None:
        await self._lane.close()


class Wire:
    """What calls go through: no answer is heard at the first time if it is doubling."""

    def __init__(self, clock: StandingClock) -> None:
        self.clock = clock
        self.sent: list[tuple[int, bytes]] = []
        self.is_doubling = False


@dataclass
class Expected:
    """What is promised of one message. Times are of the clock, in ms."""

    id: str
    group: str
    visible_at: int
    count: int = 0
    nonce: str | None = None
    owner: str = ""

    def is_visible(self, now: int) -> bool:
        return self.visible_at <= now

    def is_latest(self, receipt: Receipt) -> bool:
        return (self.count, self.nonce) == (receipt.count, receipt.nonce)

    def seen(self, now: int) -> tuple[str, int, MessageState]:
        hidden = MessageState.IN_FLIGHT if self.count else MessageState.DELAYED
        return self.id, self.count, MessageState.VISIBLE if self.is_visible(now) else hidden


GROUPS = st.sampled_from(["g", "h", "i"])
LIMITS = st.sampled_from([1, 2, 3, 10])
VISIBILITIES = st.sampled_from([0, 0, 10_500, 30_500])
HIDES = st.sampled_from([0, 10_500, 30_500, 50_000_000])


class QueueMachine(RuleBasedStateMachine):
    """One queue, its dead-letter queue, and a node that receives for itself."""

    is_fifo: ClassVar[bool]

    @initialize(scope=st.sampled_from(["queue", "messageGroup"]))
    def start(self, scope: str) -> None:
        self.stack = ExitStack()
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.clock = StandingClock()
        connect = self.stack.enter_context(virtual_redis(self.clock.monotonic))
        self.client = connect()
        self.wire = Wire(self.clock)
        self.world: World = self.run(
            open_world(self.client, clock=self.clock, wrap=lambda lane: DoublingLane(lane, self.wire))
        )
        self.queues = self.world.store.queues
        suffix = ".fifo" if self.is_fifo else ""
        self.name = QueueName(account="1", region="r", name="jobs" + suffix)
        self.dead_name = QueueName(account="1", region="r", name="dead" + suffix)
        self.scope = scope
        base = QueueSettings(is_fifo=self.is_fifo, deduplication_scope=scope)
        self.run(self.queues.create(self.dead_name, base))
        redrive = QueueSettings(
            is_fifo=self.is_fifo,
            deduplication_scope=scope,
            max_receive_count=MOST,
            dead_letter_target=self.dead_name.arn,
        )
        self.run(self.queues.create(self.name, redrive))
        self.here: list[Expected] = []
        self.dead: list[Expected] = []
        self.windows: dict[str, tuple[str, int]] = {}
        self.receipts: list[Receipt] = []
        self.numbers = 0
        self.nodes = 0
        self.join()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            for name in (self.name, self.dead_name):
                self.run(self.check_keys(name))
            self.run(self.world.store.close())
            self.run(self.client.aclose())
            self.stack.close()

    def run(self, job: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(job)

    def join(self) -> None:
        self.nodes += 1
        self.inc = f"node-{self.nodes}"
        self.run(self.world.join(self.inc))

    def find(self, message_id: str) -> Expected | None:
        return next((each for each in self.here if each.id == message_id), None)

    async def check_keys(self, name: QueueName) -> None:
        """Is every message in each key that it belongs in, and every group in one place?"""
        keys = dict(zip(self.world.keys.QUEUE, self.world.keys.queue(name.key), strict=True))
        records = {key.decode(): json.loads(text) for key, text in (await self.client.hgetall(keys["m"])).items()}
        places = [(await self.client.zrange(keys[part], 0, -1)) for part in ("v", "s", "fo", "ga", "gw", "ow", "oz")]
        visible, sent, line, ready, waiting, owned, outbox = [{each.decode() for each in members} for members in places]
        assert set(records) == visible == sent == {each.decode() for each in await self.client.hkeys(keys["b"])}
        assert owned == {f"{record['a']}\0{each}" for each, record in records.items() if "a" in record}
        assert not outbox
        assert not await self.client.exists(keys["ob"])
        if self.is_fifo:
            assert line == {f"{record['g']}\0{record['q']}\0{each}" for each, record in records.items()}
            assert ready | waiting == {record["g"] for record in records.values()}
            assert not ready & waiting

    @rule(is_doubling=st.booleans())
    def answers_get_lost(self, is_doubling: bool) -> None:
        self.wire.is_doubling = is_doubling

    @rule(
        batch=st.lists(
            st.tuples(GROUPS, st.sampled_from(["", "x", "y", "z"]), st.sampled_from([None, 5_500])),
            min_size=1,
            max_size=3,
        )
    )
    def send(self, batch: list[tuple[str, str, int | None]]) -> None:
        messages = []
        for group, deduplication, delay_ms in batch:
            self.numbers += 1
            messages.append(
                NewMessage(
                    id=f"m{self.numbers:03}",
                    body=b"body",
                    sender="me",
                    size_bytes=4,
                    group=group,
                    deduplication_id=deduplication,
                    delay_ms=None if self.is_fifo else delay_ms,
                )
            )
        is_doubling = self.wire.is_doubling
        for message, sent in zip(messages, self.run(self.queues.send_all(self.name, messages)), strict=True):
            key = f"{message.group}/" * (self.scope == "messageGroup") + message.deduplication_id
            first, until = self.windows.get(key, ("", 0))
            if self.is_fifo and message.deduplication_id and until > self.clock.ms:
                assert (sent.outcome, sent.id) == (SendOutcome.DUPLICATE, first)
                continue
            assert sent.outcome is (SendOutcome.DUPLICATE if is_doubling else SendOutcome.STORED)
            assert sent.id == message.id
            if message.deduplication_id:
                self.windows[key] = (message.id, self.clock.ms + WINDOW_MS)
            visible_at = self.clock.ms + (message.delay_ms or 0)
            self.here.append(Expected(id=message.id, group=message.group, visible_at=visible_at))

    @rule(limit=LIMITS, visibility_ms=VISIBILITIES)
    def a_client_receives(self, limit: int, visibility_ms: int) -> None:
        self.receive(limit, visibility_ms, "")

    @rule(limit=LIMITS, visibility_ms=VISIBILITIES)
    def the_node_receives(self, limit: int, visibility_ms: int) -> None:
        self.receive(limit, visibility_ms, self.inc)

    def receive(self, limit: int, visibility_ms: int, owner: str) -> None:
        now = self.clock.ms
        job = self.queues.receive(self.name, limit=limit, visibility_ms=visibility_ms, owner=owner)
        taken: tuple[ReceivedMessage, ...] = self.run(job).messages
        ids = [message.receipt.id for message in taken]
        letters = {each.message.receipt.id for each in self.run(self.queues.peek(self.dead_name))}
        given_up = letters - {each.id for each in self.dead}

        assert len(set(ids)) == len(ids) <= limit
        self.check_choice(ids, given_up, limit, now)
        for message in taken:
            expected = self.find(message.receipt.id)
            assert expected is not None
            assert expected.is_visible(now)
            assert message.receipt.count == expected.count + 1 <= MOST
            expected.count, expected.nonce, expected.owner = expected.count + 1, message.receipt.nonce, owner
            expected.visible_at = now + visibility_ms
            self.receipts.append(message.receipt)
        for expected in [each for each in self.here if each.id in given_up]:
            assert expected.count == MOST
            self.here.remove(expected)
            self.dead.append(Expected(expected.id, expected.group, now, expected.count))

    def check_choice(self, ids: list[str], given_up: set[str], limit: int, now: int) -> None:
        """Are these the messages that may be handed out and given up?"""
        touched = {*ids, *given_up}
        if not self.is_fifo:
            if len(ids) < limit:
                assert touched == {each.id for each in self.here if each.is_visible(now)}
            return
        groups = [group for group, _ in groupby(self.group_of(message_id) for message_id in ids)]
        assert len(set(groups)) == len(groups), "a group is handed out in one piece"
        for group in {each.group for each in self.here}:
            line = [each for each in self.here if each.group == group]
            offered = [each.id for each in takewhile(lambda each: each.is_visible(now), line)]
            mine = [message_id for message_id in offered if message_id in touched]
            assert mine == offered[: len(mine)], "a group is handed out from its first message"
            assert [message_id for message_id in ids if message_id in mine] == [
                message_id for message_id in mine if message_id not in given_up
            ]
            if len(ids) < limit or group in groups[:-1]:
                assert mine == offered
        assert touched <= {each.id for each in self.here}

    def group_of(self, message_id: str) -> str:
        expected = self.find(message_id)
        assert expected is not None
        return expected.group

    @rule(data=st.data(), count=st.integers(1, 3))
    def delete(self, data: st.DataObject, count: int) -> None:
        if not self.receipts:
            return
        chosen = data.draw(st.lists(st.sampled_from(self.receipts), min_size=1, max_size=count, unique_by=id))
        wanted = []
        for receipt in chosen:
            expected = self.find(receipt.id)
            if expected is None:
                wanted.append(DeleteOutcome.GONE)
            elif not expected.is_latest(receipt):
                wanted.append(DeleteOutcome.STALE)
            elif self.is_fifo and expected.is_visible(self.clock.ms):
                wanted.append(DeleteOutcome.EXPIRED)
            else:
                self.here.remove(expected)
                wanted.append(DeleteOutcome.DELETED)
        if self.wire.is_doubling:  # what is heard is the second answer
            present = {each.id for each in self.here}
            wanted = [
                outcome if receipt.id in present else DeleteOutcome.GONE
                for receipt, outcome in zip(chosen, wanted, strict=True)
            ]
        assert self.run(self.queues.delete_all(self.name, chosen)) == wanted

    @rule(data=st.data(), visibility_ms=HIDES)
    def hide(self, data: st.DataObject, visibility_ms: int) -> None:
        if not self.receipts:
            return
        receipt = data.draw(st.sampled_from(self.receipts))
        expected = self.find(receipt.id)
        if expected is None:
            wanted = ChangeOutcome.GONE
        elif not expected.is_latest(receipt):
            wanted = ChangeOutcome.STALE
        elif self.is_fifo and expected.is_visible(self.clock.ms):
            wanted = ChangeOutcome.NOT_IN_FLIGHT
        elif visibility_ms > 43_200_000:
            wanted = ChangeOutcome.TOO_LONG
        else:
            wanted = ChangeOutcome.CHANGED
            expected.visible_at = self.clock.ms + visibility_ms
        assert self.run(self.queues.change_visibility(self.name, [(receipt, visibility_ms)])) == [wanted]

    @rule(seconds=st.sampled_from([1, 4, 15, 40, 200]))
    def time_passes(self, seconds: int) -> None:
        self.clock.ms += seconds * 1_000

    @rule(data=st.data())
    def requests_arrive_late(self, data: st.DataObject) -> None:
        """Run anew what ran a short time before: nothing changes."""
        sent = [command for at, command in self.wire.sent if at >= self.clock.ms - LATE_MS]
        if sent:
            for command in data.draw(st.lists(st.sampled_from(sent), min_size=1, max_size=4)):
                self.run(self.client.execute_command(*parse(command)))

    @rule()
    def the_node_dies(self) -> None:
        self.run(self.world.store.hosts.bury(self.inc, None))
        self.run(self.world.store.hosts.reap(self.inc))
        for expected in self.here:
            if expected.owner == self.inc:
                expected.owner, expected.nonce = "", None
                expected.visible_at = min(expected.visible_at, self.clock.ms)
        self.join()

    @rule(step=st.integers(1, 4))
    def dead_letters_are_moved_back(self, step: int) -> None:
        self.numbers += 1
        handle = f"task{self.numbers}"
        moves = self.queues.moves
        self.run(moves.start(self.dead_name, MoveTask(handle=handle, started_at_ms=self.clock.ms)))
        while self.run(moves.step(self.dead_name, handle, step))[1]:
            pass
        task = self.run(moves.finish(self.dead_name, handle, MoveStatus.COMPLETED))
        assert task.moved == len(self.dead) == task.total
        assert self.run(moves.sweep()) == 0
        for letter in self.dead:
            self.here.append(Expected(letter.id, letter.group, self.clock.ms))
        self.dead.clear()
        self.clock.ms += 1_000  # no more tasks than are remembered while a request may be late

    @invariant()
    def the_store_is_as_the_model_says(self) -> None:
        if not hasattr(self, "world"):
            return
        is_doubling, self.wire.is_doubling = self.wire.is_doubling, False
        now = self.clock.ms
        found = self.run(self.queues.peek(self.name))
        assert sorted((each.message.receipt.id, each.message.receipt.count, each.state) for each in found) == sorted(
            each.seen(now) for each in self.here
        )
        letters = self.run(self.queues.peek(self.dead_name))
        assert sorted((each.message.receipt.id, each.message.receipt.count) for each in letters) == sorted(
            (each.id, each.count) for each in self.dead
        )
        queue = self.run(self.queues.get(self.name))
        states = [each.seen(now)[2] for each in self.here]
        assert [queue.visible, queue.in_flight, queue.delayed] == [
            states.count(state) for state in (MessageState.VISIBLE, MessageState.IN_FLIGHT, MessageState.DELAYED)
        ]
        self.wire.is_doubling = is_doubling


class StandardMachine(QueueMachine):
    is_fifo = False


class FifoMachine(QueueMachine):
    is_fifo = True


for _machine in (StandardMachine, FifoMachine):
    _machine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestStandardQueues = pytest.mark.property(StandardMachine.TestCase)
TestFifoQueues = pytest.mark.property(FifoMachine.TestCase)
