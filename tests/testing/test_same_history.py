"""The same scenario has the same history in virtual time and on a real server with functions in processes.

Compared decision by decision for each event, shard and message; ids differ, and independent things may change places.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eventrouter.testing import Router, TestFunction
from eventrouter.testing.history import Moment
from eventrouter.testing.process_router import ProcessRouter
from tests.testing import process_handlers

pytestmark = [pytest.mark.property, pytest.mark.timeout(300)]

NEAR_S, NEAR_PART = 2.0, 0.05
"""How far times may be apart: the machine's own time passes too where functions are processes."""
OWN_FACTS = frozenset(
    {
        "duration_ms",
        "environment",
        "request_id",
        "message_id",
        "event_id",
        "mapping",
        "id",
        "due_at_ms",
        "visible_again_at_ms",
    }
)
"""What differs between two runs: ids, places and moments."""


@dataclass(frozen=True)
class Scenario:
    """What is sent, how often each of it fails, and by which settings."""

    events: Sequence[tuple[int, int]]  # seconds before it is sent, failures
    retries: int
    max_age: int
    messages: Sequence[int]
    queue: Mapping[str, Any]
    records: Sequence[int]
    stream: Mapping[str, Any]
    every_minutes: int | None


failures = st.integers(0, 4)
queues = st.fixed_dictionaries(
    {
        "batch": st.sampled_from(
            [{"batch_size": 1}, {"batch_size": 10, "window": 5}, {"batch_size": 10, "window": 20}]
        ),
        "delay": st.sampled_from([0, 15]),
        "visibility": st.sampled_from([30, 60]),
        "max_receives": st.integers(1, 3),
    }
).map(lambda found: {**found.pop("batch"), **found})
streams = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 6),
        "window": st.sampled_from([0, 5, 30]),
        "retries": st.integers(0, 3),
        "bisect": st.booleans(),
    }
)
scenarios = st.builds(
    Scenario,
    events=st.lists(st.tuples(st.sampled_from([0, 20, 100]), failures), max_size=2),
    retries=st.integers(0, 2),
    max_age=st.sampled_from([100, 21_600]),
    messages=st.lists(failures, max_size=3),
    queue=queues,
    records=st.lists(failures, max_size=5),
    stream=streams,
    every_minutes=st.sampled_from([None, 1, 2]),
)

Line = tuple[float, tuple[Any, ...]]
"""A moment, in seconds since the scenario began, and what happened."""


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take minutes
)
@given(scenario=scenarios)
def test_histories_are_the_same_in_virtual_time_and_in_processes(scenario: Scenario) -> None:
    with Router() as router:
        virtual = play(router, scenario)
    with ProcessRouter() as router:
        real = play(router, scenario)

    assert virtual.keys() == real.keys()
    for subject, lines in virtual.items():
        assert_same(subject, lines, real[subject])


def play(router: Router, scenario: Scenario) -> dict[str, list[Line]]:
    """Play a scenario; return what happened to each of its subjects, by names of our own."""
    play_id = uuid4().hex
    numbers = itertools.count()
    names: dict[Any, str] = {}

    def work(fails: int) -> dict[str, Any]:
        return {"id": f"{play_id}-{next(numbers)}", "fails": fails}

    def function(name: str) -> TestFunction:
        how = {"retries": scenario.retries, "max_age": scenario.max_age, "dlq": "dead"}
        return router.function(process_handlers.counted, name=name, **how)

    dead = router.queue("dead")
    of_messages, of_records, of_schedule = function("of_messages"), function("of_records"), function("of_schedule")
    of_events = [function(f"of_event_{number}") for number in range(len(scenario.events))]
    jobs = router.queue("jobs", to=of_messages, dlq="dead", **scenario.queue)
    clicks = router.stream("clicks", to=of_records, on_failure="dead", **scenario.stream)
    if scenario.every_minutes is not None:
        unit = "minute" if scenario.every_minutes == 1 else "minutes"
        router.schedule(f"rate({scenario.every_minutes} {unit})", to=of_schedule)
    began = router.elapsed

    if scenario.messages:
        entries = [
            {"Id": str(number), "MessageBody": json.dumps({"number": number, "fails": fails})}
            for number, fails in enumerate(scenario.messages)
        ]
        router.client("sqs").send_message_batch(QueueUrl=jobs.url, Entries=entries)
    if scenario.records:
        put = clicks.put(*(work(fails) for fails in scenario.records), key="k")
        names.update({sequence: f"record {number}" for number, sequence in enumerate(put)})
    event_ids = []
    for target, (pause, fails) in zip(of_events, scenario.events, strict=True):
        router.advance(pause)
        event_ids.append(target.send(work(fails)))
    router.run_until_idle()
    router.assert_no_loss()
    router.assert_no_overlap()

    seen = {f"event {number}": lines_of(router.history(each), began, names) for number, each in enumerate(event_ids)}
    for subject in {moment.subject for moment in router.history() if "/shardId-" in moment.subject}:
        lines, shard = lines_of(router.history(subject), began, names), subject.partition("/")[2]
        seen[shard] = [line for line in lines if line[1][0] != "on_failure_sent"]
        seen[f"{shard} told of"] = [line for line in lines if line[1][0] == "on_failure_sent"]  # while others go on
    for number in range(len(scenario.messages)):
        seen[f"message {number}"] = [
            (run.began_s - began, (run.outcome, sorted(bodies)))
            for run in of_messages.runs
            if number in (bodies := [json.loads(each["body"])["number"] for each in run.records])
        ]
    seen["schedule"] = [(moment.at - began, ()) for moment in router.history().of("fired")]
    seen["dead letters"] = [(0.0, (len(dead.messages()),))]
    seen["left"] = [(0.0, (len(jobs.messages()),))]
    seen["end"] = [(router.elapsed - began, ())]
    return seen


def lines_of(history: Sequence[Moment], began: float, names: Mapping[Any, str]) -> list[Line]:
    return [(each.at - began, (each.step, sorted(facts_of(each, names)))) for each in history]


def facts_of(moment: Moment, names: Mapping[Any, str]) -> list[tuple[str, Any]]:
    return [(name, names.get(value, value)) for name, value in moment.facts.items() if name not in OWN_FACTS]


def assert_same(subject: str, virtual: list[Line], real: list[Line]) -> None:
    if subject == "schedule":  # which firings are the last is a matter of when the rest was done
        shorter = min(len(virtual), len(real))
        assert max(len(virtual), len(real)) - shorter <= 1
        virtual, real = virtual[:shorter], real[:shorter]
    told = f"{subject}\nvirtual: {virtual}\nreal:    {real}"
    assert [what for _, what in virtual] == [what for _, what in real], told
    for (left, _), (right, _) in zip(virtual, real, strict=True):
        assert abs(left - right) <= max(NEAR_S, NEAR_PART * max(left, right)), told
