"""The time that handlers see: the machine's, or the node's if they ask for it."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Any

import pytest

from eventrouter.testing import InvocationFailed, Router

pytestmark = pytest.mark.integration


def test_a_handler_that_asks_for_it_sees_virtual_time() -> None:
    def look(event: Any, context: Any) -> list[Any]:
        return [time.time(), time.time_ns() / 1e9, datetime.now(UTC).timestamp(), date.today().isoformat()]  # noqa: DTZ011 - what handlers do

    with Router() as router:
        function = router.function(look, sees_virtual_time=True)
        router.advance(86_400)
        wall = router.now.timestamp()
        *seen, day = function.invoke()
        assert seen == pytest.approx([wall] * 3)
        assert day == router.now.date().isoformat() == "2026-01-02"


def test_a_handler_that_does_not_sees_real_time() -> None:
    with Router() as router:
        function = router.function(lambda event, context: time.time())
        before = time.time()
        assert before <= function.invoke() <= time.time()


def test_sleeping_costs_virtual_time_only() -> None:
    def nap(event: Any, context: Any) -> list[float]:
        began, wall = time.monotonic(), time.time()
        time.sleep(40)
        return [time.monotonic() - began, time.time() - wall]

    with Router() as router:
        function = router.function(nap, sees_virtual_time=True, timeout=60)
        began = time.monotonic()
        assert function.invoke() == pytest.approx([40, 40])
        assert time.monotonic() - began < 20
        assert function.runs[0].ended_s == pytest.approx(function.runs[0].began_s + 40)


def test_a_timeout_cuts_a_sleep() -> None:
    left: list[str] = []

    def nap(event: Any, context: Any) -> None:
        try:
            time.sleep(40)
        except Exception:
            left.append("caught")
            raise
        finally:
            left.append("left")

    with Router() as router:
        function = router.function(nap, sees_virtual_time=True, timeout=3)
        with pytest.raises(InvocationFailed, match=r"Task timed out after 3\.00 seconds"):
            function.invoke()
        router.run_until_idle()
        assert left == ["left"]
        assert function.errors == ["Sandbox.Timedout"]


def test_time_is_real_again_between_two_runs_and_while_one_waits() -> None:
    real_sleep = time.sleep

    def nap(event: Any, context: Any) -> None:
        time.sleep(1)

    with Router() as router:
        function = router.function(nap, sees_virtual_time=True)
        function.invoke()
        assert time.sleep is real_sleep
        assert abs(time.time() - datetime.now(UTC).timestamp()) < 60
        assert time.time() != router.now.timestamp()


def test_coroutine_handlers_see_virtual_time_too() -> None:
    async def look(event: Any, context: Any) -> float:
        import asyncio

        before = time.time()
        await asyncio.sleep(7)
        return time.time() - before

    with Router() as router:
        assert router.function(look, sees_virtual_time=True, timeout=30).invoke() == pytest.approx(7)
