"""One thing at a time: a node's loop in a thread of its own, handlers in the thread that called.

Handlers are plain blocking code that may call the node again, through boto3. So the loop and the handlers take turns:
while a handler runs the loop stands still, and while the loop runs every handler waits. A handler runs in the thread
whose call made it run, where debuggers, mocks and thread-local state of the test are; where that thread is occupied
(by another handler, by an event loop of its own) in a spare one. Only one of all these threads ever runs, so the same
calls give the same history. Threads that a handler starts itself may call too; the order of those is the machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from eventrouter.errors import EventRouterError
from eventrouter.testing.leaping import LeapingLoop

T = TypeVar("T")
Around = Callable[[], AbstractContextManager[object]]
"""Entered whenever a handler goes on, left whenever it waits."""


CLOSE_LIMIT_S = 5.0
THREADS_S = 0.005
"""How long a handler with threads that wait in the loop may do nothing before time moves on without it."""


class Stopped(BaseException):
    """Raised inside a handler whose run has been ended: no `except Exception` of the handler catches it."""


class _Host:
    """A thread that can run handlers, one at a time."""

    def __init__(self, *, is_spare: bool) -> None:
        self.inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.is_spare = is_spare
        self.is_free = True


class Fiber:
    """One run of a handler: in its own thread, but only when it is its turn."""

    def __init__(self, turns: Turns, call: Callable[[], Any], around: Around, *, may_wait_long: bool) -> None:
        self.result: asyncio.Future[Any] = turns.loop.create_future()
        self.host: _Host | None = None
        self.may_wait_long = may_wait_long
        self._turns = turns
        self._call = call
        self._around = around
        self._go: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._waiting: asyncio.Task[Any] | None = None
        self._answer: Callable[[], Any] | None = None
        self._gate = contextlib.ExitStack()

    # In the loop's thread.

    def go(self) -> None:
        """Let it run until it waits or ends."""
        if self.host is None:
            self.host = self._turns.free_host(self)
            self.host.is_free = False
            self.host.inbox.put(self._run)
        else:
            answer, self._answer = self._answer, None
            assert answer is not None
            self._go.put(answer)

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> None:
        """Go on once `work` is done, with its result."""
        self._waiting = self._turns.loop.create_task(work)
        self._waiting.add_done_callback(self._done)

    def stop(self) -> None:
        """End it where it waits. One that has not begun never does."""
        if self._waiting is not None:
            self._waiting.cancel()
        elif self.host is None:
            self._turns.forget(self)

    def _done(self, work: asyncio.Task[Any]) -> None:
        self._waiting = None

        def answer() -> Any:
            if work.cancelled():
                raise Stopped
            return work.result()

        self._answer = answer
        self._turns.ready(self)

    def ended(self, outcome: Callable[[asyncio.Future[Any]], None]) -> None:
        """Take its result, and its thread back."""
        assert self.host is not None
        self.host.is_free = True
        if not self.result.done():
            outcome(self.result)

    # In its own thread.

    def _run(self) -> None:
        _this_thread.fiber = self
        try:
            self._gate.enter_context(self._around())
            with self._gate:
                result = self._call()
        except BaseException as error:  # noqa: BLE001 - whatever ends a handler is told to the loop
            caught = error
            self._turns.tell(self, lambda: self.ended(lambda future: _fail(future, caught)))
        else:
            self._turns.tell(self, lambda: self.ended(lambda future: future.set_result(result)))
        finally:
            _this_thread.fiber = None

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the others run until `work` is done; return its result. Called by the handler."""
        self._gate.close()
        self._turns.tell(self, lambda: self.wait_for(work))
        answer = self._go.get()
        self._gate.enter_context(self._around())
        result: T = answer()
        return result


class _ThisThread(threading.local):
    fiber: Fiber | None = None


_this_thread = _ThisThread()


class TurnsLoop(LeapingLoop):
    """The loop: before each look for something ready, handlers have their turns."""

    turns: Turns

    def _before_looking(self, *, is_busy: bool) -> bool:
        return self.turns.take(is_busy=is_busy)


class Turns:
    """A loop in its own thread, and who else has a turn. `run` is the only way in."""

    def __init__(self) -> None:
        self.loop = TurnsLoop()
        self.loop.turns = self
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._runnable: deque[Fiber] = deque()
        self._active: Fiber | None = None
        self._aside: set[Fiber] = set()
        self._callers: list[_Host] = []
        self._spare: list[_Host] = []
        self._calls = 0
        self._thread = threading.Thread(target=self._work, name="eventrouter-loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the loop to its end and return its result. Handlers run meanwhile, in this thread if it can."""
        if _this_thread.fiber is not None:
            return _this_thread.fiber.wait(work)
        if not self._thread.is_alive():
            work.close()
            raise EventRouterError("this router is closed")
        host = _Host(is_spare=False)
        answers: list[Callable[[], T]] = []
        can_host = not _has_loop()
        self._inbox.put(lambda: self._begin(work, host, answers, can_host=can_host))
        while not answers:
            host.inbox.get()()
        return answers[0]()

    def call_handler(
        self, call: Callable[[], T], around: Around = nullcontext, *, may_wait_long: bool = False
    ) -> Fiber:
        """Have a handler run when it is its turn; in the loop. One that `may_wait_long` gets a spare thread."""
        fiber = Fiber(self, call, around, may_wait_long=may_wait_long)
        self._runnable.append(fiber)
        return fiber

    def close(self) -> None:
        """End the threads. One that hangs, in a handler that never returns, is left behind."""
        self._inbox.put(None)
        self._thread.join(CLOSE_LIMIT_S)

    @staticmethod
    def waiting_in_handler(work: Coroutine[Any, Any, T]) -> T | None:
        """Wait for `work` if this is a handler's thread, and return its result."""
        fiber = _this_thread.fiber
        if fiber is None:
            raise EventRouterError("only a handler can wait here")
        return fiber.wait(work)

    # What fibers use.

    def ready(self, fiber: Fiber) -> None:
        self._runnable.append(fiber)

    def forget(self, fiber: Fiber) -> None:
        self._runnable.remove(fiber)

    def tell(self, fiber: Fiber, message: Callable[[], None]) -> None:
        """Take word from the fiber whose turn it is: its turn is over."""

        def take() -> None:
            if self._active is fiber:
                self._active = None
            self._aside.discard(fiber)
            message()

        self._inbox.put(take)

    def free_host(self, fiber: Fiber) -> _Host:
        """Return a thread for a fiber."""
        if not fiber.may_wait_long:
            for host in self._callers:
                if host.is_free:
                    return host
        for host in self._spare:
            if host.is_free:
                return host
        host = _Host(is_spare=True)
        self._spare.append(host)
        threading.Thread(target=_serve, args=(host.inbox,), name="eventrouter-handler", daemon=True).start()
        return host

    # The loop's thread.

    def take(self, *, is_busy: bool) -> bool:
        """Give each handler that can go on its turn; say whether the loop has something to do now."""
        while True:
            if self._active is None and self._runnable:
                self._active = self._runnable.popleft()
                self._active.go()
            elif self._active is None and not self._aside:
                return is_busy
            elif is_busy and self._calls > 1:
                return True  # a thread that the handler waits for may have called
            try:
                message = self._inbox.get(timeout=THREADS_S if self._calls > 1 else None)
            except Empty:
                if self._active is not None:  # it waits for its threads, and they for somebody else's turn, or for time
                    self._aside.add(self._active)
                    self._active = None
                if self._runnable:
                    continue
                return False
            if message is not None:
                message()
            is_busy = True

    def _work(self) -> None:
        asyncio.set_event_loop(self.loop)
        while (message := self._inbox.get()) is not None:
            message()
        for host in self._spare:
            host.inbox.put(_leave)
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()

    def _begin(
        self, work: Coroutine[Any, Any, T], host: _Host, answers: list[Callable[[], T]], *, can_host: bool
    ) -> None:
        """Begin a call: as one more task if the loop runs, else by running the loop until it is done."""
        self._calls += 1

        async def whole() -> None:
            if can_host:
                self._callers.append(host)
            task = asyncio.ensure_future(work)
            try:
                await asyncio.wait((task,))
                while not host.is_free and await self.loop.step():
                    pass  # a handler that runs in the caller's thread comes to its end first
            finally:
                task.cancel()
                if can_host:
                    self._callers.remove(host)
            answers.append(task.result)

        def deliver(done: asyncio.Task[None]) -> None:
            self._calls -= 1
            if not answers:  # the loop itself has failed
                answers.append(lambda: _raise(done.exception() or asyncio.CancelledError()))
            host.inbox.put(_nothing)

        task = self.loop.create_task(whole())
        task.add_done_callback(deliver)
        if not self.loop.is_running():
            try:
                self.loop.run_until_complete(task)
            except BaseException as error:  # noqa: BLE001 - time has stopped, or the test is being ended
                if not answers:
                    caught = error
                    answers.append(lambda: _raise(caught))
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        self.loop.run_until_complete(task)


def _serve(inbox: SimpleQueue[Callable[[], None]]) -> None:
    """Run what comes, in a spare thread, until `_leave` comes."""
    while (work := inbox.get()) is not _leave:
        work()


def _leave() -> None:
    """End a spare thread."""


def _nothing() -> None:
    """Wake a caller."""


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _raise(error: BaseException) -> Any:
    raise error


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    """End a future with any exception; asyncio takes no StopIteration."""
    if isinstance(error, StopIteration):
        error = RuntimeError(f"the handler raised {error!r}")
    future.set_exception(error)
