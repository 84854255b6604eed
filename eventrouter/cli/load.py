"""A load run: many calls of one function from several callers, each with a connection of its own."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from eventrouter.cli.client import NodeClient, Unreachable
from eventrouter.cli.histogram import buckets, draw, percentile
from eventrouter.cli.output import print_json
from eventrouter.clock import SystemClock

_LINE_EVERY_S = 5.0
_REDRAW_EVERY_S = 0.1


@dataclass(slots=True)
class _Tally:
    """What one caller has seen. Only its own thread writes to it."""

    latencies_ms: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    example: str = ""


class LoadRun:
    """`number` calls by `callers` threads; every answer is counted by its kind, nothing is sent twice."""

    def __init__(
        self, *, url: str | None, path: str, headers: Mapping[str, str], payload: bytes, number: int, callers: int
    ) -> None:
        self._url = url
        self._path = path
        self._headers = dict(headers)
        self._payload = payload
        self._number = number
        self._tickets = itertools.count()
        self._tallies = [_Tally() for _ in range(callers)]
        self._clock = SystemClock()
        self._stopped = threading.Event()
        self._running = callers
        self._finished = threading.Condition()

    def show(self, *, as_json: bool, quiet: bool) -> int:
        """Run it with progress on stderr, print the result, and return the exit code.

        Ctrl-C ends the run after the calls in flight and prints what was measured until then.
        """
        started = self._clock.monotonic()
        for tally in self._tallies:
            threading.Thread(target=self._call, args=(tally,), daemon=True).start()
        interrupted = False
        try:
            self._watch(started, quiet=quiet)
        except KeyboardInterrupt:
            interrupted = True
            self._stopped.set()
            self._wait(timeout_s=10.0)
        result = self._result(self._clock.monotonic() - started)
        if as_json:
            print_json(result)
        else:
            self._print(result)
        if interrupted:
            return 130
        return 0 if set(result["outcomes"]) <= {"ok"} else 1

    def _call(self, tally: _Tally) -> None:
        client = NodeClient(self._url)
        try:
            while not self._stopped.is_set() and next(self._tickets) < self._number:
                started = self._clock.monotonic()
                try:
                    answer = client.request("POST", self._path, body=self._payload, headers=self._headers)
                except Unreachable as error:
                    tally.outcomes["unreachable"] += 1
                    tally.example = str(error)
                    continue
                tally.latencies_ms.append((self._clock.monotonic() - started) * 1000)
                if answer.status == 429:
                    tally.outcomes["throttled"] += 1
                elif answer.status >= 300:
                    tally.outcomes["refused"] += 1
                    tally.example = str(answer.refusal())
                elif "x-amz-function-error" in answer.headers:
                    tally.outcomes["function error"] += 1
                else:
                    tally.outcomes["ok"] += 1
        finally:
            client.close()
            with self._finished:
                self._running -= 1
                self._finished.notify()

    def _wait(self, *, timeout_s: float) -> bool:
        """Wait until every caller is done, or for `timeout_s`; say whether they are."""
        with self._finished:
            return self._finished.wait_for(lambda: self._running == 0, timeout_s)

    def _watch(self, started: float, *, quiet: bool) -> None:
        if quiet:
            while not self._wait(timeout_s=3600.0):
                pass
        elif sys.stderr.isatty():
            self._draw_progress()
        else:
            while not self._wait(timeout_s=_LINE_EVERY_S):
                rate = self._done() / (self._clock.monotonic() - started)
                click.echo(f"{self._done()}/{self._number} calls, {rate:.0f}/s, {self._failed()} failed", err=True)

    def _draw_progress(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("invoking"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]} failed"),
        )
        started = self._clock.monotonic()
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("invoking", total=self._number, rate=0, failed=0)
            finished = False
            while not finished:
                finished = self._wait(timeout_s=_REDRAW_EVERY_S)
                rate = round(self._done() / (self._clock.monotonic() - started))
                progress.update(task, completed=self._done(), rate=rate, failed=self._failed())

    def _done(self) -> int:
        return sum(sum(tally.outcomes.values()) for tally in self._tallies)

    def _failed(self) -> int:
        return self._done() - sum(tally.outcomes["ok"] for tally in self._tallies)

    def _result(self, seconds: float) -> dict[str, Any]:
        ordered = sorted(latency for tally in self._tallies for latency in tally.latencies_ms)
        outcomes: Counter[str] = sum((tally.outcomes for tally in self._tallies), Counter())
        return {
            "calls": sum(outcomes.values()),
            "callers": len(self._tallies),
            "seconds": round(seconds, 3),
            "calls_per_second": round(sum(outcomes.values()) / seconds, 1),
            "outcomes": dict(outcomes),
            "error": next((tally.example for tally in self._tallies if tally.example), None),
            "latency_ms": {
                "p50": round(percentile(ordered, 0.50), 3),
                "p90": round(percentile(ordered, 0.90), 3),
                "p99": round(percentile(ordered, 0.99), 3),
                "max": round(ordered[-1], 3) if ordered else 0.0,
            },
            "histogram": [
                {"from_ms": bucket.from_ms, "to_ms": bucket.to_ms, "count": bucket.count} for bucket in buckets(ordered)
            ],
        }

    def _print(self, result: Mapping[str, Any]) -> None:
        outcomes = ", ".join(f"{count} {kind}" for kind, count in sorted(result["outcomes"].items()))
        click.echo(
            f"{result['calls']} calls by {result['callers']} callers in {result['seconds']:.2f} s: "
            f"{result['calls_per_second']:.0f}/s  ({outcomes})"
        )
        latency = result["latency_ms"]
        click.echo("latency  " + "   ".join(f"{name} {value:.2f} ms" for name, value in latency.items()))
        ordered = sorted(latency for tally in self._tallies for latency in tally.latencies_ms)
        for line in draw(buckets(ordered)):
            click.echo(line)
        if result["error"]:
            click.secho(f"such as: {result['error']}", err=True, fg="red")
