"""Makes a plan that fails smaller, as long as it still fails: fewer faults first, then less load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.simulation.plan import Plan, Step

Placed = tuple[int, Step]
"""A step, and the number of its episode."""


def shrink(plan: Plan, fails: Callable[[Plan], bool], *, tries: int = 200) -> Plan:
    """Return the smallest plan found that still fails, within so many tries."""
    left = [tries]

    def still_fails(smaller: Plan) -> bool:
        left[0] -= 1
        return left[0] >= 0 and fails(smaller)

    for number in reversed(range(len(plan.episodes))):
        rest = plan.episodes[:number] + plan.episodes[number + 1 :]
        if rest and still_fails(replace(plan, episodes=rest)):
            plan = replace(plan, episodes=rest)
    faults, load = _steps(plan)
    faults = _fewest(faults, lambda some: still_fails(plan.with_steps(some, load)))
    load = _fewest(load, lambda some: still_fails(plan.with_steps(faults, some)))
    faults = _fewest(faults, lambda some: still_fails(plan.with_steps(some, load)))
    return plan.with_steps(faults, load)


def _steps(plan: Plan) -> tuple[list[Placed], list[Placed]]:
    faults = [(number, step) for number, each in enumerate(plan.episodes) for step in each.faults]
    load = [(number, step) for number, each in enumerate(plan.episodes) for step in each.load]
    return faults, load


def _fewest(steps: Sequence[Placed], fails: Callable[[list[Placed]], bool]) -> list[Placed]:
    """Take away halves, quarters and so on, down to single steps."""
    kept = list(steps)
    size = max(1, len(kept) // 2)
    while kept:
        at, has_shrunk = 0, False
        while at < len(kept):
            some = kept[:at] + kept[at + size :]
            if fails(some):
                kept, has_shrunk = some, True
            else:
                at += size
        if size == 1 and not has_shrunk:
            break
        size = max(1, size // 2)
    return kept
