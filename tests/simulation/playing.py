"""Plays a seed or a plan, and has its story judged. The rest is imported late: a planted bug comes before it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from eventrouter.store.lua import Script
    from tests.simulation.plan import Plan


class Played(NamedTuple):
    """What one seed came to."""

    seed: int
    found: list[str]
    cpu_s: float
    ticked_s: float
    runs: int
    sent: int
    counts: dict[str, int]


def play_seed(seed: int, hours: float, scripts: Mapping[str, Script] | None = None) -> Played:
    """Play one seed."""
    from tests.simulation.plan import draw

    return play_plan(draw(seed, hours), scripts)


def play_job(job: tuple[int, float]) -> Played:
    """Play one seed, as a job of a pool."""
    return play_seed(*job)


def play_plan(plan: Plan, scripts: Mapping[str, Script] | None = None) -> Played:
    """Play a plan, and judge its story. A simulation that cannot go on has broken a promise too."""
    from eventrouter.store.lua import SCRIPTS
    from tests.simulation.checks import violations
    from tests.simulation.world import play

    began = time.process_time()
    try:
        story = play(plan, scripts or SCRIPTS)
    except Exception as error:  # whatever stops it is what was found
        return Played(plan.seed, [f"the simulation stopped: {error!r}"], time.process_time() - began, 0.0, 0, 0, {})
    return Played(
        seed=plan.seed,
        found=violations(plan, story),
        cpu_s=time.process_time() - began,
        ticked_s=story.ticked_s,
        runs=len(story.runs),
        sent=len(story.sent),
        counts=dict(story.counts),
    )


def kind_of(found: list[str]) -> str | None:
    """Return which promise was broken first: its words, without ids and numbers; None: none was."""
    return " ".join(word for word in found[0].split() if word.isalpha()) if found else None
