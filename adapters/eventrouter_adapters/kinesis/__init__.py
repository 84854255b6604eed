"""Kinesis: ordered streams on Redis, for callers and as sources of event source mappings."""

from __future__ import annotations

from random import Random

from eventrouter.ports import Adapter, AdapterContext, Operation, ServiceApi
from eventrouter_adapters.kinesis.access import Access
from eventrouter_adapters.kinesis.consumers import ConsumerOperations
from eventrouter_adapters.kinesis.lifecycle import Lifecycle
from eventrouter_adapters.kinesis.members import MEMBERS
from eventrouter_adapters.kinesis.reading import Reader, ReadOperations
from eventrouter_adapters.kinesis.records import RecordOperations
from eventrouter_adapters.kinesis.reshard import ReshardOperations
from eventrouter_adapters.kinesis.shards import ShardOperations
from eventrouter_adapters.kinesis.source import KinesisSource
from eventrouter_adapters.kinesis.streams import StreamOperations
from eventrouter_adapters.kinesis.subscriptions import SubscriptionOperations
from eventrouter_adapters.kinesis.tags import TagOperations

__all__ = ["MEMBERS", "build"]


def build(context: AdapterContext, random: Random | None = None) -> Adapter:
    """Build the adapter over the node's streams."""
    settings, clock, streams = context.settings, context.clock, context.store.streams
    access = Access(streams, clock)
    lifecycle = Lifecycle(streams, clock, latency_s=settings.kinesis_latency_s)
    return Adapter(
        name="kinesis",
        apis=(
            ServiceApi(
                service="kinesis",
                operations=_operations(context, access, lifecycle, random or context.random),
                members=MEMBERS,
            ),
        ),
        streams=(KinesisSource(streams, clock),),
        loops={"kinesis-transitions": lifecycle.finish_turn, "kinesis-retention": lifecycle.trim_turn},
    )


def _operations(context: AdapterContext, access: Access, lifecycle: Lifecycle, random: Random) -> dict[str, Operation]:
    settings, clock, streams = context.settings, context.clock, context.store.streams
    reader = Reader(streams=streams, access=access, clock=clock)
    consumers = ConsumerOperations(access, clock, latency_s=settings.kinesis_latency_s)
    records = RecordOperations(
        streams=streams,
        access=access,
        clock=clock,
        random=random,
        has_limits=settings.kinesis_throughput_limits,
        error_probability=settings.kinesis_error_probability,
    )
    parts = (
        StreamOperations(streams=streams, access=access, lifecycle=lifecycle, clock=clock, random=random),
        ShardOperations(access, clock),
        records,
        ReadOperations(reader=reader, access=access, clock=clock),
        ReshardOperations(access=access, lifecycle=lifecycle, clock=clock),
        consumers,
        SubscriptionOperations(reader=reader, consumers=consumers, access=access, clock=clock),
        TagOperations(access, consumers),
    )
    return {name: operation for part in parts for name, operation in part.operations().items()}
