"""SIGTERM: running work ends, the rest is handed back untouched; a second signal does not wait."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.servers import ValkeyProcess, look
from tests.chaos.world import world
from tests.e2e.nodes import wait_until

CLEAN_EXITS = {0, 143}


def test_a_draining_node_finishes_what_runs_and_hands_back_the_rest(folder: Path, valkey: ValkeyProcess) -> None:
    with world(folder, reserved=3, valkey=valkey) as here:
        here.send(20, 0.4)
        wait_until("two events to run", lambda: len(here.history.in_flight()) >= 2)
        call = here.call(0.4)
        wait_until("the call to run or to be refused", lambda: call.done() or len(here.history.in_flight()) == 3)

        here.node.terminate()

        assert here.node.process.wait(20) in CLEAN_EXITS
        assert here.history.in_flight() == []
        begun = len(here.history.runs())
        assert begun < 21
        assert look(valkey.url, lambda store: store.slots.in_use(here.key)) == 0
        here.node.start()
        here.settle()
        by_id = [run.id for run in here.history.runs()]
        assert len(by_id) == len(set(by_id)), "an event that was handed back ran twice"


def test_a_second_signal_hands_back_at_once(folder: Path, valkey: ValkeyProcess) -> None:
    with world(folder, reserved=1, valkey=valkey) as here:
        here.send(1, 5, again=0)
        wait_until("the event to run", here.history.in_flight)
        here.node.terminate()
        wait_until("the drain to begin", lambda: not here.node.is_ready())

        with here.fault("second signal"):
            here.node.terminate()
            here.node.process.wait(8)

        assert here.history.done() == set(), "the node waited for the event"
        here.node.start()
        wait_until("the event to run again", lambda: len(here.history.runs()) == 2, seconds=20)
        here.settle()
