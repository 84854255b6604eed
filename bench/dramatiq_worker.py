"""The peer of the async drain: a dramatiq actor that does nothing, and `python -m bench.dramatiq_worker N BYTES`,
which enqueues N messages for it. BENCH_REDIS_URL names the broker."""

from __future__ import annotations

import os
import sys
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

make_broker: Any = RedisBroker  # dramatiq types it only in part
broker = make_broker(url=os.environ["BENCH_REDIS_URL"])
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(payload: str) -> None:
    """Do nothing with a message."""


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        noop.send("x" * int(sys.argv[2]))
