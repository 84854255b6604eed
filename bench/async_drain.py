"""How fast a backlog of asynchronous events is worked off, each event acknowledged after its run.

All events are stored durably first, with no worker alive; then the worker is started. The rate is taken between
the first and the last acknowledgement, read from the store itself every 10 ms, for us and for the peer alike.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import redis

from bench.measure import Effort, Figure, Report, ratio
from bench.processes import Child, running
from bench.servers import ACCOUNT, REGION, node, valkey
from eventrouter.clock import SystemClock
from eventrouter.rules.names import FunctionName
from eventrouter.settings import Settings
from eventrouter.store import open_store, redis_lanes
from eventrouter.store.connect import make_client
from eventrouter.store.events import NewEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FUNCTION = FunctionName(account=ACCOUNT, region=REGION, name="noop")
NOOP = "def handler(event, context):\n    pass\n"
EVENT_BYTES = 200
ENVIRONMENTS = 2
DEADLINE_S = 120.0
UNACKNOWLEDGED = "dramatiq:default.msgs"
"""The hash that holds dramatiq's messages until they are acknowledged."""
_DEFAULTS = Settings()


def measure(effort: Effort, folder: Path) -> Report:
    """Drain the backlog once a round, and the peer's beside it."""
    has_peer = importlib.util.find_spec("dramatiq") is not None
    ours, peers, notes = [], [], []
    for number in range(effort.rounds):
        ours.append(_drain_eventrouter(effort.events, folder / f"eventrouter-{number}"))
        if has_peer:
            peers.append(_drain_dramatiq(effort.events, folder / f"dramatiq-{number}"))
    rates = tuple(drain.per_second for drain in ours)
    figures = [Figure(name="eventrouter, 1 node, 2 environments", unit="events/s", values=rates, at_least=8_000)]
    waits = tuple(drain.until_first_s for drain in ours)
    figures.append(Figure(name="start of the node to the first event", unit="s", values=waits))
    if has_peer:
        floor = tuple(drain.per_second for drain in peers)
        figures.append(Figure(name="dramatiq, 2 processes, 8 threads each", unit="messages/s", values=floor))
        figures.append(ratio("eventrouter / dramatiq", rates, floor, at_least=2.0))
    else:
        notes.append("dramatiq is not installed: pip install 'eventrouter[bench]' for the peer")
    what = f"{effort.events:,} no-op events of {EVENT_BYTES} bytes, durable first, acknowledged after completion"
    return Report(benchmark="async_drain", what=what, figures=tuple(figures), notes=tuple(notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """One backlog worked off."""

    per_second: float
    until_first_s: float


def _drain_eventrouter(events: int, folder: Path) -> Drain:
    with valkey(folder / "valkey") as url:
        with node(folder / "data", url) as setup:
            setup.create_function(FUNCTION.name, NOOP, reserved=ENVIRONMENTS)
        key = asyncio.run(_store_events(url, events))
        client = redis.Redis.from_url(url)
        assert client.hlen(key) == events, f"{client.hlen(key)} of {events} events are stored"
        began = time.perf_counter()
        with node(folder / "data", url) as worker:
            drain = _time(worker.child, lambda: int(client.hlen(key)), events, began)
            counted = worker.metric("eventrouter_Invocations", FUNCTION.name)
            assert counted == events, f"{counted:g} invocations were counted for {events} events"
        client.close()
    return drain


async def _store_events(url: str, events: int) -> str:
    """Store the backlog through the store's own door; return the key of the hash that holds unfinished events."""
    client = make_client(url)
    store = await open_store(
        redis_lanes(client),
        prefix=_DEFAULTS.key_prefix,
        partitions=_DEFAULTS.partitions,
        clock=SystemClock(),
        random=Random(1),
    )
    payload = b'{"text": "%s"}' % (b"x" * (EVENT_BYTES - 12))
    for first in range(0, events, 500):
        numbers = range(first, min(first + 500, events))
        await asyncio.gather(*(store.events.put(_event(number, payload)) for number in numbers))
    partition = store.events.partition_of(FUNCTION.key)
    await store.close()
    return f"{{{_DEFAULTS.key_prefix}:e{partition}}}:ev"


def _event(number: int, payload: bytes) -> NewEvent:
    identifier = f"00000000-0000-4000-8000-{number:012d}"
    return NewEvent(id=identifier, function=FUNCTION, qualifier=None, payload=payload, trace="")


def _drain_dramatiq(events: int, folder: Path) -> Drain:
    folder.mkdir(parents=True)
    with valkey(folder / "valkey") as url:
        env = {"BENCH_REDIS_URL": url}
        enqueue = [sys.executable, "-m", "bench.dramatiq_worker", str(events), str(EVENT_BYTES)]
        with running(enqueue, output=folder / "enqueue.log", env=env) as sender:
            assert sender.process.wait(DEADLINE_S) == 0, sender.output.read_text()
        client = redis.Redis.from_url(url)
        stored = client.hlen(UNACKNOWLEDGED)
        assert stored == events, f"{stored} of {events} messages are stored"
        worker = [sys.executable, "-m", "dramatiq", "--processes", "2", "--threads", "8", "bench.dramatiq_worker"]
        began = time.perf_counter()
        with running(worker, output=folder / "worker.log", env=env) as child:
            drain = _time(child, lambda: int(client.hlen(UNACKNOWLEDGED)), events, began)
        client.close()
    return drain


def _time(worker: Child, remaining: Callable[[], int], events: int, began: float) -> Drain:
    """Watch the backlog until it is empty."""
    worker.wait_until("first acknowledgement", lambda: remaining() < events, seconds=DEADLINE_S)
    first, left = time.perf_counter(), remaining()
    worker.wait_until("empty backlog", lambda: remaining() == 0, seconds=DEADLINE_S)
    return Drain(per_second=left / (time.perf_counter() - first), until_first_s=first - began)
