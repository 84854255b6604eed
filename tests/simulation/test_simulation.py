"""Several nodes keep their promises whatever happens to them; one seed is one story; and planted bugs are found.

This is the bounded part. `make simulate` plays as many seeds as one likes, and `make simulate MUTANTS=1` plants every
bug of `mutants.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.simulation.checks import violations
from tests.simulation.mutants import MUTANTS, scripts_with
from tests.simulation.plan import Episode, Plan, Step, draw
from tests.simulation.playing import play_plan
from tests.simulation.shrink import shrink
from tests.simulation.world import play

pytestmark = pytest.mark.chaos

HOURS = 6.0
QUICK = ("retry that forgets to requeue", "claim that drops the index", "messages received for ever")
"""Planted bugs that the first seeds find."""


@pytest.mark.parametrize("seed", range(6))
def test_every_promise_is_kept_whatever_happens(seed: int) -> None:
    plan = draw(seed, HOURS)

    assert violations(plan, play(plan)) == []


def test_hours_without_trouble_are_leapt_over() -> None:
    quiet = Plan(seed=1, hours=240, shape=draw(1, 1).shape, episodes=(Episode(240.0, (), ()),))

    story = play(quiet)

    assert violations(quiet, story) == []
    assert sum(ran.function == "ticks" for ran in story.runs) >= 119, "a rule fires every two hours all the same"
    assert story.ticked_s < 120


SHOW = """
from tests.simulation.plan import draw
from tests.simulation.world import play
story = play(draw({seed}, 6.0))
print([(ran.function, ran.node, ran.start, ran.end, ran.outcome) for ran in story.runs], story.notes, story.counts)
"""


def test_one_seed_is_one_story() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", SHOW.format(seed=3)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(told) == 1


def test_a_plan_survives_being_written_down() -> None:
    plan = draw(5, 48)

    assert Plan.read(plan.dump()) == plan


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found(name: str) -> None:
    scripts = scripts_with(MUTANTS[name])

    assert any(play_plan(draw(seed, 1.0), scripts).found for seed in range(10))


def test_a_plan_that_fails_is_shrunk_to_what_it_takes() -> None:
    needed = Step(3.0, "kill", {"node": 1, "seconds": 2.0})
    plan = draw(7, 18)
    plan = replace(
        plan, episodes=(replace(plan.episodes[0], faults=(*plan.episodes[0].faults, needed)), *plan.episodes[1:])
    )

    smallest = shrink(plan, lambda some: any(needed in episode.faults for episode in some.episodes))

    assert smallest.episodes == (Episode(plan.episodes[0].after_h, (), (needed,)),)
