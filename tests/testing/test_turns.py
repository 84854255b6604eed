"""The loop and the handlers take turns, in the threads where they belong."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from eventrouter.errors import EventRouterError
from eventrouter.testing.turns import Stopped, Turns

pytestmark = pytest.mark.unit


@pytest.fixture
def turns():
    turns = Turns()
    yield turns
    turns.close()


async def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_handler_runs_in_the_thread_that_called(turns):
    async def main():
        return await turns.call_handler(threading.current_thread).result

    assert turns.run(main()) is threading.current_thread()


def test_a_handler_may_call_and_others_have_their_turn_meanwhile(turns):
    order = []

    async def later(seconds):
        await asyncio.sleep(seconds)
        return seconds

    def handler(name, seconds):
        order.append(f"{name} begins")
        turns.run(later(seconds))
        order.append(f"{name} ends")

    async def main():
        first = turns.call_handler(lambda: handler("first", 10))
        second = turns.call_handler(lambda: handler("second", 5))
        await asyncio.gather(first.result, second.result)
        return await now()

    assert turns.run(main()) == 10
    assert order == ["first begins", "second begins", "second ends", "first ends"]


def test_what_a_handler_raises_reaches_who_waits_for_it(turns):
    def handler():
        raise KeyError("orders")

    async def main():
        await turns.call_handler(handler).result

    with pytest.raises(KeyError, match="orders"):
        turns.run(main())


def test_a_stop_iteration_does_not_break_the_loop(turns):
    async def main():
        await turns.call_handler(lambda: next(iter(()))).result

    with pytest.raises(RuntimeError, match="StopIteration"):
        turns.run(main())


def test_a_handler_that_waits_can_be_stopped(turns):
    caught = []

    def handler():
        try:
            turns.run(asyncio.sleep(3_600))
        except Stopped:
            caught.append("stopped")
            raise

    async def main():
        run = turns.call_handler(handler)
        await asyncio.sleep(3)
        run.stop()
        with pytest.raises(Stopped):
            await run.result
        return await now()

    assert turns.run(main()) == 3
    assert caught == ["stopped"]


def test_threads_of_a_handler_may_call(turns):
    def handler():
        with ThreadPoolExecutor(4) as pool:
            return sorted(pool.map(lambda seconds: turns.run(asyncio.sleep(seconds, seconds)), (3, 1, 2)))

    async def main():
        return await turns.call_handler(handler).result

    assert turns.run(main()) == [1, 2, 3]


def test_threads_of_a_handler_may_call_for_another_handler(turns):
    async def invoke():
        return await turns.call_handler(lambda: "inner").result

    def handler():
        with ThreadPoolExecutor(2) as pool:
            return [each.result() for each in [pool.submit(turns.run, invoke()) for _ in range(2)]]

    async def main():
        return await turns.call_handler(handler).result

    assert turns.run(main()) == ["inner", "inner"]


def test_within_a_running_loop_handlers_run_elsewhere(turns):
    def handler():
        return asyncio.run(asyncio.sleep(0, "its own loop"))

    async def main():
        return await turns.call_handler(handler).result

    async def test():
        return turns.run(main())

    assert asyncio.run(test()) == "its own loop"


def test_a_call_that_nothing_can_end_is_an_error(turns):
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="virtual time has stopped"):
        turns.run(main())
    assert turns.run(now()) == 0, "the loop goes on"


def test_after_the_end_calls_are_refused():
    turns = Turns()
    turns.close()

    with pytest.raises(EventRouterError, match="closed"):
        turns.run(now())
