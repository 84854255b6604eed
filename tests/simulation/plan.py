"""What is to happen in one run, drawn from its seed: what callers do, and what goes wrong. Plain data.

A run has *episodes*: a burst of load with faults in it, ticking second by second until all is well again. Between
them hours pass, with a little load, in which retries, delays, windows and schedules fall due.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any, Self

NODES = 3
STREAMS = ("clicks", "parts", "windows")
QUEUES = ("jobs", "orders.fifo")


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens `at` so many seconds after its episode's beginning. `facts` are the rest of it."""

    at: float
    do: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Episode:
    """A burst of load and faults, `after` so many hours without any trouble."""

    after_h: float
    load: tuple[Step, ...]
    faults: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run."""

    seed: int
    hours: float
    shape: dict[str, Any] = field(default_factory=dict)
    episodes: tuple[Episode, ...] = ()

    @property
    def faults(self) -> int:
        return sum(len(episode.faults) for episode in self.episodes)

    @property
    def load(self) -> int:
        return sum(len(episode.load) for episode in self.episodes)

    def dump(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a plan that was dumped."""
        raw = json.loads(text)
        episodes = tuple(
            Episode(each["after_h"], *(tuple(Step(**step) for step in each[name]) for name in ("load", "faults")))
            for each in raw.pop("episodes")
        )
        return cls(**raw, episodes=episodes)

    def with_steps(self, faults: Sequence[tuple[int, Step]], load: Sequence[tuple[int, Step]]) -> Plan:
        """Return the plan with these steps of its episodes only."""
        episodes = tuple(
            replace(
                episode,
                faults=tuple(step for at, step in faults if at == number),
                load=tuple(step for at, step in load if at == number),
            )
            for number, episode in enumerate(self.episodes)
        )
        return replace(self, episodes=episodes)


def draw(seed: int, hours: float) -> Plan:
    """Draw the plan of a seed: one episode a day, at least one."""
    random = Random(seed)
    shape = {
        "parallel": random.choice([1, 1, 2]),
        "bisect": random.random() < 0.5,
        "batch": random.choice([1, 3, 5, 10]),
        "shards": random.choice([1, 2, 3]),
        "reserved": random.choice([1, 2, 4]),
        "window_s": random.choice([5, 30]),
        "batching_s": random.choice([0, 0, 2]),
        "partitions": random.choice([1, 2]),
        "skews_ms": [random.choice([0, 0, -1_500, 3_000, 60_000, -60_000]) for _ in range(NODES)],
        "retry_s": random.choice([60, 60, 2]),
        "lossy": random.random() < 0.3,
    }
    count = max(1, round(hours / EPISODE_H))
    episodes = tuple(_episode(random, hours / count, shape) for _ in range(count))
    return Plan(seed=seed, hours=hours, shape=shape, episodes=episodes)


EPISODE_H = 24.0
LOAD_S = 25.0


def _episode(random: Random, hours: float, shape: dict[str, Any]) -> Episode:
    load = [_load(random) for _ in range(random.randrange(15, 45))]
    load += [_calm(random, hours) for _ in range(random.randrange(3, 9))]
    changes = [_change(random) for _ in range(random.randrange(0, 3))]
    faults = [_fault(random, shape) for _ in range(random.randrange(1, 5))]
    load += [_backlog(random, fault) for fault in faults if fault.do in {"kill", "stop", "cut"}]
    return Episode(
        after_h=hours,
        load=tuple(sorted([*load, *changes], key=lambda step: step.at)),
        faults=tuple(sorted(faults, key=lambda step: step.at)),
    )


def _backlog(random: Random, fault: Step) -> Step:
    """Have events due while a node is buried: for what it sent before, and does when it wakes."""
    facts = {"node": random.randrange(NODES), "seconds": 2.0, "errors": 0, "to": "tight", "count": 8}
    return Step(max(0.0, fault.at + random.uniform(-2, fault.facts["seconds"])), "event", facts)


def _load(random: Random) -> Step:
    return Step(random.uniform(0, LOAD_S), *_what(random))


def _calm(random: Random, hours: float) -> Step:
    do, facts = _what(random)
    facts["seconds"] = min(facts["seconds"], 1.0)
    return Step(-random.uniform(60, hours * 3_500), do, facts)


def _what(random: Random) -> tuple[str, dict[str, Any]]:
    do = random.choices(["event", "call", "records", "message", "fifo"], [5, 2, 4, 3, 3])[0]
    node = random.randrange(NODES)
    seconds = round(random.choice([0.05, 0.3, 1.0, 4.0, random.uniform(0, 8)]), 3)
    errors = random.choices([0, 1, 2, 99], [7, 1, 1, 1])[0]
    facts: dict[str, Any] = {"node": node, "seconds": seconds, "errors": errors}
    if do == "event":
        facts["to"] = random.choice(["work", "work", "tight", "old"])
        facts["count"] = random.choice([1, 1, 2, 5])
    elif do == "call":
        facts["errors"] = min(errors, 1)
        facts["to"] = random.choice(["sync", "tight"])
    elif do == "records":
        facts |= {"stream": random.choice(STREAMS), "count": random.randrange(1, 8), "keys": random.randrange(1, 4)}
        facts["seconds"] = min(seconds, 2.0)
    elif do == "message":
        facts |= {"delay": random.choice([0, 0, 0, 2, 20])}
        facts["seconds"] = min(seconds, 3.0)
    else:
        facts |= {"group": random.choice("abc"), "repeats": random.random() < 0.2, "count": random.choice([1, 3])}
        facts["seconds"] = min(seconds, 3.0)
    return do, facts


def _change(random: Random) -> Step:
    do = random.choice(["reserve", "deploy", "remap", "reshard", "recreate"])
    facts: dict[str, Any] = {"node": random.randrange(NODES)}
    if do == "reserve":
        facts |= {"to": random.choice(["tight", "work"]), "limit": random.choice([1, 2, 5])}
    elif do == "remap":
        facts |= {"parallel": random.choice([1, 2]), "batch": random.choice([1, 4, 8])}
    return Step(random.uniform(0, LOAD_S), do, facts)


def _fault(random: Random, shape: dict[str, Any]) -> Step:
    kinds = {
        "kill": 4, "leave": 1, "stop": 3, "cut": 2, "storm": 5, "outage": 1, "freeze": 1, "full": 1,
        "node clock": 1, "server clock": 1, "restart": 1,
    }  # fmt: skip
    if shape["lossy"]:
        kinds |= {"crash": 3, "failover": 3}
    do = random.choices(list(kinds), list(kinds.values()))[0]
    facts: dict[str, Any] = {"node": random.randrange(NODES)}
    if do in {"kill", "leave"}:
        facts["seconds"] = random.choice([0.2, 2.0, 8.0, 25.0])
    elif do in {"stop", "cut", "freeze"}:
        facts["seconds"] = random.choice([2.0, 5.0, 9.0, 12.0, 30.0])
    elif do == "storm":
        facts |= {
            "seconds": random.uniform(5, 30),
            "node": random.choice([None, facts["node"]]),
            "lost": random.choice([0.0, 0.05, 0.15]),
            "unanswered": random.choice([0.02, 0.08, 0.2]),
            "torn": random.choice([0.0, 0.05]),
            "slow": random.choice([0.0, 0.3]),
            "again": random.choice([0.0, 0.1, 0.4]),
        }
    elif do == "outage":
        facts["seconds"] = random.choice([3.0, 15.0])
    elif do == "full":
        facts["seconds"] = random.choice([3.0, 12.0])
    elif do == "node clock":
        facts["ms"] = random.choice([-3_600_000, -30_000, 30_000, 3_600_000])
    elif do == "server clock":
        facts["seconds"] = random.choice([-3_600, -30, 30, 3_600])
    elif do in {"restart", "crash", "failover"}:
        facts |= {"seconds": random.uniform(0.5, 4), "back_s": random.uniform(0.05, 1.0)}
    return Step(random.uniform(1, LOAD_S), do, facts)
