"""What carries a node's long jobs: RQ's queue, and the worker's process beside the node; on a cluster, the node.

A node whose time travels does it too: the worker's time would stay behind.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.planes.loops import Loops
from eventrouter.planes.move_loop import MoveLoop
from eventrouter.planes.move_tasks import JobQueue, MoveTasks
from eventrouter.planes.worker_process import WorkerProcess
from eventrouter.redis_url import read_redis_url
from eventrouter.settings import Settings
from eventrouter.store import Store
from eventrouter.worker import worker_environment

_MODULE = "eventrouter.worker"


def build_move_tasks(
    *,
    settings: Settings,
    redis_url: str,
    host: str,
    store: Store,
    loops: Loops,
    clock: Clock,
    new_number: Callable[[], int],
    log: FilteringBoundLogger,
) -> MoveTasks | MoveLoop:
    """Build what works off move tasks. `host` is this node's id, the same after a restart.

    `new_number` tells workers apart: any number of 32 bits.
    """
    if read_redis_url(redis_url).kind == "cluster" or settings.clock == "virtual":

        async def hosts() -> set[str]:
            return {inc.partition("-")[0] for inc in await store.hosts.list()}

        return MoveLoop(queues=store.queues, host=host, hosts=hosts, loops=loops, clock=clock)
    prefix = f"{settings.key_prefix}-{host}"

    def open_jobs() -> JobQueue:
        from eventrouter.store.jobs import Jobs  # loads RQ, which a node without long jobs never needs

        return Jobs(redis_url, settings.key_prefix)

    def new_worker(on_end: Callable[[], None]) -> WorkerProcess:
        return WorkerProcess(
            command=lambda: (sys.executable, "-m", _MODULE, f"{prefix}-{new_number():08x}"),
            environment=worker_environment(settings, redis_url),
            on_end=on_end,
            clock=clock,
            log=log,
        )

    return MoveTasks(queues=store.queues, open_jobs=open_jobs, new_worker=new_worker, host=host, loops=loops)
