"""What goes wrong, as data: which runs fail, who finds no slot, how long a run takes, when a node dies.

A plan is made of plain values, so it can be printed, shrunk and written to a file; where it strikes is elsewhere.
Everything that is left to chance is drawn from the router's seed.
"""

from __future__ import annotations

import builtins
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, Self

Failure = str | BaseException | type[BaseException] | None
"""How one run fails: an exception or the name of one, "timeout", "exit" (the process ends); None: it does not."""
Latency = float | tuple[float, float] | Callable[[], float]
"""Seconds of virtual time: so many, so many between two bounds, or what a callable returns."""
TIMEOUT = "timeout"
EXIT = "exit"


class FunctionFaults:
    """What goes wrong with one function. Each method adds a fault and returns the faults, so calls can be chained."""

    def __init__(self, name: str, random: Random) -> None:
        self._name = name
        self._random = random
        self.clear()

    def clear(self) -> Self:
        """Let everything go well again."""
        self._failures: deque[Failure] = deque()
        self._share = 0.0
        self._latency: Latency = 0.0
        self._every = 0
        self._after: int | None = None
        self._runs = 0
        return self

    def fail(self, *failures: Failure) -> Self:
        """Have the next runs fail, one after the other; after the last one the handler runs again.

        A run that fails does not reach the handler. None lets one run. An exception is raised as if the handler had;
        a text that is neither "timeout" nor "exit" is an exception's name.
        """
        for failure in failures:
            check_failure(failure)
        self._failures.extend(failures)
        return self

    def crash_mid_batch(self, *, every: int = 1, after: int | None = None) -> Self:
        """Have every `every`-th run die in the middle of its batch, as a process that is killed.

        The handler is given the first records of the batch only (`after` of them, or a number that is drawn), and
        what it returns is lost with the process: the run ends with Runtime.ExitError. An event without `Records` is
        given whole.
        """
        if every < 1 or (after is not None and after < 1):
            raise ValueError("every and after are 1 or more")
        self._every, self._after, self._runs = every, after, 0
        return self

    def throttle(self, share: float) -> Self:
        """Have this share of the tries (0 to 1) find no concurrency slot."""
        if not 0 <= share <= 1:
            raise ValueError("a share is 0 to 1")
        self._share = share
        return self

    def latency(self, seconds: Latency) -> Self:
        """Have every run take so much longer, before the handler begins; the function's timeout may cut it."""
        if isinstance(seconds, tuple) and not 0 <= seconds[0] <= seconds[1]:
            raise ValueError("a range of latency is (least, most)")
        self._latency = seconds
        return self

    # What the seams ask.

    def next_failure(self) -> Failure:
        """Return how the run that begins now fails."""
        return self._failures.popleft() if self._failures else None

    def is_throttled(self) -> bool:
        """Say whether the try that is made now finds no slot."""
        return self._share > 0 and self._random.random() < self._share

    def latency_s(self) -> float:
        """Return how much longer the run that begins now takes."""
        if isinstance(self._latency, tuple):
            return self._random.uniform(*self._latency)
        return self._latency() if callable(self._latency) else self._latency

    def records_before_death(self, records: int) -> int | None:
        """Return after how many of its records the run that begins now dies; None: it lives."""
        if not self._every:
            return None
        self._runs += 1
        if self._runs % self._every:
            return None
        if self._after is not None:
            return min(self._after, records)
        return self._random.randint(1, max(records - 1, 1))


def check_failure(failure: Failure) -> None:
    """Refuse what is no way to fail. Raises TypeError."""
    is_exception = isinstance(failure, type) and issubclass(failure, BaseException)
    if not (failure is None or isinstance(failure, str | BaseException) or is_exception):
        raise TypeError(f"{failure!r} is no way to fail: exceptions, their names, 'timeout', 'exit' and None are")


def exception_of(failure: str | BaseException | type[BaseException]) -> BaseException:
    """Return the exception to be raised."""
    if isinstance(failure, BaseException):
        return failure
    if isinstance(failure, type):
        return failure("injected")
    known = getattr(builtins, failure, None)
    if isinstance(known, type) and issubclass(known, Exception):
        return known("injected")
    made: BaseException = type(failure, (Exception,), {})("injected")
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionPlan:
    """The faults of one function. `latency` is (least, most) in seconds; `crash_every` is 0 for never."""

    fail: tuple[str | None, ...] = ()
    crash_every: int = 0
    throttle: float = 0.0
    latency: tuple[float, float] = (0.0, 0.0)

    def put_into(self, faults: FunctionFaults) -> None:
        """Add these faults to a function's."""
        faults.fail(*self.fail)
        if self.crash_every:
            faults.crash_mid_batch(every=self.crash_every)
        if self.throttle:
            faults.throttle(self.throttle)
        if self.latency[1]:
            faults.latency(self.latency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """Something that happens to the node or to its store, `at` seconds after the plan was applied.

    `kill_node`: the node is down for `seconds`. `redis_outage`: the store cannot be reached for `seconds`.
    `drop_reply`: the answers of the next `n` calls are lost. `late_reply`: they come `seconds` late.
    """

    at: float
    do: Literal["kill_node", "redis_outage", "drop_reply", "late_reply"]
    seconds: float = 0.0
    n: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """All that goes wrong in one scenario; `Router.apply` puts it into effect."""

    functions: Mapping[str, FunctionPlan] = field(default_factory=dict)
    mishaps: Sequence[Mishap] = ()

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> FaultPlan:
        """Read a plan from JSON's values: `{"functions": {name: {…}}, "mishaps": [{"at": 12.5, "do": "kill_node"}]}`.

        The members of the objects are the fields of FunctionPlan and Mishap. Raises ValueError for any other.
        """
        unknown = plan.keys() - {"functions", "mishaps"}
        if unknown:
            raise ValueError(f"a fault plan has no {', '.join(sorted(unknown))}")
        try:
            return cls(
                functions={name: _function_plan(each) for name, each in plan.get("functions", {}).items()},
                mishaps=tuple(Mishap(**each) for each in plan.get("mishaps", ())),
            )
        except TypeError as error:
            raise ValueError(f"this is no fault plan: {error}") from None


def _function_plan(members: Mapping[str, Any]) -> FunctionPlan:
    tuples: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in members.items()
    }
    return FunctionPlan(**tuples)


class Faults:
    """The faults of all functions of a router, by name."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._functions: dict[str, FunctionFaults] = {}

    def of(self, name: str) -> FunctionFaults:
        """Return the faults of one function; each has chances of its own."""
        if name not in self._functions:
            self._functions[name] = FunctionFaults(name, Random(f"{self._seed}/{name}"))
        return self._functions[name]
