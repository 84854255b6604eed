"""What RQ costs: jobs a second through its worker, beside the events a second that a node works off by itself.

The worker is the one that nodes start. Jobs do nothing, and are all enqueued before it starts. Then the same worker
moves the messages of a queue to another, which is what it is for.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import redis

from bench.async_drain import _drain_eventrouter
from bench.measure import Effort, Figure, Report, ratio
from bench.processes import Child, running, usage
from bench.servers import ACCOUNT, REGION, valkey
from eventrouter.clock import SystemClock
from eventrouter.planes.move_tasks import JOB
from eventrouter.settings import Settings
from eventrouter.store import Store, open_store, redis_lanes
from eventrouter.store.connect import make_client
from eventrouter.store.jobs import Jobs, queue_name
from eventrouter.store.queues import MoveStatus, MoveTask, NewMessage, QueueName, QueueSettings
from eventrouter.worker import worker_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEADLINE_S = 120.0
JOBS_PER_EVENT = 0.1
"""RQ gets a tenth of the backlog: it takes as long for it."""
SOURCE = QueueName(account=ACCOUNT, region=REGION, name="dead")
TARGET = QueueName(account=ACCOUNT, region=REGION, name="jobs")
_DEFAULTS = Settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one worker did."""

    enqueue_ms: float
    jobs_per_second: float
    until_first_s: float
    moved_per_second: float
    rss_mb: float
    pss_mb: float


def noop() -> None:
    """Do nothing: a job."""


def measure(effort: Effort, folder: Path) -> Report:
    """Let a worker work off a backlog of jobs and move a queue's messages once a round; then a node its events."""
    jobs = round(effort.events * JOBS_PER_EVENT)
    rounds, nodes = [], []
    for number in range(effort.rounds):
        rounds.append(_work_off(jobs, effort.events // 2, folder / f"rq-{number}"))
        nodes.append(_drain_eventrouter(effort.events, folder / f"node-{number}").per_second)
    rates, floor = tuple(each.jobs_per_second for each in rounds), tuple(nodes)
    figures = (
        Figure(name="RQ, the worker of a node", unit="jobs/s", values=rates),
        Figure(name="eventrouter, 1 node, 2 environments", unit="events/s", values=floor),
        ratio("a node's own drain / RQ", floor, rates),
        Figure(name="one enqueue blocks its caller for", unit="ms", values=tuple(each.enqueue_ms for each in rounds)),
        Figure(name="start of a worker to its first job", unit="s", values=tuple(r.until_first_s for r in rounds)),
        Figure(name="a move task without a limit", unit="messages/s", values=tuple(r.moved_per_second for r in rounds)),
        Figure(name="worker, RSS", unit="MB", values=tuple(each.rss_mb for each in rounds)),
        Figure(name="worker, PSS", unit="MB", values=tuple(each.pss_mb for each in rounds)),
    )
    what = f"{jobs:,} no-op jobs as JSON through one SimpleWorker; {effort.events:,} no-op events through a node"
    return Report(benchmark="rq_jobs", what=what, figures=figures)


def _work_off(count: int, messages: int, folder: Path) -> Round:
    folder.mkdir(parents=True)
    with valkey(folder / "valkey") as url:
        jobs = Jobs(url, _DEFAULTS.key_prefix)
        enqueue_ms = [_enqueue(jobs, number) for number in range(count)]
        client = redis.Redis.from_url(url)
        backlog = f"rq:queue:{queue_name(_DEFAULTS.key_prefix)}"
        assert client.llen(backlog) == count
        began = time.perf_counter()
        with _worker(url, folder) as worker:
            worker.wait_until("first job", lambda: client.llen(backlog) < count, seconds=DEADLINE_S)
            first, left = time.perf_counter(), int(client.llen(backlog))
            worker.wait_until("empty backlog", lambda: client.llen(backlog) == 0, seconds=DEADLINE_S)
            per_second = left / (time.perf_counter() - first)
            moved_per_second = asyncio.run(_move(url, jobs, messages))
            spent = usage(worker.pid)
        client.close()
        jobs.close()
    return Round(
        enqueue_ms=statistics.median(enqueue_ms),
        jobs_per_second=per_second,
        until_first_s=first - began,
        moved_per_second=moved_per_second,
        rss_mb=spent.rss_mb,
        pss_mb=spent.pss_mb,
    )


def _enqueue(jobs: Jobs, number: int) -> float:
    """Enqueue a job as a node does; return how many milliseconds that took."""
    began = time.perf_counter()
    assert jobs.ensure("bench.rq_jobs.noop", f"noop-{number}", ())
    return 1_000 * (time.perf_counter() - began)


@contextmanager
def _worker(url: str, folder: Path) -> Iterator[Child]:
    command = [sys.executable, "-m", "eventrouter.worker", "er-bench-1"]
    with running(command, output=folder / "worker.log", env=worker_environment(_DEFAULTS, url)) as child:
        yield child


async def _move(url: str, jobs: Jobs, messages: int) -> float:
    """Move the messages of a queue as a task; return how many a second."""
    store = await open_store(
        redis_lanes(make_client(url)),
        prefix=_DEFAULTS.key_prefix,
        partitions=_DEFAULTS.partitions,
        clock=SystemClock(),
        random=Random(1),
    )
    try:
        return await _time_move(store, jobs, messages)
    finally:
        await store.close()


async def _time_move(store: Store, jobs: Jobs, messages: int) -> float:
    queues = store.queues
    for name in (SOURCE, TARGET):
        await queues.create(name, QueueSettings())
    for first in range(0, messages, 10):
        batch = [NewMessage(id=f"m{first + n}", body=b"x" * 200, sender="me", size_bytes=200) for n in range(10)]
        await queues.send_all(SOURCE, batch)
    started = await queues.moves.start(SOURCE, MoveTask(handle="h", to=TARGET.arn, started_at_ms=1))
    began = time.perf_counter()
    jobs.ensure(JOB, "h", (SOURCE.key, "h"))
    while (task := (await queues.moves.tasks(SOURCE))[0]).is_active:
        assert time.perf_counter() - began < DEADLINE_S, f"{task.moved} of {messages} messages were moved"
        await asyncio.sleep(0.01)
    assert (task.status, task.moved) == (MoveStatus.COMPLETED, started.total), f"the task ended as {task}"
    return task.moved / (time.perf_counter() - began)
