"""The clock of servers that travel in time."""

from __future__ import annotations

import asyncio

import pytest

from eventrouter.clock import Pause
from eventrouter.testing.virtual import run_virtual, virtual_clock
from eventrouter.travelling_clock import TravellingClock

pytestmark = pytest.mark.unit


def test_it_flows_as_the_machine_does_and_leaps_when_told():
    async def main():
        machine = virtual_clock()
        clock = TravellingClock(machine)
        before = clock.now_ms(), clock.monotonic()
        await asyncio.sleep(2)
        clock.set_ahead(60_000)
        return clock.now_ms() - before[0], clock.monotonic() - before[1], machine.monotonic()

    assert run_virtual(main()) == (62_000, 62.0, 2.0)


def test_who_sleeps_wakes_when_the_leap_reaches_it():
    async def main():
        clock = TravellingClock(virtual_clock())
        woken = []

        async def sleep(seconds):
            await clock.sleep(seconds)
            woken.append((seconds, virtual_clock().monotonic()))

        sleepers = [asyncio.create_task(sleep(seconds)) for seconds in (30, 90)]
        await asyncio.sleep(1)
        clock.set_ahead(59_000)
        await asyncio.gather(*sleepers)
        return woken

    assert run_virtual(main()) == [(30, 1.0), (90, 31.0)]


def test_a_look_is_made_in_the_machines_time_or_at_a_kick_or_when_something_is_due():
    async def main():
        machine = virtual_clock()
        clock = TravellingClock(machine)
        ends = []

        async def look(pause):
            await clock.pause(pause)
            ends.append(machine.monotonic())

        await look(Pause(5.0))
        kicked = asyncio.create_task(look(Pause(100.0)))
        await asyncio.sleep(1)
        clock.kick()
        await kicked
        due = asyncio.create_task(look(Pause(100.0, due_in_s=50.0)))
        await asyncio.sleep(1)
        clock.set_ahead(49_000)
        await due
        return ends

    assert run_virtual(main()) == [5.0, 6.0, 7.0]


def test_what_is_due_is_known_without_what_only_looks_or_recurs():
    async def main():
        clock = TravellingClock(virtual_clock())
        tasks = [
            asyncio.create_task(clock.pause(Pause(1.0))),
            asyncio.create_task(clock.pause(Pause(60.0, due_in_s=10.0, recurs=True))),
        ]
        await asyncio.sleep(0)
        only_recurring = clock.next_due_s(recurring=False), clock.next_due_s(recurring=True)
        tasks.append(asyncio.create_task(clock.sleep(30)))
        await asyncio.sleep(0)
        both = clock.next_due_s(recurring=False), clock.next_due_s(recurring=True)
        for task in tasks:
            task.cancel()
        return only_recurring, both

    assert run_virtual(main()) == ((None, 10.0), (30.0, 10.0))
