"""Virtual time that stops only where something is due."""

from __future__ import annotations

import asyncio

import pytest

from eventrouter.clock import Pause
from eventrouter.testing.leaping import LeapingClock, LeapingLoop, StandingClock

pytestmark = pytest.mark.unit


def leap(main):
    """Run `main(loop, clock)` on a leaping loop of its own."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        loop = runner.get_loop()
        return runner.run(main(loop, LeapingClock(loop)))


def test_a_look_that_nothing_is_due_for_never_stops_time():
    async def main(loop, clock):
        looks = []

        async def look_forever():
            while True:
                looks.append(clock.monotonic())
                await clock.pause(Pause(1.0))

        looking = asyncio.create_task(look_forever())
        await clock.sleep(7 * 86_400)
        looking.cancel()
        return looks

    assert len(leap(main)) <= 2


def test_a_change_is_looked_at_before_time_moves():
    async def main(loop, clock):
        found = []
        changed = asyncio.Event()

        async def look():
            while not changed.is_set():
                await clock.pause(Pause(1.0))
            found.append(clock.monotonic())

        looking = asyncio.create_task(look())
        await clock.sleep(10)
        changed.set()
        loop.touch(b"{er:e0}:idx")
        await clock.sleep(3_600)
        await looking
        return found

    assert leap(main) == [10.0]


@pytest.mark.parametrize(
    ("key", "before_quiet"),
    [(b"{er:e0}:clk", 0), (b"{er:q:1:jobs}:rn", 0), (b"{er:l:0:r:/aws/lambda/f}:d", 1), (b"{er:a}:use", 1)],
)
def test_keys_in_which_no_look_finds_anything_make_none_look(key, before_quiet):
    async def main(loop, clock):
        looks = []

        async def look_forever():
            while True:
                looks.append(clock.monotonic())
                await clock.pause(Pause(1.0))

        looking = asyncio.create_task(look_forever())
        await clock.sleep(1)
        before = len(looks)
        loop.touch(key)
        await clock.sleep(10)
        after = len(looks)
        await loop.wait_quiet()
        looking.cancel()
        return after - before, len(looks) - after

    assert leap(main) == (0, before_quiet), "only who waits for quiet sees what others have written"


def test_what_a_pause_says_is_due_stops_time():
    async def main(loop, clock):
        await clock.pause(Pause(1.0, due_in_s=90.0))
        return clock.monotonic()

    assert leap(main) == 90.0


def test_idle_is_when_only_what_recurs_is_left():
    async def main(loop, clock):
        fired = []

        async def schedule():
            while True:
                await clock.pause(Pause(1.0, due_in_s=60.0, recurs=True))
                fired.append(clock.monotonic())

        recurring = asyncio.create_task(schedule())
        once = asyncio.create_task(clock.sleep(150))
        due = await loop.wait_idle(1e9)
        recurring.cancel()
        return due, once.done(), fired, clock.monotonic()

    assert leap(main) == (None, True, [60.0, 120.0], 150.0)


def test_waiting_for_idle_ends_where_it_may_not_go_on():
    async def main(loop, clock):
        later = asyncio.create_task(clock.sleep(500))
        due = await loop.wait_idle(100.0)
        later.cancel()
        return due, clock.monotonic()

    assert leap(main) == (500.0, 0.0)


def test_time_outs_of_unhurried_waits_do_not_move_time():
    async def main(loop, clock):
        async def read():
            with clock.unhurried():
                async with asyncio.timeout(5):
                    await asyncio.get_running_loop().create_future()

        reading = asyncio.create_task(read())
        await clock.sleep(3_600)
        assert not reading.done()
        reading.cancel()
        return clock.monotonic()

    assert leap(main) == 3_600


def test_looks_that_always_change_something_end_the_test_instead_of_hanging_it(monkeypatch):
    monkeypatch.setattr("eventrouter.testing.leaping.MOST_ROUNDS", 100)

    async def main(loop, clock):
        async def restless():
            while True:
                loop.touch(b"{er:a}:restless")
                await clock.pause(Pause(1.0))

        busy = asyncio.create_task(restless())
        try:
            await clock.sleep(1)
        finally:
            busy.cancel()

    with pytest.raises(RuntimeError, match="restless"):
        leap(main)


def test_the_machine_does_not_age_while_time_leaps():
    async def main(loop, clock):
        machine = StandingClock(loop)
        waiting = asyncio.create_task(machine.pause(Pause(1.0)))
        await clock.sleep(86_400)
        assert not waiting.done()
        waiting.cancel()
        return machine.monotonic()

    assert leap(main) == 0.0
