"""kill -9 of environments, of the node and of Redis, in the middle of work. The history must keep every promise."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.chaos.processes import descendants, is_alive
from tests.chaos.servers import ValkeyProcess
from tests.chaos.world import QUICK, world
from tests.e2e.nodes import NodeProcess, wait_until


def test_killed_environments_cost_one_attempt_each_and_no_event(folder: Path, valkey: ValkeyProcess) -> None:
    with world(folder, reserved=4, valkey=valkey) as here:
        here.send(20, 0.2)
        hit: set[str] = set()
        while len(hit) < 6:
            victim = wait_until(
                "a run to kill", lambda: next((run for run in here.history.in_flight() if run.id not in hit), None)
            )
            hit.add(victim.id)
            here.kill_environment(victim.pid)

        here.settle()

        assert here.node.metric("Invocations", here.name) == len(here.history.runs())
        assert here.all_slots_work()


def test_a_killed_environment_is_charged_to_the_run_that_it_had_begun_only(folder: Path, valkey: ValkeyProcess) -> None:
    with world(folder, reserved=2, valkey=valkey) as here:
        here.send(400, 0.005)  # short runs: several are sent ahead to each environment
        for done in (50, 150, 250):
            wait_until("some work", lambda enough=done: len(here.history.done()) >= enough)
            here.kill_environment(wait_until("a run to kill", here.history.in_flight)[-1].pid)

        here.settle()

        assert here.node.metric("Errors", here.name) <= 3


def test_a_synchronous_call_whose_environment_is_killed_is_answered_as_a_function_error(
    folder: Path, valkey: ValkeyProcess
) -> None:
    with world(folder, reserved=1, valkey=valkey) as here:
        call = here.call(15)
        (run,) = wait_until("the run to start", here.history.in_flight)

        here.kill_environment(run.pid)

        error = call.result(10)
        assert error == {  # type: ignore[comparison-overlap]
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {run.id} Error: Runtime exited with error: signal: killed",
        }
        here.settle()
        assert here.all_slots_work()


def test_a_node_killed_and_started_again_loses_nothing_and_runs_nothing_twice_at_once(
    folder: Path, valkey: ValkeyProcess
) -> None:
    with world(folder, reserved=3, valkey=valkey) as here:
        here.send(60, 0.05)
        here.send(6, 0.05, errors=1)
        for done in (10, 30):
            cut = here.call(10)
            wait_until("some work", lambda enough=done: len(here.history.done()) >= enough)
            here.kill_node()
            assert cut.exception(15) is not None
            here.node.start()

        here.settle()

        assert here.all_slots_work()


def test_a_dev_node_with_its_own_server_keeps_its_events_through_kill_9(folder: Path) -> None:
    with world(folder, reserved=2) as here:
        here.send(40, 0.05)
        wait_until("some work", lambda: len(here.history.done()) >= 5)
        here.kill_node()
        here.node.start()

        here.settle()

        assert here.all_slots_work()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_no_process_outlives_a_node(folder: Path, end: str) -> None:
    with world(folder, reserved=2) as here:
        here.send(4, 0.5 if end == "stop" else 15)
        wait_until("two runs", lambda: len(here.history.in_flight()) == 2)
        below = descendants(here.node.process.pid)
        assert len(below) >= 3, "the server, and two environments at least"

        if end == "kill":
            here.kill_node()
        else:
            here.node.stop()

        wait_until("its processes to be gone", lambda: not [pid for pid in below if is_alive(pid)], seconds=12)


def test_others_take_over_from_a_node_that_was_killed_and_from_one_that_is_stopped(
    folder: Path, valkey: ValkeyProcess
) -> None:
    with world(folder, reserved=3, valkey=valkey) as here, ExitStack() as others:
        nodes = [here.node, *(others.enter_context(_node(folder / name, valkey)) for name in ("second", "third"))]
        for node in nodes:
            here.run_once_on(node)
        (long,) = here.send(1, 20, again=0)
        here.send(30, 0.1)
        wait_until("some work", lambda: len(here.history.done()) >= 9)
        run = next(run for run in here.history.in_flight() if run.id == long)
        stopped = next(node for node in nodes if run.pid in descendants(node.process.pid))
        killed = next(node for node in nodes if node is not stopped)

        with here.fault("one node killed, one stopped"):
            stopped.process.send_signal(signal.SIGSTOP)
            killed.kill()
            wait_until("the stopped node's environments to be ended", lambda: not is_alive(run.pid), seconds=12)

        here.settle(seconds=40)
        stopped.process.send_signal(signal.SIGCONT)
        wait_until("the stopped node to take part again", stopped.is_ready)
        here.run_once_on(stopped)
        here.settle()


@contextmanager
def _node(data_dir: Path, valkey: ValkeyProcess) -> Iterator[NodeProcess]:
    node = NodeProcess(data_dir, redis_url=valkey.url, environment=QUICK)
    try:
        yield node.start()
    finally:
        node.stop()


@pytest.mark.parametrize("outage_s", [0.0, 2.0])
def test_a_redis_killed_and_started_again_costs_no_accepted_event(
    folder: Path, valkey: ValkeyProcess, outage_s: float
) -> None:
    with world(folder, reserved=3, valkey=valkey) as here:
        here.send(40, 0.1)
        wait_until("some work", lambda: len(here.history.done()) >= 5)
        here.kill_valkey()
        if outage_s:
            here.try_to_send(0.05)  # waits as long as the node is ready to wait for its Redis
        valkey.start()
        wait_until("events to be accepted again", lambda: here.try_to_send(0.05), seconds=20)

        here.settle()

        assert here.all_slots_work()
