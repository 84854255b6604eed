"""The judge of chaos runs: it must object to each kind of broken promise, and to nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.proof.judge import judge, split
from tests.chaos.proof.recorder import Note
from tests.chaos.proof.recovery import RESTART, measure
from tests.chaos.proof.story import Chronicle, read

MS = 1_000_000
S = 1_000 * MS
FACTS = {
    "what": "facts",
    "t": 0,
    "retries": 2,
    "retry_base_s": 0.5,
    "reserved": {"events": 2, "calls": 1},
    "lanes": {"plain": 1},
    "records_batch": 3,
    "batch": 3,
    "visibility_s": 6,
    "most": 3,
    "rules": 1,
}


class Told:
    """A history that is told line by line; times are in milliseconds."""

    def __init__(self) -> None:
        self.notes: list[Note] = [dict(FACTS)]

    def note(self, what: str, t: float, **fields: Any) -> Told:
        self.notes.append({"what": what, "t": int(t * MS), **fields})
        return self

    def event(self, op: str, t: float, *, answer: str | None = "ok", errors: int = 0) -> Told:
        self.note("inv", t, op=op, plane="async", **({"errors": errors} if errors else {}))
        more = {"ok": {"status": 202, "id": f"id-{op}"}, "info": {"why": "cut"}, "fail": {"status": 429, "why": "no"}}
        return self if answer is None else self.note(answer, t + 1, op=op, **more[answer])

    def call(self, op: str, t: float, took: float = 5, **answer: Any) -> Told:
        self.note("inv", t, op=op, plane="sync")
        return self.note("ok", t + took, **{"op": op, "status": 200, "echo": op, "error": "", "kind": None, **answer})

    def run(self, op: str, start: float, end: float | None, outcome: str = "ok", *, pid: int = 1, **more: Any) -> Told:
        token = f"{op}-{len(self.notes)}"
        fields = {"plane": "async", "n": 1, "op": op, "id": f"id-{op}", "token": token, "pid": pid, "home": 9, "v": 1}
        self.note("start", start, **{**fields, **more})
        return self if end is None else self.note("end", end, token=token, outcome=outcome)

    def fault(self, kind: str, t: float, until: float, pids: list[int] | None, **more: Any) -> Told:
        return self.note("fault", t, kind=kind, target="n0", until=int(until * MS), pids=pids, **more)

    def read(self) -> Chronicle:
        if not any(note["what"] == "final" for note in self.notes):
            self.note("final", 10**6)
        return read(sorted(self.notes, key=lambda note: note["t"]))

    def broken(self) -> list[str]:
        return judge(self.read())


def the_one(told: Told) -> str:
    """Return the one thing that the judge objects to."""
    objections = told.broken()
    assert len(objections) == 1, objections
    return objections[0]


def test_a_clean_history_breaks_nothing() -> None:
    told = Told()
    told.event("a", 0).run("a", 10, 20)
    told.event("b", 5, errors=1).run("b", 10, 20, "error", pid=2).run("b", 600, 610, pid=2)
    told.call("c", 30).run("c", 31, 33, plane="sync")
    told.event("d", 40, answer="fail").event("e", 50, answer="info")

    assert told.broken() == []


def test_a_lost_event_is_found() -> None:
    assert the_one(Told().event("a", 0)) == "A1 lost: a"


def test_what_was_given_up_is_not_lost_if_a_dead_letter_tells_of_it() -> None:
    told = Told().event("a", 0, errors=99)
    for start in (10, 600, 1700):
        told.run("a", start, start + 5, "error")
    told.note("dest", 2000, queue="events", op="a", id="id-a", condition="RetriesExhausted", count=3)

    assert told.broken() == []

    told.note("dest", 2001, queue="events", op="a", id="id-a", condition="RetriesExhausted", count=3)
    assert the_one(told) == "A9: a is a dead letter 2 times"


def test_a_dead_letter_says_what_happened() -> None:
    told = Told().event("a", 0, errors=99).run("a", 10, 15, "error")
    told.note("dest", 20, queue="events", op="a", id="id-a", condition="RetriesExhausted", count=1)

    assert the_one(told) == "A9: a was given up for RetriesExhausted after 1 invocations"


def test_a_success_is_no_dead_letter() -> None:
    told = Told().event("a", 0).run("a", 10, 15)
    told.note("dest", 20, queue="events", op="a", id="id-a", condition="RetriesExhausted", count=3)

    assert the_one(told) == "A9: a succeeded and is a dead letter"


@pytest.mark.parametrize("plane", ["async", "sync"])
def test_what_was_never_sent_or_was_refused_does_not_run(plane: str) -> None:
    assert "ghost" in the_one(Told().run("a", 1, 2, plane=plane))

    told = Told().note("inv", 0, op="a", plane=plane).note("fail", 1, op="a", status=429, why="no")
    assert "refused" in the_one(told.run("a", 2, 3, plane=plane))


def test_an_event_of_an_unknown_fate_may_run_once_or_never() -> None:
    assert Told().event("a", 0, answer="info").run("a", 1, 2).event("b", 3, answer="info").broken() == []


def test_a_repeat_without_a_cause_is_found() -> None:
    told = Told().event("a", 0).run("a", 10, 20).run("a", 30, 40)

    assert the_one(told).startswith("A5: a")

    told.fault("environment kill", 22, 23, [1])
    assert told.broken() == []


def test_a_fault_excuses_only_what_it_hit_and_only_for_a_while() -> None:
    told = Told().event("a", 0).run("a", 10, 20).run("a", 30_000, 30_010)

    told.fault("environment kill", 15, 16, [7])
    assert the_one(told).startswith("A5: a")

    told.fault("environment kill", 20_000, 20_001, [1])
    assert the_one(told).startswith("A5: a")


def test_a_node_s_death_hits_what_it_had_forked() -> None:
    told = Told().event("a", 0).run("a", 10, None).run("a", 60, 70, pid=2)

    told.fault("node kill", 20, 21, [9])
    assert told.broken() == []


def test_runs_of_one_event_never_overlap() -> None:
    told = Told().event("a", 0).run("a", 10, None).run("a", 20, 30, pid=2)

    told.fault("node kill", 40, 41, [1])
    assert any(text.startswith("A6 overlap: a") for text in told.broken())


def test_a_run_that_vanished_is_found() -> None:
    told = Told().event("a", 0).run("a", 10, 20).event("b", 0).run("b", 30, None)

    assert "A1: b: b-7 never came to an end, and nothing killed it" in told.broken()


def test_a_retry_comes_neither_early_nor_too_often() -> None:
    told = Told().event("a", 0, errors=1).run("a", 10, 20, "error").run("a", 100, 110)
    assert the_one(told).startswith("A4: a")

    told.fault("clock", 50, 60, [])
    assert told.broken() == []

    told = Told().event("a", 0, errors=9)
    for start in (10, 600, 1700, 3300):
        told.run("a", start, start + 5, "error")
    told.run("a", 5400, 5401)
    assert the_one(told) == "A3: a failed 4 times with 2 retries"


def test_a_failure_that_nobody_asked_for_is_found() -> None:
    told = Told().event("a", 0).run("a", 10, 20, "error").run("a", 600, 610)

    assert the_one(told) == "A3: a failed 1 times and was told to fail 0 times"


def test_one_put_is_one_event() -> None:
    told = Told().event("a", 0).run("a", 10, 20).run("a", 30, 40, id="another").fault("node kill", 25, 26, [1])

    assert any(text == "A11: a became several events" for text in told.broken())


def test_a_call_runs_once_and_is_answered_in_time_with_its_own_answer() -> None:
    assert the_one(Told().call("c", 0).run("c", 1, 2, plane="sync").run("c", 3, 4, plane="sync")).startswith("S1")
    assert the_one(Told().call("c", 0, echo="d").run("c", 1, 2, plane="sync")).startswith("S2")
    assert the_one(Told().call("c", 0, 22_000).run("c", 1, 2, plane="sync")).startswith("S3")
    assert the_one(Told().note("inv", 0, op="c", plane="sync")) == "S3: call c was never answered"
    assert the_one(Told().call("c", 0)) == "S1: call c was answered and never ran"


def test_a_call_that_came_to_its_end_is_not_answered_as_killed() -> None:
    told = Told().call("c", 0, echo=None, error="Unhandled", kind="Runtime.ExitError").run("c", 1, 2, plane="sync")

    assert the_one(told).startswith("S7: call c came to its end")


def test_a_call_is_refused_only_when_the_limit_was_reached() -> None:
    refusal = {"status": 429, "why": "ReservedFunctionConcurrentInvocationLimitExceeded"}
    told = Told().note("inv", 5000, op="d", plane="sync").note("fail", 5001, op="d", **refusal)
    assert the_one(told).startswith("S4: call d")

    told.call("c", 4990, 20).run("c", 4995, 5005, plane="sync")
    assert told.broken() == []


def test_no_more_run_at_once_than_are_reserved() -> None:
    told = Told()
    for pid, op in enumerate("abc"):
        told.event(op, 0).run(op, 10, 20, pid=pid)

    assert the_one(told) == "C1: 3 of events ran at once with 2 reserved"


def test_an_environment_runs_one_thing_at_a_time() -> None:
    told = Told().event("a", 0).run("a", 10, 20).event("b", 0).run("b", 15, 25)

    assert the_one(told).startswith("C3: environment 1")


def test_what_is_sent_a_second_after_a_deploy_runs_the_new_code() -> None:
    told = Told().note("deploy", 100, function="events", version=2, began=0)
    told.event("a", 1050).run("a", 1060, 1070)
    assert told.broken() == []

    told.event("b", 1150).run("b", 1160, 1170)
    assert the_one(told) == "G12: b was sent after version 2 was deployed and ran version 1"


def test_a_rule_fires_once_for_each_minute_that_came_due() -> None:
    firing = {"plane": "schedule", "rule": "every-minute-0", "due": "2026-01-01T00:01:00Z"}
    told = Told().run("x", 10, 11, **firing)
    told.note("final", 10**6, due=["2026-01-01T00:01:00Z"])
    assert told.broken() == []

    told.run("x", 20, 21, **{**firing, "id": "another"})
    assert the_one(told).startswith("schedules: every-minute-0 at 2026-01-01T00:01:00Z became 2 events")

    told = Told().note("final", 10**6, due=["2026-01-01T00:01:00Z"])
    assert the_one(told) == "schedules: every-minute-0 did not fire at 2026-01-01T00:01:00Z"


@pytest.mark.parametrize("name", ["unresolved", "slots", "keys", "processes", "logs", "exits"])
def test_what_is_left_at_the_end_is_told(name: str) -> None:
    assert the_one(Told().note("final", 10**6, **{name: ["this"]})).endswith(": this")


def test_streams_and_queues_are_judged_too() -> None:
    told = Told().note("inv", 0, op="r", plane="stream", feed="plain", items=[["r-0", "k"]])
    told.note("ok", 1, op="r", items=[["r-0", "k", "shard", "5", None]])
    assert the_one(told) == "K plain: lost: r-0"

    told = Told().note("inv", 0, op="f", plane="queue", feed="fifo", items=[["f-0", "g"]])
    told.note("ok", 1, op="f", items=[["f-0", "g", "message", 5]])
    assert the_one(told) == "Q fifo: lost: f-0"


def test_a_checkpoint_never_goes_back() -> None:
    told = Told()
    for t, checkpoint in ((1, "5"), (2, "4")):
        told.note("probe", t, lanes={"plain": [["shard", 1, checkpoint]]})

    assert the_one(told).startswith("K plain: shard shard: Probe")


def test_recovery_is_measured_from_the_fault_that_cut_a_run_short() -> None:
    told = Told().event("a", 0).run("a", 10, None).run("a", 1_520, 1_530, pid=2)
    told.event("b", 0).run("b", 10, None, pid=3).run("b", 30, 40, pid=3)
    told.fault("environment kill", 15, 16, [3]).fault("node kill, restart", 20, 25, [9])

    assert measure(told.read()).taken == {("events", RESTART): [1.5]}


def test_a_handover_is_measured_from_the_last_batch_before_to_the_first_elsewhere() -> None:
    told = Told()
    for token, start, end, home in (("1", 10, 20, 5), ("2", 30, 130, 5), ("3", 330, 340, 6)):
        batch = {"plane": "stream", "feed": "plain", "n": 1, "records": [["r", "shard", token, "k"]]}
        told.note("start", start, token=token, pid=home, home=home, v=1, **batch)
        told.note("end", end, token=token, outcome="ok")
    told.fault("drain", 100, 200, [], below=[5])

    assert measure(told.read()).handovers == [0.2]


def test_a_failover_may_make_the_servers_forget_results_but_no_event() -> None:
    told = Told().event("a", 0).run("a", 10, 20).run("a", 30, 40).event("b", 5)
    chronicle = told.read()
    broken = judge(chronicle)
    assert split(broken, chronicle) == (broken, [])

    chronicle = told.fault("failover", 50_000, 50_001, None).read()
    kept, forgotten = split(judge(chronicle), chronicle)
    assert kept == ["A1 lost: b"]
    assert len(forgotten) == 1
    assert forgotten[0].startswith("A5: a")
