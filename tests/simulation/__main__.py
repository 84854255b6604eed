"""`python -m tests.simulation`: plays seeds and says what they found. `make simulate` calls it.

--seeds 1000 --from 0 --hours 48      play so many seeds, each for so many simulated hours
--seed 17                             replay one seed, and show its faults and what the nodes complained of
--seed 17 --shrink                    find the smallest plan that still breaks the same promise
--plan simulation-17.json             play a plan that was written to a file
--mutant NAME                         with a planted bug, until it is found
--mutants                             with every planted bug, one after the other
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulation.mutants import MUTANTS, apply
from tests.simulation.playing import Played, kind_of, play_job, play_plan, play_seed

if TYPE_CHECKING:
    from eventrouter.store.lua import Script
    from tests.simulation.plan import Plan

SHOWN = 5
HOURS = 48.0
MUTANT_SEEDS = 200
MUTANT_HOURS = 1.0

Scripts = Mapping[str, "Script"]


def main() -> int:
    """Do what the arguments say; 1 if a promise was broken, or a planted bug was not found."""
    asked = _arguments()
    if asked.mutants:
        return _try_mutants()
    scripts = apply(asked.mutant) if asked.mutant else None
    if asked.plan is not None or asked.seed is not None:
        return _replay(asked, scripts)
    began = time.monotonic()
    all_played: list[Played] = []
    for played in _play_all(asked, scripts):
        all_played.append(played)
        if played.found:
            _tell(played, asked.hours)
            if asked.mutant or asked.one:
                break
    _summarise(all_played, asked.hours, time.monotonic() - began)
    return int(any(played.found for played in all_played))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description="Simulates several nodes on virtual time."
    )
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--hours", type=float, default=HOURS, help="simulated hours of each seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that play seeds")
    parser.add_argument("--one", action="store_true", help="stop at the first seed that breaks a promise")
    parser.add_argument("--seed", type=int, help="replay this seed")
    parser.add_argument("--plan", type=Path, help="play the plan in a file")
    parser.add_argument("--shrink", action="store_true", help="find the smallest plan that still fails")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="plant a bug")
    parser.add_argument("--mutants", action="store_true", help="plant every bug, one after the other")
    return parser.parse_args()


def _play_all(asked: argparse.Namespace, scripts: Scripts | None) -> Iterator[Played]:
    seeds = range(asked.first, asked.first + asked.seeds)
    if asked.jobs == 1 or asked.mutant:
        for seed in seeds:
            yield play_seed(seed, asked.hours, scripts)
        return
    with multiprocessing.get_context("spawn").Pool(asked.jobs, maxtasksperchild=100) as pool:
        yield from pool.imap_unordered(play_job, [(seed, asked.hours) for seed in seeds])


def _tell(played: Played, hours: float) -> None:
    print(f"seed {played.seed} breaks {len(played.found)} promises:")
    for what in played.found[:SHOWN]:
        print(f"    {what[:400]}")
    print(f"    replay it: make simulate SEED={played.seed} HOURS={hours:g}", flush=True)


def _replay(asked: argparse.Namespace, scripts: Scripts | None) -> int:
    from eventrouter.store.lua import SCRIPTS
    from tests.simulation.checks import violations
    from tests.simulation.plan import Plan, draw
    from tests.simulation.world import play

    plan = Plan.read(asked.plan.read_text()) if asked.plan else draw(asked.seed, asked.hours)
    if asked.shrink:
        plan = _shrunk(plan, scripts)
    story = play(plan, scripts or SCRIPTS)
    for struck in story.struck:
        where = "" if struck.node is None else f" of node {struck.node}"
        print(f"{struck.at / 1_000:12.3f} s  {struck.what}{where}, until {struck.until / 1_000:.3f} s")
    for note in story.notes:
        print(note)
    found = violations(plan, story)
    for what in found:
        print("BROKEN:", what)
    return int(bool(found))


def _shrunk(plan: Plan, scripts: Scripts | None) -> Plan:
    from tests.simulation.shrink import shrink

    broken = kind_of(play_plan(plan, scripts).found)
    if broken is None:
        print("this plan breaks no promise: there is nothing to shrink")
        return plan
    plan = shrink(plan, lambda smaller: kind_of(play_plan(smaller, scripts).found) == broken)
    path = Path(f"simulation-{plan.seed}.json")
    path.write_text(plan.dump())
    print(f"{plan.faults} faults and {plan.load} steps of load are left; replay them: make simulate PLAN={path}")
    return plan


def _summarise(all_played: list[Played], hours: float, wall_s: float) -> None:
    counts: Counter[str] = Counter()
    for played in all_played:
        counts.update(played.counts)
    failed = sorted(played.seed for played in all_played if played.found)
    cpu_s = sum(played.cpu_s for played in all_played) or 1e-9
    simulated = hours * len(all_played)
    in_trouble = sum(played.ticked_s for played in all_played) / 3_600
    runs, sent = sum(played.runs for played in all_played), sum(played.sent for played in all_played)
    print(f"    seeds: {len(all_played)}, of which {len(failed)} broke a promise {failed or ''}")
    print(f"simulated: {simulated:,.0f} h, {in_trouble:,.1f} h of them second by second, in trouble")
    print(f"    speed: {simulated / (cpu_s / 60):,.0f} h per CPU-minute ({cpu_s:,.0f} s of CPU in {wall_s:,.0f} s)")
    print(f"     load: {runs:,} runs of {sent:,} sent")
    print(f"   counts: {', '.join(f'{name} {n:,}' for name, n in sorted(counts.items()))}")


def _try_mutants() -> int:
    missed = 0
    for name in MUTANTS:
        number = try_mutant(name)
        missed += number is None
        print(f"{name:50} {'NOT FOUND' if number is None else f'found by seed number {number}'}", flush=True)
    print(f"{len(MUTANTS)} planted bugs, {missed} not found within {MUTANT_SEEDS} seeds")
    return int(missed > 0)


def try_mutant(name: str, *, seeds: int = MUTANT_SEEDS) -> int | None:
    """Plant a bug in a process of its own; return how many seeds it took to find it, None if they did not."""
    command = [sys.executable, "-m", "tests.simulation", "--mutant", name, "--seeds", str(seeds)]
    told = subprocess.run(
        [*command, "--hours", str(MUTANT_HOURS)], capture_output=True, text=True, check=False, env=os.environ
    )
    if told.returncode not in (0, 1) or "seeds:" not in told.stdout:
        raise RuntimeError(f"{name}: {told.stderr[-2_000:]}")
    played = int(told.stdout.partition("seeds:")[2].split(",")[0])
    return played if told.returncode else None


if __name__ == "__main__":
    sys.exit(main())
