"""Following a move task until it ends: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

import click

from eventrouter.cli.client import NodeClient, Refused
from eventrouter.clock import SystemClock
from eventrouter.errors import EventRouterError

_LOOK_S = 0.1
_LINE_EVERY_S = 5.0
_UNDER_WAY = {"RUNNING", "CANCELLING"}

Task = Mapping[str, Any]  # Any: an entry of ListMessageMoveTasks


class MoveTask:
    """A task that was started here. Cut short by Ctrl-C, it is cancelled."""

    def __init__(self, client: NodeClient, source_arn: str, handle: str) -> None:
        self._client = client
        self._source_arn = source_arn
        self._handle = handle
        self._started_at_ms: int | None = None
        self._pause = threading.Event()
        self._clock = SystemClock()

    @classmethod
    def start(cls, client: NodeClient, members: Mapping[str, Any]) -> Self:
        """Start a task as `members` of StartMessageMoveTask say. Raises Refused."""
        answer = client.call("sqs", "AmazonSQS.StartMessageMoveTask", members)
        return cls(client, members["SourceArn"], answer["TaskHandle"])

    def follow(self, *, is_quiet: bool) -> Task:
        """Return how the task ended, once every message was moved. Raises EventRouterError if it ended otherwise."""
        try:
            if is_quiet:
                ended = self._wait(lambda progress: None)
            elif sys.stderr.isatty():
                ended = self._draw()
            else:
                ended = self._wait(self._lines())
        except KeyboardInterrupt:
            self._cancel()
            raise click.Abort from None
        if ended["Status"] != "COMPLETED":
            reason = f": {ended['FailureReason']}" if ended.get("FailureReason") else ""
            raise EventRouterError(f"the task has ended as {ended['Status']}{reason}; {_moved(ended)}")
        return ended

    def _wait(self, look: Callable[[Task], None]) -> Task:
        """Call `look` with the progress, again and again, until the task has ended; return its end."""
        while (progress := self._progress())["Status"] in _UNDER_WAY:
            look(progress)
            self._pause.wait(_LOOK_S)
        look(progress)
        return progress

    def _progress(self) -> Task:
        """Return this task as the list shows it: at first it is the newest one, and others may follow."""
        members = {"SourceArn": self._source_arn, "MaxResults": 10}
        tasks: list[Task] = self._client.call("sqs", "AmazonSQS.ListMessageMoveTasks", members).get("Results", [])
        for task in tasks:
            if self._started_at_ms in (None, task["StartedTimestamp"]):
                self._started_at_ms = task["StartedTimestamp"]
                return task
        raise EventRouterError("the task is not listed any more")

    def _lines(self) -> Callable[[Task], None]:
        due = self._clock.monotonic() + _LINE_EVERY_S

        def look(progress: Task) -> None:
            nonlocal due
            if self._clock.monotonic() >= due:
                due += _LINE_EVERY_S
                click.echo(_moved(progress), err=True)

        return look

    def _draw(self) -> Task:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("moving"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            drawn = bar.add_task("moving", total=None)
            return self._wait(lambda progress: bar.update(drawn, total=_total(progress), completed=_count(progress)))

    def _cancel(self) -> None:
        self._client.close()  # a request may have been cut short
        with contextlib.suppress(Refused):  # it has ended meanwhile
            self._client.call("sqs", "AmazonSQS.CancelMessageMoveTask", {"TaskHandle": self._handle})
        click.echo(f"cancelled: {_moved(self._progress())}", err=True)


def _count(progress: Task) -> int:
    return int(progress["ApproximateNumberOfMessagesMoved"])


def _total(progress: Task) -> int:
    return int(progress.get("ApproximateNumberOfMessagesToMove") or 0)


def _moved(progress: Task) -> str:
    return f"{_count(progress)} of {_total(progress)} messages moved"
