"""Every run of every handler, as the handlers' side has seen it: what checks compare the node's own account with."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Ended = Literal["running", "succeeded", "failed", "timed_out", "killed"]


@dataclass(slots=True, eq=False)
class TestRun:
    """One run. Times are virtual seconds since the router was opened; `order` numbers count begins and ends alike.

    `given` is how many of its records a run has seen that died in the middle of its batch.
    """

    __test__ = False
    function: str
    request_id: str
    payload: bytes
    began_s: float
    began_order: int
    ended_s: float | None = None
    ended_order: int | None = None
    outcome: Ended = "running"
    result_payload: bytes = b""
    error_type: str = ""
    given: int | None = None
    is_duplicate: bool = False

    @property
    def event(self) -> Any:
        """Return the event, read from JSON anew."""
        return json.loads(self.payload)

    @property
    def result(self) -> Any:
        """Return what the handler returned, or the error object that was made of its end; None while it runs."""
        return json.loads(self.result_payload) if self.result_payload else None

    @property
    def records(self) -> list[Any]:
        """Return the records of a batch; nothing if the event is none."""
        event = self.event
        found = event.get("Records") if isinstance(event, dict) else None
        return found if isinstance(found, list) else []


class RunBook:
    """The runs of one router, in the order in which they began."""

    def __init__(self) -> None:
        self._runs: list[TestRun] = []
        self._orders = itertools.count()
        self._by_request: dict[str, TestRun] = {}

    def __iter__(self) -> Iterator[TestRun]:
        return iter(self._runs)

    def of(self, function: str) -> list[TestRun]:
        """Return the runs of one function."""
        return [run for run in self._runs if run.function == function]

    def begin(self, function: str, request_id: str, payload: bytes, now_s: float) -> TestRun:
        """Note that a run begins. It is a duplicate if the same event was killed or has succeeded before."""
        before = self._by_request.get(request_id)
        run = TestRun(function, request_id, payload, now_s, next(self._orders))
        run.is_duplicate = before is not None and before.outcome in {"killed", "succeeded"}
        self._by_request[request_id] = run
        self._runs.append(run)
        return run

    def end(self, run: TestRun, outcome: Ended, now_s: float, payload: bytes = b"", error_type: str = "") -> None:
        """Note how a run has ended."""
        run.outcome, run.ended_s, run.ended_order = outcome, now_s, next(self._orders)
        run.result_payload, run.error_type = payload, error_type
