"""One poller of a queue mapping: receives messages, forms a batch of them, sends it, and deletes what succeeded.

What a function's answer means is decided in `rules.queue_batch`; when a batch is due in `rules.batch`. While the
function runs the messages stay hidden; a batch that finds no place to run is tried until they come back by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from eventrouter.errors import AdapterError, StoreError
from eventrouter.planes.batch_call import call_function
from eventrouter.planes.queue_parts import QueueParts
from eventrouter.planes.queue_report import QueueReport
from eventrouter.ports import QueueMessage, QueueSource, QueueTraits, SourceGone
from eventrouter.rules.batch import batch_event, cut, due_in_ms, envelope_bytes
from eventrouter.rules.explain import Rule, rule_of_batch
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.outcome import Run
from eventrouter.rules.pattern import Filters
from eventrouter.rules.queue_batch import effective_visibility_ms, failed_messages, pause_ms

AGAIN_S = 1.0
LEAST_BEAT_S = 0.1
"""However little time is left, messages are not hidden anew sooner."""

_SOURCE_ERRORS = (AdapterError, SourceGone, StoreError)


class Home(Protocol):
    """What a poller uses of the mapping's worker on its node."""

    parts: QueueParts
    incarnation: str
    source: QueueSource
    mapping: EventSourceMapping
    filters: Filters | None
    report: QueueReport
    is_retiring: bool

    @property
    def may_receive(self) -> bool: ...
    def found(self) -> None: ...
    def gave_up(self) -> None: ...
    def looks_again(self) -> bool: ...
    async def traits(self) -> QueueTraits: ...
    async def wait_for_messages(self) -> bool: ...
    async def wait(self, seconds: float | None = None) -> None: ...
    async def pause(self, seconds: float) -> None: ...
    async def source_failed(self, error: Exception) -> None: ...


class Poller:
    """A poller. It ends when another one waits for messages, or there are too many, or the worker retires."""

    __slots__ = ("_began", "_deadline", "_hand", "_home", "_is_looking", "_visibility_ms")

    def __init__(self, home: Home) -> None:
        self._home = home
        self._hand: list[QueueMessage] = []
        self._is_looking = True
        self._began = 0.0
        self._deadline = 0.0
        self._visibility_ms = 0

    async def run(self) -> None:
        """Look for messages and work them off, again and again. The worker counts it as looking when it starts."""
        home = self._home
        try:
            while await self._find():
                while self._hand:
                    await self._work_off()
                if not (self._is_looking or home.looks_again()):
                    return
                self._is_looking = True
        finally:
            self._drop(self._hand)
            if self._is_looking:
                home.gave_up()

    # Receiving.

    async def _find(self) -> bool:
        """Look until there is a message; False: this poller is not needed any more."""
        home = self._home
        while not home.is_retiring:
            if not home.may_receive:
                await home.pause(AGAIN_S)
                continue
            try:
                received = await self._receive()
            except _SOURCE_ERRORS as error:
                await home.source_failed(error)
                continue
            if self._hand:
                return True
            if not received and not await home.wait_for_messages():
                return False
        return False

    async def _receive(self) -> int:
        """Receive once, as much as the batch still takes; return how many messages came, filtered ones included."""
        home, mapping = self._home, self._home.mapping
        function = home.parts.functions.get(mapping.function)
        traits = await home.traits()
        visibility_ms = effective_visibility_ms(
            traits.visibility_ms,
            timeout_s=0 if function is None else function.timeout_s,
            window_s=mapping.batching_window_s,
        )
        now = home.parts.clock.monotonic()
        received = await home.source.receive(
            mapping.source_arn,
            limit=min(home.source.receive_limit, mapping.batch_size - len(self._hand)),
            visibility_ms=visibility_ms,
            owner=home.incarnation,
            has_window=mapping.batching_window_s > 0,
        )
        wanted = await self._filtered(received)
        if wanted and not self._hand:
            self._began = home.parts.clock.monotonic()
            self._deadline = now + visibility_ms / 1_000
        self._visibility_ms = visibility_ms
        self._hand += wanted
        if wanted:
            home.report.held(wanted, visibility_ms)
        home.parts.held_bytes += _size(wanted)
        return len(received)

    async def _filtered(self, received: Sequence[QueueMessage]) -> Sequence[QueueMessage]:
        """Delete what no filter lets through, and return the rest."""
        home = self._home
        wanted = received
        if home.filters is not None:
            matches, filterable = home.filters.matches, home.source.filterable
            wanted = [message for message in received if matches(filterable(message.event))]
        kept = {message.receipt for message in wanted}
        filtered = [message for message in received if message.receipt not in kept]
        home.report.received(len(received), filtered)
        if filtered:
            unwanted = [message.receipt for message in filtered]
            try:
                await home.source.delete(home.mapping.source_arn, unwanted)
            except _SOURCE_ERRORS as error:
                home.report.source_failed(error)  # they come back, and are filtered again
        return wanted

    # Batches.

    async def _work_off(self) -> None:
        """Send the next batch of what is held when it is due, or let go of it."""
        home, mapping = self._home, self._home.mapping
        sizes = [len(message.event) for message in self._hand]
        count, is_full = cut(sizes, limit=mapping.batch_size, envelope=envelope_bytes())
        if count == 0:
            oversized = self._hand[0]
            home.report.oversized(oversized)
            self._drop([oversized, *self._behind(1, {oversized.group})])  # it comes back until the queue gives it up
            return
        due_ms = due_in_ms(
            count,
            is_full=is_full or not self._is_looking,  # what a batch had no room for follows it at once
            waited_ms=round((home.parts.clock.monotonic() - self._began) * 1_000),
            window_s=mapping.batching_window_s,
        )
        if due_ms:
            await self._gather(due_ms / 1_000)
        else:
            is_last = not self._is_looking
            why = rule_of_batch(count, mapping.batch_size, is_full=is_full, is_last=is_last)
            await self._send(self._hand[:count], why)

    async def _gather(self, seconds: float) -> None:
        """Receive more for a batch that may wait `seconds`, or wait for some; give all back when the worker retires."""
        home = self._home
        if home.is_retiring or not home.may_receive:
            await self._give_back(self._hand)
            return
        try:
            if not await self._receive():
                await home.wait(seconds)
        except _SOURCE_ERRORS as error:
            home.report.source_failed(error)
            await home.pause(min(seconds, AGAIN_S))

    async def _send(self, batch: Sequence[QueueMessage], why: Rule) -> None:
        """Send a batch until the function has run, or its messages are about to come back; then settle it."""
        home = self._home
        if self._is_looking:
            self._is_looking = False
            home.found()
        if home.parts.clock.monotonic() >= self._deadline:
            self._drop(self._hand)  # somebody else may have them by now
            return
        failed = await self._try(batch, why)
        tries = 1
        while failed is None:
            pause_s = pause_ms(tries, home.parts.max_backoff_ms) / 1_000
            if home.is_retiring or not home.may_receive:
                await self._give_back(self._hand)
                return
            if home.parts.clock.monotonic() + pause_s >= self._deadline:
                self._drop(self._hand)
                return
            home.report.waits(batch, pause_s)
            await home.pause(pause_s)
            failed = await self._try(batch, Rule.BATCH_AGAIN)
            tries += 1
        done = [message for index, message in enumerate(batch) if index not in failed]
        home.report.judged(batch, failed, self._left_ms())
        await self._delete(done)
        self._drop([*batch, *self._behind(len(batch), {batch[index].group for index in failed})])

    async def _try(self, batch: Sequence[QueueMessage], why: Rule) -> frozenset[int] | None:
        """Send a batch once; return the positions of what failed, None if the function did not run."""
        home, mapping = self._home, self._home.mapping
        if not home.may_receive:
            return None  # a node that has joined anew holds what was given to others
        request_id = str(home.parts.new_id())
        home.report.sent(batch, why, request_id)
        async with self._hidden():
            payload = batch_event([message.event for message in batch])
            done = await call_function(home.parts, mapping, request_id, payload)
        failed = failed_messages(
            done.outcome.outcome if isinstance(done.outcome, Run) else done.outcome,
            [message.id for message in batch],
            reports_item_failures=mapping.reports_item_failures,
        )
        home.report.tried(len(batch), failed)
        return failed

    async def _delete(self, done: Sequence[QueueMessage]) -> None:
        """Delete what succeeded, as long as nobody else can have received it."""
        home, clock = self._home, self._home.parts.clock
        receipts = [message.receipt for message in done]
        while receipts:
            try:
                home.report.deleted(await home.source.delete(home.mapping.source_arn, receipts))
                return
            except _SOURCE_ERRORS as error:
                home.report.source_failed(error)
                if isinstance(error, SourceGone) or home.parts.is_draining or clock.monotonic() >= self._deadline:
                    return
                await clock.sleep(AGAIN_S)

    # What is held.

    @contextlib.asynccontextmanager
    async def _hidden(self) -> AsyncIterator[None]:
        """Keep everything that is held hidden, for as long as a function runs."""
        keeping = asyncio.create_task(self._keep_hidden(), name="keep-hidden")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep_hidden(self) -> None:
        """Hide the messages anew whenever half of their time is over."""
        home, clock = self._home, self._home.parts.clock
        while True:
            await clock.sleep(max((self._deadline - clock.monotonic()) / 2, LEAST_BEAT_S))
            now = clock.monotonic()
            try:
                await self._change_visibility(self._hand, self._visibility_ms)
            except _SOURCE_ERRORS as error:
                home.report.source_failed(error)
                await clock.sleep(AGAIN_S)
                continue
            self._deadline = now + self._visibility_ms / 1_000

    async def _give_back(self, messages: Sequence[QueueMessage]) -> None:
        """Let others have messages at once."""
        try:
            await self._change_visibility(messages, 0)
            self._home.report.given_back(messages)
        except _SOURCE_ERRORS as error:
            self._home.report.source_failed(error)  # they come back when their visibility ends
        self._drop(messages)

    async def _change_visibility(self, messages: Sequence[QueueMessage], visibility_ms: int) -> None:
        receipts = [message.receipt for message in messages]
        await self._home.source.change_visibility(self._home.mapping.source_arn, receipts, visibility_ms)

    def _left_ms(self) -> int:
        """Return for how long what is held stays hidden."""
        return max(round((self._deadline - self._home.parts.clock.monotonic()) * 1_000), 0)

    def _behind(self, count: int, groups: AbstractSet[str]) -> Sequence[QueueMessage]:
        """Return what is held behind the first `count` messages in these groups.

        Nothing may overtake what stays in the queue: it comes back with it.
        """
        return [message for message in self._hand[count:] if message.group and message.group in groups]

    def _drop(self, messages: Sequence[QueueMessage]) -> None:
        """Hold messages no longer."""
        self._home.parts.held_bytes -= _size(messages)
        gone = {message.receipt for message in messages}
        self._hand = [message for message in self._hand if message.receipt not in gone]


def _size(messages: Sequence[QueueMessage]) -> int:
    return sum(len(message.event) for message in messages)
