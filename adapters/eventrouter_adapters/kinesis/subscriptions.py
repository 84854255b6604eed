"""SubscribeToShard: records pushed to a consumer for five minutes. Source: lambda-semantics §7.2.

A consumer has one subscription of a shard. Another one takes over, but not within five seconds. Both is known to
the node that serves them only: a consumer that changes nodes may have two for a while, as each reads for itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from eventrouter.clock import Clock, first_of
from eventrouter.ports import Caller, Operation
from eventrouter.rules.stream import RecordId, Stream, StreamShard
from eventrouter_adapters.kinesis import errors
from eventrouter_adapters.kinesis.access import Access, Members
from eventrouter_adapters.kinesis.consumers import ConsumerOperations
from eventrouter_adapters.kinesis.reading import Reader, StartingPoint, shown_records
from eventrouter_adapters.kinesis.sequence import sequence_number

LIFE_S = 300.0
TAKEOVER_AFTER_S = 5.0
SIGN_OF_LIFE_S = 5.0
"""An event without records says that the subscription lives, and finds out whether the stream still does."""

EVENT_RECORDS = 10_000
EVENT_BYTES = 1_048_576

Event = dict[str, Any]


@dataclass(eq=False, slots=True, kw_only=True)
class Subscription:
    """One subscription: what it is of, and whether another one took its place."""

    stream: Stream
    shard: StreamShard
    consumer: str
    began_at: float
    is_replaced: bool = False


class SubscriptionOperations:
    """The one operation that pushes records."""

    def __init__(self, *, reader: Reader, consumers: ConsumerOperations, access: Access, clock: Clock) -> None:
        self._reader = reader
        self._consumers = consumers
        self._access = access
        self._clock = clock
        self._newest: dict[tuple[str, str], Subscription] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {"SubscribeToShard": self.subscribe_to_shard}

    async def subscribe_to_shard(self, caller: Caller, members: Members) -> Members:
        """Answer with the events of a new subscription."""
        stream, consumer = await self._consumers.find(caller, members)
        self._access.usable(stream)
        if (status := self._consumers.status(consumer)) != "ACTIVE":
            raise errors.in_use(f"Consumer {consumer.name} is not ACTIVE, instead in state {status}")
        shard = self._access.shard(stream, members["ShardId"])
        given = members["StartingPosition"]
        start = StartingPoint(kind=given["Type"], sequence=given.get("SequenceNumber"), time=given.get("Timestamp"))
        after = await self._reader.position(stream, shard, start)
        if members.get("DryRun"):
            raise errors.dry_run()
        subscription = self._begin(stream, shard, members["ConsumerARN"])
        return {"EventStream": self._events(caller, subscription, after)}

    def _begin(self, stream: Stream, shard: StreamShard, consumer: str) -> Subscription:
        """Note a subscription as the consumer's newest of this shard. Raises RequestError."""
        now = self._clock.monotonic()
        for place, subscription in list(self._newest.items()):
            if now - subscription.began_at > LIFE_S:
                del self._newest[place]
        known = self._newest.get((consumer, shard.id))
        if known is not None:
            if now - known.began_at < TAKEOVER_AFTER_S:
                raise errors.in_use(
                    f"Another active subscription exists for this consumer: {stream.name.account}:"
                    f"{stream.name.name}:{shard.id}:{consumer}"
                )
            known.is_replaced = True
        subscription = Subscription(stream=stream, shard=shard, consumer=consumer, began_at=now)
        self._newest[consumer, shard.id] = subscription
        return subscription

    async def _events(self, caller: Caller, subscription: Subscription, after: RecordId) -> AsyncGenerator[Event, None]:
        """Yield events until the five minutes are over or the shard is; raises RequestError when it must end."""
        shard = subscription.shard
        while (left_s := subscription.began_at + LIFE_S - self._clock.monotonic()) > 0:
            stream = await self._still(caller, subscription)
            page = await self._reader.read(stream, shard, after, limit=EVENT_RECORDS, max_bytes=EVENT_BYTES)
            if page.rows:
                after = page.last
            event: Event = {
                "Records": shown_records(page.records, shard.index),
                "ContinuationSequenceNumber": sequence_number(after, shard.index),
                "MillisBehindLatest": await self._reader.behind_ms(stream, shard, page),
            }
            if page.is_end:
                event["ChildShards"] = await self._reader.children(stream, shard)
            yield {"SubscribeToShardEvent": event}
            if page.is_end:
                return
            if not page.rows:
                await self._pause(stream, shard, after, min(left_s, SIGN_OF_LIFE_S))

    async def _still(self, caller: Caller, subscription: Subscription) -> Stream:
        """Return the stream of a subscription that may go on. Raises RequestError."""
        if subscription.is_replaced:
            raise errors.in_use("Another subscription of this consumer has taken over.")
        stream, _ = await self._consumers.find(caller, {"ConsumerARN": subscription.consumer})
        if stream.generation != subscription.stream.generation:
            raise errors.no_such_stream(stream.name)
        return self._access.usable(stream)

    async def _pause(self, stream: Stream, shard: StreamShard, after: RecordId, seconds: float) -> None:
        """Wait for a record, at most `seconds` of the clock."""
        await first_of(self._reader.wait(stream, shard, after), self._clock.sleep(seconds))
