"""What a benchmark answers: figures with their values of every round, and notes; and how they are shown."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How hard to measure. Medians are taken over `rounds`."""

    rounds: int
    events: int
    records: int
    wrk_seconds: int
    fresh_functions: int
    idle_seconds: float


FULL = Effort(rounds=5, events=20_000, records=200_000, wrk_seconds=4, fresh_functions=20, idle_seconds=4.0)
QUICK = Effort(rounds=1, events=4_000, records=40_000, wrk_seconds=2, fresh_functions=5, idle_seconds=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured quantity: a value a round, and the bound it should keep, if there is one."""

    name: str
    unit: str
    values: tuple[float, ...]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def target(self) -> str:
        """Return the bound as text, empty where there is none."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    @property
    def holds(self) -> bool:
        """Say whether the median keeps the bound."""
        above = self.at_least is None or self.median >= self.at_least
        return above and (self.at_most is None or self.median <= self.at_most)

    def row(self) -> tuple[str, ...]:
        spread = f"{_text(min(self.values))} .. {_text(max(self.values))}" if len(self.values) > 1 else ""
        verdict = ("yes" if self.holds else "NO") if self.target else ""
        return (self.name, _text(self.median), self.unit, spread, self.target, verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one benchmark found, or why it could not run."""

    benchmark: str
    what: str
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    failed: bool = False

    def as_json(self) -> dict[str, Any]:
        figures = [{**asdict(figure), "median": figure.median, "holds": figure.holds} for figure in self.figures]
        return {
            "benchmark": self.benchmark,
            "what": self.what,
            "figures": figures,
            "notes": list(self.notes),
            "failed": self.failed,
        }

    def as_text(self) -> str:
        header = ("figure", "median", "unit", "range", "target", "kept")
        rows = [header, *(figure.row() for figure in self.figures)] if self.figures else []
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))] if rows else []
        lines = [f"{self.benchmark}: {self.what}"]
        lines += ["  " + "  ".join(_align(*cell) for cell in enumerate(zip(row, widths, strict=True))) for row in rows]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(line.rstrip() for line in lines)


def ratio(name: str, ours: tuple[float, ...], floor: tuple[float, ...], *, at_least: float | None = None) -> Figure:
    """Return ours divided by the floor, round by round: the rounds are neighbours in time, so noise cancels."""
    values = tuple(own / other for own, other in zip(ours, floor, strict=True))
    return Figure(name=name, unit="x", values=values, at_least=at_least)


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _align(column: int, cell: tuple[str, int]) -> str:
    text, width = cell
    return text.rjust(width) if column == 1 else text.ljust(width)
