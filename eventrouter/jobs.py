"""The functions that jobs name: RQ calls them in a worker process. Each makes one turn, and may ask for another."""

from __future__ import annotations

import asyncio
from random import SystemRandom
from typing import Any

from eventrouter.clock import SystemClock
from eventrouter.errors import StoreError
from eventrouter.logging import get_logger
from eventrouter.planes.move_turn import MoveTurn
from eventrouter.rules.move_rate import MoveRate
from eventrouter.store import Scripts
from eventrouter.store.jobs import again, notes, others_wait
from eventrouter.store.keys import Keys
from eventrouter.store.queues import QueueName, Queues
from eventrouter.store.servers import Servers
from eventrouter.worker import worker_settings

ERROR_PAUSE_S = 1.0
_PAID_UNTIL = "paid_until_s"


def move_messages(source: str, handle: str) -> Any:  # Any: what RQ takes for an answer
    """Make a turn of a move task. `source` is the key of the queue's name."""
    kept = notes()
    clock = SystemClock()
    rate = MoveRate(paid_until_s=kept.get(_PAID_UNTIL, clock.now_ms() / 1_000))
    has_more = asyncio.run(_make_turn(QueueName.of_key(source), handle, rate, clock))
    kept[_PAID_UNTIL] = rate.paid_until_s
    return again() if has_more else None


async def _make_turn(source: QueueName, handle: str, rate: MoveRate, clock: SystemClock) -> bool:
    settings = worker_settings()
    assert settings.redis_url is not None
    random = SystemRandom()
    url, durability, replicas = settings.redis_url, settings.durability, settings.replicas
    async with Servers(url, clock=clock, durability=durability, replicas=replicas) as servers:
        scripts = Scripts(servers.make_lane, clock=clock, random=random)
        try:
            queues = Queues(scripts, Keys(settings.key_prefix, settings.partitions), clock, random)
            turn = MoveTurn(
                queues=queues, clock=clock, source=source, handle=handle, rate=rate, others_wait=others_wait
            )
            return await turn.make()
        except StoreError as error:
            get_logger().warning("move.interrupted", queue=source.name, task=handle, reason=str(error))
            await clock.sleep(ERROR_PAUSE_S)
            return True
        finally:
            await scripts.close()
