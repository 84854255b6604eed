"""Queues behind each source of ours, as the suite of queue sources wants them, and queue mappings over a real store."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

from eventrouter.ports import Adapter, AdapterContext, QueueMessage
from eventrouter.settings import Settings
from eventrouter.store import HostInfo, Store, open_store, redis_lanes
from eventrouter.store.queues import QueueName
from eventrouter.testing.queue_source_suite import OTHER_OWNER, OWNER, VISIBILITY_S, QueueWorld
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import VirtualClock, run_virtual, virtual_clock
from eventrouter_adapters import sqs
from tests.adapters.world import CALLER
from tests.planes.listed_queues import ListedQueues, queue_arn

HOST = HostInfo(url="http://127.0.0.1:1", started_at_ms=0, version="0")


class ListedWorld(QueueWorld):
    """Queues over lists, with which the plane's own tests work."""

    def __init__(self, clock: VirtualClock) -> None:
        self.source = self._queues = ListedQueues(clock)
        self.clock = clock

    async def make_queue(self, name: str, *, is_fifo: bool = False) -> str:
        return self._queues.create(queue_arn(name), is_fifo=is_fifo, visibility_s=VISIBILITY_S)

    async def send(self, arn: str, payload: str, *, group: str = "") -> str:
        return self._queues.send(arn, payload.encode(), group=group)[0]

    async def delete_queue(self, arn: str) -> None:
        self._queues.remove(arn)

    def payload(self, message: QueueMessage) -> str:
        return str(json.loads(message.event)["body"])

    async def bury(self, owner: str) -> None:
        self._queues.bury(owner)


class SqsWorld(QueueWorld):
    """Queues of ours, sent to through the API."""

    def __init__(self, store: Store, adapter: Adapter, clock: VirtualClock) -> None:
        (self.source,) = adapter.queues
        self.clock = clock
        self.store = store
        self._operations = adapter.apis[0].operations
        self._sends = 0

    async def make_queue(self, name: str, *, is_fifo: bool = False) -> str:
        name = f"{name}.fifo" if is_fifo else name
        attributes = {"VisibilityTimeout": str(VISIBILITY_S), **({"FifoQueue": "true"} if is_fifo else {})}
        await self.call("CreateQueue", QueueName=name, Attributes=attributes)
        return queue_arn(name)

    async def send(self, arn: str, payload: str, *, group: str = "", **members: Any) -> str:
        self._sends += 1
        ordered = {"MessageGroupId": group, "MessageDeduplicationId": f"d{self._sends}"} if group else {}
        name = arn.rpartition(":")[2]
        answer = await self.call("SendMessage", QueueUrl=name, MessageBody=payload, **ordered, **members)
        return str(answer["MessageId"])

    async def delete_queue(self, arn: str) -> None:
        await self.call("DeleteQueue", QueueUrl=arn.rpartition(":")[2])

    def payload(self, message: QueueMessage) -> str:
        return str(json.loads(message.event)["body"])

    async def bury(self, owner: str) -> None:
        await self.store.hosts.bury(owner, None)
        await self.store.hosts.reap(owner)

    async def call(self, operation: str, **members: Any) -> Mapping[str, Any]:
        return await self._operations[operation](CALLER, members)

    async def counts(self, arn: str) -> tuple[int, int]:
        """Return how many messages are visible, and hidden."""
        name = QueueName(account=CALLER.account, region=CALLER.region, name=arn.rpartition(":")[2])
        queue = await self.store.queues.get(name)
        assert queue is not None
        return queue.visible, queue.in_flight


def play_listed(scenario: Callable[[QueueWorld], Awaitable[None]]) -> None:
    """Run a scenario over lists, in virtual time."""

    async def main() -> None:
        await scenario(ListedWorld(virtual_clock()))

    run_virtual(main())


def play_sqs(scenario: Callable[[SqsWorld], Awaitable[None]]) -> None:
    """Run a scenario in virtual time, on a store of its own."""

    async def main() -> None:
        clock = virtual_clock()
        with virtual_redis(lambda: clock.now_ms() / 1_000) as connect:
            client = connect()
            store = await open_store(redis_lanes(client), prefix="er", partitions=1, clock=clock, random=Random(5))
            adapter = sqs.build(AdapterContext(settings=Settings(), clock=clock, store=store))
            for owner in (OWNER, OTHER_OWNER):
                await store.hosts.join(owner, HOST)
            try:
                await scenario(SqsWorld(store, adapter, clock))
            finally:
                await store.close()
                await client.aclose()

    run_virtual(main())
