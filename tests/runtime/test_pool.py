"""The pool: which environment a lease gets, who waits, who is ended."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace

import pytest

from eventrouter.errors import RuntimeFault
from eventrouter.runtime.facts import EnvironmentState
from tests.runtime.support import Directories, Results, a_function, a_name, a_runtime, answer, invoke_one, tmp_of, until

pytestmark = pytest.mark.integration

HANDLER = """
    import time
    runs = 0
    def handler(event, context):
        global runs
        runs += 1
        if event: time.sleep(event)
        return runs
"""


class FirstFails(Directories):
    """Code that cannot be had while it is waited for, and can be afterwards."""

    def __init__(self):
        self.fails = asyncio.Event()

    async def directory(self, code):
        if not self.fails.is_set():
            await self.fails.wait()
            raise RuntimeFault("no such package")
        return await super().directory(code)


def test_an_idle_environment_is_taken_again_the_last_used_first(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            function = a_function(tmp_path, HANDLER)
            assert runtime.try_lease(function) is None
            one = await runtime.lease(function, patience_s=5)
            other = await runtime.lease(function, patience_s=5)
            assert one is not other
            other.release()
            one.release()
            assert runtime.try_lease(function) is one
            assert await runtime.lease(function, patience_s=5) is other
            assert runtime.try_lease(function) is None
            return answer(await invoke_one(one)), answer(await invoke_one(one))

    assert asyncio.run(scenario()) == (1, 2)


def test_another_generation_has_environments_of_its_own(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            function = a_function(tmp_path, HANDLER)
            (await runtime.lease(function, patience_s=5)).release()
            assert runtime.try_lease(replace(function, generation=2)) is None
            assert runtime.try_lease(function) is not None

    asyncio.run(scenario())


def test_retired_environments_end_when_idle_and_not_before(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            function, stranger = a_function(tmp_path, HANDLER), a_function(tmp_path, HANDLER, name="other")
            idle, busy = [await runtime.lease(function, patience_s=5) for _ in range(2)]
            (await runtime.lease(stranger, patience_s=5)).release()
            idle.release()
            results = Results(busy)
            sent = results.submit(0.05)

            runtime.retire(a_name())

            await until(lambda: len(runtime.stats()) == 2, "the idle one has ended")
            [run] = await results.of(sent)
            busy.release()
            await until(lambda: len(runtime.stats()) == 1, "the busy one has ended")
            assert runtime.try_lease(function) is None
            return answer(run), runtime.stats()[0].function

    assert asyncio.run(scenario()) == (1, a_name("other"))


def test_an_environment_that_idles_too_long_is_ended(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, environment_idle_s=0.2) as runtime:
            function = a_function(tmp_path, HANDLER)
            kept, idle = [await runtime.lease(function, patience_s=5) for _ in range(2)]
            idle.release()
            await until(lambda: len(runtime.stats()) == 1, "the idle one has ended")
            assert runtime.stats()[0].id == kept.id
            kept.release()
            await until(lambda: not runtime.stats(), "the other one too")

    asyncio.run(scenario())


def test_at_the_limit_leases_wait_for_their_turn(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, max_environments=1) as runtime:
            function = a_function(tmp_path, HANDLER)
            held = await runtime.lease(function, patience_s=5)
            order = []

            async def wait(name):
                lease = await runtime.lease(function, patience_s=5)
                order.append(name)
                await invoke_one(lease)
                lease.release()

            waiting = [asyncio.create_task(wait(name)) for name in "abc"]
            await asyncio.sleep(0)
            assert order == []
            held.release()
            await asyncio.gather(*waiting)
            return order, len(runtime.stats())

    assert asyncio.run(scenario()) == (["a", "b", "c"], 1)


def test_at_the_limit_the_longest_idle_environment_of_others_makes_room(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, max_environments=2) as runtime:
            names = ("old", "young", "new")
            old, young, new = [a_function(tmp_path, HANDLER, name=name) for name in names]
            leases = [await runtime.lease(function, patience_s=5) for function in (old, young)]
            for lease in leases:
                lease.release()
            await runtime.lease(new, patience_s=5)
            return sorted(info.function.name for info in runtime.stats())

    assert asyncio.run(scenario()) == ["new", "young"]


def test_patience_ends_in_a_runtime_fault_and_keeps_no_place(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, max_environments=1) as runtime:
            function = a_function(tmp_path, HANDLER)
            held = await runtime.lease(function, patience_s=5)
            with pytest.raises(RuntimeFault, match="all 1 environments of this node are in use"):
                await runtime.lease(function, patience_s=0.01)
            cancelled = asyncio.create_task(runtime.lease(function, patience_s=5))
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.gather(cancelled, return_exceptions=True)
            held.release()
            return await runtime.lease(function, patience_s=0.01) is held

    assert asyncio.run(scenario())


def test_a_lease_that_is_given_up_as_its_turn_comes_passes_it_on(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, max_environments=1) as runtime:
            function = a_function(tmp_path, HANDLER)
            held = await runtime.lease(function, patience_s=5)
            first, second = [asyncio.create_task(runtime.lease(function, patience_s=5)) for _ in range(2)]
            await asyncio.sleep(0)
            first.cancel()
            held.release()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await second is held

    assert asyncio.run(scenario())


def test_a_start_that_fails_gives_its_room_to_who_waits(tmp_path):
    async def scenario():
        packages = FirstFails()
        async with a_runtime(tmp_path, max_environments=1, packages=packages) as runtime:
            function = a_function(tmp_path, HANDLER)
            failing = asyncio.create_task(runtime.lease(function, patience_s=5))
            await asyncio.sleep(0)
            waiting = asyncio.create_task(runtime.lease(function, patience_s=2))
            await asyncio.sleep(0)
            packages.fails.set()
            with pytest.raises(RuntimeFault, match="no such package"):
                await failing
            return await invoke_one(await waiting)

    assert answer(asyncio.run(scenario())) == 1


def test_the_data_directory_keeps_its_mode_and_so_does_what_a_link_leads_to(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir(mode=0o755)
    elsewhere.touch(mode=0o644)

    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, HANDLER), patience_s=5)
            locked = tmp_of(lease) / "locked"
            locked.mkdir()
            (locked / "link").symlink_to(elsewhere)
            locked.chmod(0o500)

    asyncio.run(scenario())

    assert stat.S_IMODE(data.stat().st_mode) == 0o755
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


def test_a_start_that_is_given_up_makes_room_again(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, max_environments=1) as runtime:
            slow = a_function(tmp_path, "import time; time.sleep(60)", name="slow")
            starting = asyncio.create_task(runtime.lease(slow, patience_s=5))
            await until(lambda: runtime.stats(), "it starts")
            assert runtime.stats()[0].state is EnvironmentState.STARTING
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            return await invoke_one(await runtime.lease(a_function(tmp_path, HANDLER), patience_s=5))

    assert answer(asyncio.run(scenario())) == 1


def test_code_that_cannot_be_had_costs_no_room(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, max_environments=1) as runtime:
            function = a_function(tmp_path, HANDLER)
            gone = replace(function, code=replace(function.code, directory=str(tmp_path / "nothing")))
            with pytest.raises(RuntimeFault):
                await runtime.lease(gone, patience_s=5)
            return await invoke_one(await runtime.lease(function, patience_s=5))

    assert answer(asyncio.run(scenario())) == 1


def test_stats_tell_what_each_environment_does(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            function = a_function(tmp_path, HANDLER)
            idle, leased = [await runtime.lease(function, patience_s=5) for _ in range(2)]
            idle.release()
            results = Results(leased)
            sent = results.submit(0, 0)
            states = {info.id: (info.state, info.in_flight) for info in runtime.stats()}
            await results.of(sent)
            return states == {idle.id: (EnvironmentState.IDLE, 0), leased.id: (EnvironmentState.LEASED, 2)}

    assert asyncio.run(scenario())


def test_it_runs_on_uvloop_too(tmp_path):
    uvloop = pytest.importorskip("uvloop")

    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, HANDLER, timeout_s=1), patience_s=5)
            results = Results(lease)
            runs = await results.of(results.submit(0, 30, 0))
            return [run.status.value for run in runs]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(scenario()) == ["success", "timeout", "success"]


def test_there_is_room_while_one_may_start_or_one_is_idle_and_nobody_waits_for_it(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, max_environments=2) as runtime:
            function, other = [a_function(tmp_path, HANDLER, name=name) for name in ("orders", "audit")]
            first = await runtime.lease(function, patience_s=5)
            assert runtime.has_room(other), "one more may start"
            second = await runtime.lease(function, patience_s=5)
            assert not runtime.has_room(function)
            first.release()
            assert runtime.has_room(function), "it is idle"
            assert runtime.has_room(other), "it can be ended"
            await runtime.lease(function, patience_s=5)
            waiting = asyncio.create_task(runtime.lease(other, patience_s=5))
            await asyncio.sleep(0)
            assert not runtime.has_room(function)
            second.release()
            await waiting
            assert not runtime.has_room(function)

    asyncio.run(scenario())
