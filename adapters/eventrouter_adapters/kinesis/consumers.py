"""Consumers: names under which shards are subscribed to. Source: lambda-semantics §7.2."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from eventrouter.clock import Clock
from eventrouter.ports import Caller, Operation
from eventrouter.rules.stream import Stream, StreamConsumer, StreamName
from eventrouter_adapters.kinesis import errors
from eventrouter_adapters.kinesis.access import Access, Members
from eventrouter_adapters.kinesis.addresses import consumer_arn, parse_consumer_arn
from eventrouter_adapters.kinesis.shards import check_creation
from eventrouter_adapters.kinesis.tag_rules import check_tags
from eventrouter_adapters.kinesis.tokens import TOKEN_LIFE_MS, ConsumerPage, decode_token

MOST_CONSUMERS = 20
MOST_CREATING = 5
PAGE = 100


class ConsumerOperations:
    """The operations on consumers."""

    def __init__(self, access: Access, clock: Clock, *, latency_s: float) -> None:
        self._access = access
        self._clock = clock
        self._latency_ms = round(latency_s * 1_000)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "DeregisterStreamConsumer": self.deregister_stream_consumer,
            "DescribeStreamConsumer": self.describe_stream_consumer,
            "ListStreamConsumers": self.list_stream_consumers,
            "RegisterStreamConsumer": self.register_stream_consumer,
        }

    async def register_stream_consumer(self, caller: Caller, members: Members) -> Members:
        """Give a stream another consumer."""
        consumer = StreamConsumer(
            name=members["ConsumerName"],
            created_at_ms=self._clock.now_ms(),
            tags=check_tags({}, members.get("Tags") or {}),
        )

        def registered(stream: Stream) -> Stream:
            if any(known.name == consumer.name for known in stream.consumers):
                raise errors.in_use(
                    f"Consumer {consumer.name} under stream {stream.name.arn} already exists "
                    f"for account {stream.name.account}."
                )
            if len(stream.consumers) >= MOST_CONSUMERS:
                raise errors.limit_exceeded(f"A stream has {MOST_CONSUMERS} registered consumers at most.")
            if sum(self.status(known) == "CREATING" for known in stream.consumers) >= MOST_CREATING:
                raise errors.limit_exceeded(f"A stream has {MOST_CREATING} consumers in CREATING at most.")
            return dataclasses.replace(stream, consumers=(*stream.consumers, consumer))

        stream = await self._access.change_active(self._access.name_of(caller, members), registered)
        return {"Consumer": {**self._shown(stream, consumer), "ConsumerStatus": "CREATING"}}

    async def describe_stream_consumer(self, caller: Caller, members: Members) -> Members:
        """Answer with one consumer."""
        stream, consumer = await self.find(caller, members)
        return {"ConsumerDescription": {**self._shown(stream, consumer), "StreamARN": stream.name.arn}}

    async def list_stream_consumers(self, caller: Caller, members: Members) -> Members:
        """Answer with a page of a stream's consumers, by name."""
        token = members.get("NextToken")
        if token is not None and members.get("StreamCreationTimestamp") is not None:
            raise errors.invalid_argument("NextToken and StreamCreationTimestamp cannot be provided together.")
        stream = await self._access.find(caller, members)
        check_creation(stream, members)
        after = ""
        if token is not None:
            place = decode_token(token, ConsumerPage)
            if self._clock.now_ms() - place.issued_at_ms > TOKEN_LIFE_MS:
                raise errors.token_expired()
            if (place.name, place.generation) != (stream.name.name, stream.generation):
                raise errors.invalid_argument("The NextToken is not one of this stream.")
            after = place.after
        consumers = sorted(
            (consumer for consumer in stream.consumers if consumer.name > after), key=lambda consumer: consumer.name
        )
        limit = min(members.get("MaxResults") or PAGE, PAGE)
        answer: dict[str, Any] = {"Consumers": [self._shown(stream, consumer) for consumer in consumers[:limit]]}
        if len(consumers) > limit:
            answer["NextToken"] = ConsumerPage(
                stream.name.name, stream.generation, consumers[limit - 1].name, self._clock.now_ms()
            ).encode()
        return answer

    async def deregister_stream_consumer(self, caller: Caller, members: Members) -> Members:
        """Take a consumer from its stream; its subscriptions end."""
        stream, consumer = await self.find(caller, members)

        def deregistered(stream: Stream) -> Stream:
            kept = tuple(known for known in stream.consumers if not _are_one(known, consumer))
            return dataclasses.replace(stream, consumers=kept)

        await self._access.change(stream.name, deregistered)
        return {}

    async def retag(self, caller: Caller, arn: str, edit: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Change the tags of the consumer that an ARN names. Raises RequestError."""
        stream, consumer = await self.find(caller, {"ConsumerARN": arn})

        def retagged(stream: Stream) -> Stream:
            consumers = tuple(
                dataclasses.replace(known, tags=edit(known.tags)) if _are_one(known, consumer) else known
                for known in stream.consumers
            )
            return dataclasses.replace(stream, consumers=consumers)

        await self._access.change(stream.name, retagged)

    async def find(self, caller: Caller, members: Members) -> tuple[Stream, StreamConsumer]:
        """Return the consumer that a request names by its ARN, or by its stream's and its name.

        Raises RequestError.
        """
        arn = members.get("ConsumerARN")
        if arn is None:
            name = members.get("ConsumerName")
            if members.get("StreamARN") is None or name is None:
                raise errors.invalid_argument("Either ConsumerARN, or StreamARN and ConsumerName must be given.")
            return await self._named(self._access.name_of(caller, members), name, None)
        address = parse_consumer_arn(arn)
        if address is None:
            raise errors.invalid_argument(f"{arn} is not the ARN of a consumer.")
        if (address.stream.account, address.stream.region) != (caller.account, caller.region):
            raise errors.no_such_consumer(arn, caller.account)
        return await self._named(address.stream, address.name, address.created_s)

    async def _named(self, stream_name: StreamName, name: str, created_s: int | None) -> tuple[Stream, StreamConsumer]:
        stream = await self._access.get(stream_name)
        for consumer in stream.consumers:
            if consumer.name == name and created_s in (None, consumer.created_at_ms // 1_000):
                return stream, consumer
        raise errors.no_such_consumer(name, stream_name.account)

    def status(self, consumer: StreamConsumer) -> str:
        """Return the ConsumerStatus: a new consumer takes as long as `kinesis_latency_s` says."""
        is_new = self._clock.now_ms() < consumer.created_at_ms + self._latency_ms
        return "CREATING" if is_new else "ACTIVE"

    def _shown(self, stream: Stream, consumer: StreamConsumer) -> dict[str, Any]:
        return {
            "ConsumerName": consumer.name,
            "ConsumerARN": consumer_arn(stream.name, consumer),
            "ConsumerStatus": self.status(consumer),
            "ConsumerCreationTimestamp": consumer.created_at_ms // 1_000,
        }


def _are_one(one: StreamConsumer, other: StreamConsumer) -> bool:
    """Say whether two records are of one consumer; its tags may have changed in between."""
    return (one.name, one.created_at_ms) == (other.name, other.created_at_ms)
