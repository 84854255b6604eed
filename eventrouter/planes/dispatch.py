"""Synchronous invocations that this node has no room for, run by another one; and those that others have none for.

The node that was asked keeps the caller and the concurrency slot, offers the invocation to a node that lives, and
waits for the answer in its own inbox. It takes the offer back if nobody has decided in time; the store lets only one
of both decide, so what has begun elsewhere never begins again. If the node that began it is buried, the caller gets
a server error at once. Source: redis-design §6.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Self

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.errors import RuntimeFault, StoreError
from eventrouter.journal import Journal
from eventrouter.metrics import Metrics
from eventrouter.planes.loops import Loops
from eventrouter.planes.nudges import Nudges
from eventrouter.planes.run_notes import note_end
from eventrouter.planes.run_wire import decode_run, encode_run
from eventrouter.ports import Environments
from eventrouter.rules.explain import Rule
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName, FunctionReference
from eventrouter.rules.outcome import Run
from eventrouter.settings import Role
from eventrouter.store import Decision, Functions, HostInfo, Inbox, Offer, Reply

OFFER_S = 2.0
"""How long an offer stands before it is taken back."""
OFFERS = 3
"""How many nodes are asked before the call waits for room here."""
FULL_S = 1.0
"""How long a node that had no room, or did not answer, is not asked again."""
ROOM_PATIENCE_S = 1.0
"""How long a node that has taken an offer looks for the room it thought it had."""
TAKE_BACK_S = 30.0
"""How long taking an offer back is tried; decisions are remembered for at least four times as long."""
RETRY_S = 0.5
MARGIN_S = 30.0
"""What a run may take beyond its function's timeout: room, init, and the way of its answer."""
REPLY_BUDGET_S = 30.0
READER = "dispatch-inbox"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An offer whose answer is awaited: by which incarnation of this node, from whom."""

    sender: str
    target: str
    answer: asyncio.Future[Reply | RuntimeFault]


class Dispatch:
    """Long-lived: `async with dispatch:` reads this node's inbox; leaving it ends whatever still waits."""

    def __init__(
        self,
        *,
        incarnation: Callable[[], str],
        version: str,
        inbox: Inbox,
        functions: Functions,
        environments: Environments,
        loops: Loops,
        clock: Clock,
        random: Random,
        metrics: Metrics,
        journal: Journal,
        log: FilteringBoundLogger,
        may_take_work: Callable[[], bool],
        nudges: Nudges,
    ) -> None:
        """`version` is this node's release: only nodes of the same one are asked, so both ends speak alike.

        What in the inbox is no call's matter is given to `nudges`.
        """
        self._nudges = nudges
        self._incarnation = incarnation
        self._version = version
        self._inbox = inbox
        self._functions = functions
        self._environments = environments
        self._loops = loops
        self._clock = clock
        self._random = random
        self._metrics = metrics
        self._journal = journal
        self._log = log
        self._may_take_work = may_take_work
        self._living: frozenset[str] = frozenset()
        self._peers: tuple[str, ...] = ()
        self._full_until: dict[str, float] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._is_draining = False

    async def __aenter__(self) -> Self:
        self._loops.start(READER, self._read)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._loops.stop(READER)
        self._fail_where(lambda waiting: True, "this node ended before the answer came")
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def see(self, living: Mapping[str, HostInfo]) -> None:
        """Take note of the other nodes that live: nobody else's answers will come."""
        self._living = frozenset(living)
        fit = (inc for inc, info in living.items() if info.version == self._version and info.takes(Role.WORKER))
        self._peers = tuple(sorted(fit))
        self._full_until = {inc: until for inc, until in self._full_until.items() if inc in living}
        if self._waiting:
            mine = self._incarnation()
            self._fail_where(lambda waiting: waiting.target not in living, "the node that ran it is gone")
            self._fail_where(lambda waiting: waiting.sender != mine, "this node was declared dead meanwhile")

    def stop_taking(self) -> None:
        """Run nothing more for others; answers are still read."""
        self._is_draining = True

    async def wait_quiet(self) -> None:
        """Wait until nothing runs here for others and every answer to them is stored."""
        while self._serving:
            await asyncio.wait(tuple(self._serving))

    # Asking others.

    def has_peers(self) -> bool:
        """Say whether there is a node that can be asked now."""
        return bool(self._targets())

    def has_workers(self) -> bool:
        """Say whether there is a node that runs functions, though it may be full at the moment."""
        return bool(self._peers)

    async def invoke(self, function: Function, invocation: Invocation, *, number: int = 0) -> Run | None:
        """Run `invocation` on another node; None: it has not begun anywhere and never will.

        `number` counts the tries of one call: a node that refused it may then be asked again.

        Raises RuntimeFault if it may have begun and its end will not be known.
        """
        if function.code.directory is not None:
            return None  # a folder of this machine
        targets = self._targets()
        for target in self._random.sample(targets, min(OFFERS, len(targets))):
            reply = await self._ask(target, function, invocation, number)
            if reply is None or reply.kind == "busy":
                self._full_until[target] = self._clock.monotonic() + FULL_S
                continue
            self._full_until.pop(target, None)  # what it ran for us has ended: it may have room again
            if reply.kind == "fault":
                raise RuntimeFault(reply.body.decode(errors="replace"))
            return _run_of(reply)
        return None

    def _targets(self) -> list[str]:
        now = self._clock.monotonic()
        return [inc for inc in self._peers if self._full_until.get(inc, 0.0) <= now]

    async def _ask(self, target: str, function: Function, invocation: Invocation, number: int) -> Reply | None:
        """Offer to `target`; return its answer, or None if the offer was taken back. Raises RuntimeFault."""
        request_id = f"{invocation.request_id}~{number}" if number else invocation.request_id
        sender = self._incarnation()
        offer = Offer(
            request_id=request_id,
            sender=sender,
            function_key=function.name.key,
            generation=function.generation,
            payload=invocation.payload,
            qualifier=invocation.reference.qualifier,
            trace=invocation.trace,
            client_context=invocation.client_context,
            call_id=invocation.request_id if number else None,
        )
        answer: asyncio.Future[Reply | RuntimeFault] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = _Waiting(sender, target, answer)
        try:
            try:
                await self._inbox.send(target, offer, budget_s=OFFER_S)
                is_stored = True
                await asyncio.wait((answer,), timeout=OFFER_S)
            except StoreError:
                is_stored = False
            if not answer.done() and await self._take_back(target, request_id, is_stored=is_stored):
                return None
            await asyncio.wait((answer,), timeout=function.timeout_s + MARGIN_S)
            if not answer.done():
                raise RuntimeFault("another node took the invocation, and its answer did not come")
            result = answer.result()
            if isinstance(result, Reply):
                return result
            is_mine = is_stored and await self._take_back(target, request_id, is_stored=True)
            if is_mine and sender == self._incarnation():
                return None  # it lay in the inbox of a node that had gone already
            raise result
        finally:
            del self._waiting[request_id]
            answer.cancel()

    async def _take_back(self, target: str, request_id: str, *, is_stored: bool) -> bool:
        """Say whether the offer is taken back; False if it was begun, may have been, or has been answered."""
        answer = self._waiting[request_id].answer
        is_over = answer.done()
        deadline = self._clock.monotonic() + (0.0 if is_over else TAKE_BACK_S)
        while True:
            if not is_stored and target not in self._living:
                return False  # what its inbox held is gone, and nobody can say what that was
            try:
                return await self._inbox.cancel(target, request_id, is_stored=is_stored) is Decision.MINE
            except StoreError as error:
                self._log.warning("dispatch.not_taken_back", request_id=request_id, reason=str(error))
            if self._clock.monotonic() >= deadline or answer.done() is not is_over:
                return False
            await self._clock.sleep(RETRY_S)

    def _fail_where(self, fits: Callable[[_Waiting], bool], why: str) -> None:
        for waiting in self._waiting.values():
            if fits(waiting) and not waiting.answer.done():
                waiting.answer.set_result(RuntimeFault(why))

    # The inbox.

    async def _read(self) -> float:
        mine = self._incarnation()
        for item in await self._inbox.read(mine):
            if isinstance(item, Offer):
                self._spawn(self._serve(mine, item))
            elif not self._nudges.hear(item):
                waiting = self._waiting.get(item.request_id)
                if waiting is not None and waiting.target == item.sender and not waiting.answer.done():
                    waiting.answer.set_result(item)
        return 0.0

    def _spawn(self, serving: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(serving)
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    # Running for others.

    async def _serve(self, mine: str, offer: Offer) -> None:
        """Decide on an offer, run it, answer. The decision comes first: nothing is begun that may be taken back."""
        was_living = offer.sender in self._living
        try:
            if await self._inbox.start(mine, offer.request_id) is not Decision.MINE:
                return
            kind, body = await self._run(offer)
        except StoreError as error:  # whoever has decided: it does not begin here
            kind, body = "busy", str(error).encode()
        except Exception as error:  # noqa: BLE001 - the caller waits for an answer, whatever is broken here
            self._log.error("dispatch.crashed", request_id=offer.request_id, exc_info=True)
            kind, body = "fault", f"the node that ran it failed: {error}".encode()
        if was_living and offer.sender not in self._living:
            return
        reply = Reply(request_id=offer.request_id, sender=mine, kind=kind, body=body)
        try:
            await self._inbox.reply(offer.sender, reply, budget_s=REPLY_BUDGET_S)
        except StoreError as error:
            self._log.warning("dispatch.answer_lost", request_id=offer.request_id, reason=str(error))

    async def _run(self, offer: Offer) -> tuple[str, bytes]:
        """Run it if there is room: how that went, and the answer's body."""
        call_id = offer.call_id or offer.request_id
        function = await self._function(offer)
        if self._is_draining or not self._may_take_work() or function is None:
            return "busy", b""
        lease = self._environments.try_lease(function)
        if lease is None and not self._environments.has_room(function):
            return "busy", b""
        try:
            lease = lease or await self._environments.lease(function, patience_s=ROOM_PATIENCE_S)
        except RuntimeFault as fault:  # nothing has begun: the sender may have better luck
            self._log.warning("dispatch.no_environment", request_id=offer.request_id, reason=str(fault))
            return "busy", b""
        concurrent = self._metrics.of(function.name.name).concurrent
        answered: asyncio.Future[Run] = asyncio.get_running_loop().create_future()

        def done(run: Run) -> None:
            note_end(self._journal, call_id, run)
            lease.release()
            concurrent.dec()
            if not answered.done():
                answered.set_result(run)

        invocation = Invocation(
            request_id=call_id,
            reference=FunctionReference(function=function.name, qualifier=offer.qualifier),
            payload=offer.payload,
            trace=offer.trace,
            client_context=offer.client_context,
        )
        concurrent.inc()
        facts = {"function": function.name.name, "version": function.version, "for_node": offer.sender}
        self._journal.note(call_id, Rule.INVOKED, facts)
        lease.submit(invocation, done)
        return "ran", encode_run(await answered)

    async def _function(self, offer: Offer) -> Function | None:
        """Return the function at least as new as the sender knows it; None if this node cannot see it."""
        name = FunctionName.from_key(offer.function_key)
        function = self._functions.runnable(name)
        if function is None or function.generation < offer.generation:
            await self._functions.refresh()
            function = self._functions.runnable(name)
        return None if function is None or function.generation < offer.generation else function


def _run_of(reply: Reply) -> Run:
    try:
        return decode_run(reply.body)
    except ValueError as error:
        raise RuntimeFault(f"another node's answer could not be read: {error}") from error
