"""Environments with real processes: order, crashes, timeouts, init, and what is taken back."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from contextlib import contextmanager, suppress

import pytest

from eventrouter.errors import RuntimeFault
from eventrouter.rules.outcome import RunStatus, Succeeded, SystemFault
from eventrouter.runtime import pool, wire
from eventrouter.runtime.environment import Environment
from tests.runtime.support import (
    Results,
    a_function,
    a_runtime,
    an_invocation,
    answer,
    failure_of,
    invoke,
    invoke_one,
    is_running,
    tmp_of,
    until,
)

pytestmark = pytest.mark.integration

COUNTER = """
    import ctypes, os, pathlib, signal, subprocess, sys, time

    runs = 0

    def handler(event, context):
        global runs
        runs += 1
        with open("/tmp/begun", "a") as begun:
            begun.write(context.aws_request_id + "\\n")
        if isinstance(event, str):
            exec(event)
        return runs
"""


def test_invocations_sent_ahead_run_one_by_one_in_order(tmp_path):
    observed = []

    async def scenario():
        async with a_runtime(tmp_path, observed=observed) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            results = Results(lease)
            sent = results.submit(*range(500))
            runs = await results.of(sent)
            return [invocation.request_id for invocation in sent], list(results.runs), [answer(run) for run in runs]

    sent, done, answers = asyncio.run(scenario())

    assert done == sent
    assert answers == list(range(1, 501))
    assert [answer(run) for run in observed] == answers


def test_a_forked_child_that_comes_back_from_the_handler_answers_nothing(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            return await invoke(lease, *["os.fork()"] * 3, "time.sleep(0.1)", 0)

    assert [answer(run) for run in asyncio.run(scenario())] == [1, 2, 3, 4, 5]


def test_an_answer_that_nobody_asked_for_is_passed_over(tmp_path):
    forge = f"os.write(4, {wire.pack_result(wire.Result(wire.SUCCEEDED, 0, 1, 1, '', b'0'))!r} * 2)"

    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            complaints = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            await invoke(lease, forge, "time.sleep(0.1)")
            return complaints

    assert asyncio.run(scenario()) == []


def test_init_duration_is_told_on_the_first_invocation_only(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            return await invoke(lease, 1, 2)

    first, second = asyncio.run(scenario())

    assert first.init_ms is not None
    assert second.init_ms is None
    assert first.log_stream == second.log_stream
    assert 0 < first.max_memory_mb <= first.memory_mb == 128


def test_a_timeout_ends_the_process_but_keeps_tmp(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER, timeout_s=1), patience_s=5)
            return await invoke(lease, 1, "time.sleep(60)", "print(len(open('/tmp/begun').readlines()))")

    before, late, after = asyncio.run(scenario())

    assert answer(before) == 1
    assert late.status is RunStatus.TIMEOUT
    assert failure_of(late)["errorType"] == "Sandbox.Timedout"
    assert failure_of(late)["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert answer(after) == 1
    assert after.log == b"3\n"
    assert after.init_ms is None
    assert after.log_stream == before.log_stream


@pytest.mark.parametrize("is_in_own_session", [False, True])
def test_child_processes_die_with_a_timed_out_invocation(tmp_path, is_in_own_session):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            if is_in_own_session and runtime.not_applied:
                pytest.skip("strays are found by their mount namespace")
            function = a_function(tmp_path, COUNTER, timeout_s=1)
            lease = await runtime.lease(function, patience_s=5)
            children = (
                f"child = subprocess.Popen(['sleep', '600'], start_new_session={is_in_own_session});"
                "pathlib.Path('/tmp/pid').write_text(str(child.pid)); time.sleep(60)"
            )
            run = await invoke_one(lease, children)
            pid = int((tmp_of(lease) / "pid").read_text())
            await until(lambda: not is_running(pid), "the child process is dead")
            return run

    assert asyncio.run(scenario()).status is RunStatus.TIMEOUT


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("ctypes.string_at(0)", "Runtime exited with error: signal: segmentation fault"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "Runtime exited with error: signal: killed"),
    ],
)
def test_a_process_that_ends_fails_what_it_ran_and_nothing_else(tmp_path, statement, message):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            results = Results(lease)
            sent = results.submit(1, 2, statement, 4, 5)
            runs = await results.of(sent)
            begun = (tmp_of(lease) / "begun").read_text().split()
            return sent, list(results.runs), runs, begun

    sent, done, runs, begun = asyncio.run(scenario())

    ids = [invocation.request_id for invocation in sent]
    assert done == ids
    assert begun == ids, "each is begun once"
    assert [answer(run) for run in runs if isinstance(run.outcome, Succeeded)] == [1, 2, 1, 2]
    assert failure_of(runs[2]) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {ids[2]} Error: {message}",
    }
    assert runs[2].status is RunStatus.ERROR


def test_a_process_that_dies_idle_is_replaced_unseen(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            await invoke_one(lease, "__import__('threading').Timer(0.01, os._exit, [9]).start()")
            await until(lambda: lease.pid is None, "the process is gone")
            return await invoke_one(lease)

    assert answer(asyncio.run(scenario())) == 1


def test_recall_takes_back_what_has_not_begun(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            results = Results(lease)
            running, *waiting = results.submit(
                "while not os.path.exists('/tmp/go'): time.sleep(0.001)", 2, ["x" * 100_000], 4
            )
            await until(lambda: (tmp_of(lease) / "begun").exists(), "the first has begun")
            recalled = lease.recall()
            again = lease.recall()
            (tmp_of(lease) / "go").touch()
            await results.of([running])
            await results.of(results.submit(5))
            return waiting, recalled, again, len(results.runs)

    waiting, recalled, again, done = asyncio.run(scenario())

    assert recalled == waiting
    assert again == []
    assert done == 2


def test_recall_and_the_environment_never_both_have_an_invocation(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            for _ in range(20):
                results = Results(lease)
                sent = results.submit(*range(40))
                await until(lambda results=results: results.runs, "one is done")
                recalled = {invocation.request_id for invocation in lease.recall()}
                await until(lambda: lease.in_flight == 0, "the rest is done")
                assert recalled.isdisjoint(results.runs)
                assert recalled | set(results.runs) == {invocation.request_id for invocation in sent}

    asyncio.run(scenario())


def test_more_than_the_socket_holds_waits_on_the_node_side(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            return [answer(run) for run in await invoke(lease, *([["x" * 50_000]] * 40))]

    assert asyncio.run(scenario()) == list(range(1, 41))


def test_large_payloads_and_results_come_through(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            function = a_function(tmp_path, "def handler(event, context): return event")
            lease = await runtime.lease(function, patience_s=5)
            return await invoke(lease, "x" * 6_000_000, "y", "z" * 70_000)

    assert [len(answer(run)) for run in asyncio.run(scenario())] == [6_000_000, 1, 70_000]


def test_an_init_that_fails_twice_fails_the_invocation_with_its_error(tmp_path):
    source = "print('importing'); raise ValueError('no')"

    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, source), patience_s=5)
            return await invoke(lease, 1, 2)

    first, second = asyncio.run(scenario())

    assert failure_of(first)["errorType"] == "ValueError"
    assert failure_of(first)["requestId"] == ""
    assert first.status is RunStatus.ERROR
    assert first.init_ms is None
    assert b"\tPhase: init\tStatus: error\tError Type: ValueError\n" in first.log
    assert first.log.count(b"importing\n") == 2
    assert b"Phase: init" not in second.log
    for run in (first, second):
        assert run.log.count(b"\tPhase: invoke\tStatus: error\tError Type: ValueError\n") == 1


def test_a_process_that_exits_during_init_is_told_as_such(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, "import os; os._exit(7)"), patience_s=5)
            return await invoke_one(lease)

    run = asyncio.run(scenario())

    assert failure_of(run)["errorMessage"].endswith("Error: Runtime exited with error: exit status 7")
    assert b"Status: error\tError Type: Runtime.ExitError\n" in run.log


def test_an_init_over_its_limit_is_begun_again_within_the_first_invocation(tmp_path):
    source = """
        import os, time
        if not os.path.exists("/tmp/second"):
            open("/tmp/second", "w").close()
            time.sleep(60)
        def handler(event, context): return "ran"
    """

    async def scenario():
        async with a_runtime(tmp_path, init_limit_s=0.3) as runtime:
            lease = await runtime.lease(a_function(tmp_path, source), patience_s=5)
            return await invoke_one(lease)

    run = asyncio.run(scenario())

    assert answer(run) == "ran"
    assert b"\tPhase: init\tStatus: timeout\n" in run.log
    assert run.init_ms is None


def test_waiting_for_a_cpu_counts_neither_as_init_nor_as_silence_of_the_node(tmp_path):
    busy = """
        import time
        while time.process_time() < 0.15:
            pass
        def handler(event, context):
            return 1
    """
    environments = 16 * len(os.sched_getaffinity(0))

    async def scenario():
        async with a_runtime(tmp_path, init_limit_s=0.6, keeper_s=1.5) as runtime:
            function = a_function(tmp_path, busy)

            async def beat():
                while True:
                    runtime.beat()
                    await asyncio.sleep(0.05)

            beating = asyncio.create_task(beat())
            leases = await asyncio.gather(*(runtime.lease(function, patience_s=5) for _ in range(environments)))
            runs = [await invoke_one(lease) for lease in leases]
            beating.cancel()
            return [run.init_ms is not None for run in runs]

    assert all(asyncio.run(scenario())), "every first init was let finish"


def test_init_within_an_invocation_counts_in_its_timeout(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, init_limit_s=0.1) as runtime:
            function = a_function(tmp_path, "import time; time.sleep(60)", timeout_s=1)
            lease = await runtime.lease(function, patience_s=5)
            return await invoke_one(lease)

    run = asyncio.run(scenario())

    assert run.status is RunStatus.TIMEOUT
    assert run.duration_ms >= 1_000
    assert b"\tPhase: invoke\tStatus: timeout\n" in run.log


def test_the_time_that_is_left_is_less_by_an_init_within_the_invocation(tmp_path):
    source = """
        import os, time
        time.sleep(0.5)
        def handler(event, context):
            if event == "exit":
                os._exit(0)
            return context.get_remaining_time_in_millis()
    """

    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, source, timeout_s=5), patience_s=5)
            results = Results(lease)
            cold, _, after = await results.of([results.submit(event)[0] for event in ("", "exit", "")])
            return answer(cold), answer(after), answer(await invoke_one(lease, ""))

    cold, after, warm = asyncio.run(scenario())

    assert after <= 4_500 < cold
    assert after < warm


def test_memory_above_the_limit_is_killed_as_out_of_memory(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            return await invoke(lease, "kept = b'x' * (400 << 20); time.sleep(60)", 2)

    killed, after = asyncio.run(scenario())

    assert killed.outcome.error_type == "Runtime.OutOfMemory"
    assert failure_of(killed)["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert killed.max_memory_mb == 128
    assert answer(after) == 1


def test_memory_far_above_the_limit_is_refused_at_once(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            return await invoke_one(lease, "bytearray(20 << 30)")

    assert failure_of(asyncio.run(scenario()))["errorType"] == "MemoryError"


def test_kill_all_ends_what_runs_as_a_system_fault(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            results = Results(lease)
            sent = results.submit("time.sleep(60)", 2)
            await until(lambda: (tmp_of(lease) / "begun").exists(), "it has begun")
            pid = lease.pid
            await runtime.kill_all()
            assert pid is not None
            assert not is_running(pid)
            assert runtime.stats() == []
            late = Results(lease)
            return [*await results.of(sent), *await late.of(late.submit(3))]

    assert all(isinstance(run.outcome, SystemFault) for run in asyncio.run(scenario()))


def test_the_loss_of_the_zygote_is_a_system_fault_and_heals(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            function = a_function(tmp_path, COUNTER)
            lease = await runtime.lease(function, patience_s=5)
            results = Results(lease)
            sent = results.submit("subprocess.Popen(['sleep', '600']); time.sleep(60)")
            await until(lambda: (tmp_of(lease) / "begun").exists(), "it has begun")
            pid = lease.pid
            assert isinstance(lease, Environment)
            runtime.link._popen.kill()
            [lost] = await results.of(sent)
            lease.release()
            await until(lambda: pid is not None and not is_running(pid), "the environment is dead")
            return lost, await invoke_one(await runtime.lease(function, patience_s=5))

    lost, healed = asyncio.run(scenario())

    assert isinstance(lost.outcome, SystemFault)
    assert answer(healed) == 1


@contextmanager
def _all_descriptors_taken():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in taken:
            os.close(fd)


def test_an_invocation_that_cannot_be_sent_is_a_system_fault(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            function = a_function(tmp_path, COUNTER)
            lease = await runtime.lease(function, patience_s=5)
            results = Results(lease)
            unsendable = an_invocation(trace="x" * (1 << 20))  # no message may be that long
            results.submit_one(unsendable)
            [run] = await results.of([unsendable])
            return run, await invoke_one(await runtime.lease(function, patience_s=5))

    faulted, after = asyncio.run(scenario())

    assert isinstance(faulted.outcome, SystemFault)
    assert "could not be sent" in faulted.outcome.message
    assert answer(after) == 1


def test_without_descriptors_an_environment_is_refused_and_nothing_is_lost(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            function = a_function(tmp_path, COUNTER)
            lease = await runtime.lease(function, patience_s=5)
            with _all_descriptors_taken():
                with pytest.raises(RuntimeFault, match="Too many open files"):
                    await runtime.lease(function, patience_s=5)
                died, refused = await invoke(lease, "os._exit(0)", 0)
            await until(lambda: not runtime.stats(), "what could not start is gone")
            return died, refused, await invoke_one(await runtime.lease(function, patience_s=5))

    died, refused, after = asyncio.run(scenario())

    assert "exited" in failure_of(died)["errorMessage"]
    assert isinstance(refused.outcome, SystemFault)
    assert "Too many open files" in refused.outcome.message
    assert answer(after) == 1


def test_a_zygote_that_does_not_answer_cannot_keep_environments_alive(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "KILL_LIMIT_S", 0.1)

    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)
            pid = lease.pid
            runtime.link._popen.send_signal(signal.SIGSTOP)
            await runtime.kill_all()
            await until(lambda: pid is not None and not is_running(pid), "the environment is dead")

    asyncio.run(scenario())


def test_a_callback_that_raises_costs_nobody_else_anything(tmp_path):
    async def scenario():
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context["message"]))
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, COUNTER), patience_s=5)

            def broken(run):
                raise RuntimeError

            lease.submit(an_invocation(), broken)
            return answer(await invoke_one(lease)), complaints

    assert asyncio.run(scenario()) == (2, ["done of a run of 111122223333:eu-west-1:fn raised"])
