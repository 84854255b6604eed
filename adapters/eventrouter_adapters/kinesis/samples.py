"""Sample events of Kinesis, by the writer that mappings use."""

from __future__ import annotations

import json
from typing import Any

from eventrouter.rules.stream import StreamName, StreamShard
from eventrouter.samples.model import Document, Invoked, Sample, Scene, an_order
from eventrouter_adapters.kinesis.events import EventWriter

_LAST_HASH_KEY = str(2**128 - 1)


def _records(scene: Scene) -> Document:
    """Return a batch of two records of one partition key, a few milliseconds apart."""
    stream = StreamName(account=scene.account, region=scene.region, name="orders")
    writer = EventWriter(
        arn=stream.arn,
        region=scene.region,
        shard=StreamShard(index=0, first_hash_key="0", last_hash_key=_LAST_HASH_KEY),
        identity_arn=f"arn:aws:iam::{scene.account}:role/take-orders",
    )
    orders: list[dict[str, Any]] = [an_order(), {**an_order("order-8"), "total": 64.75}]
    rows = [
        (b"%d-0" % (scene.at_ms + 5 * index), b"ada", json.dumps(order).encode()) for index, order in enumerate(orders)
    ]
    return {"Records": [json.loads(record.event) for record in writer.write(rows)]}


SAMPLES = (Sample(name="kinesis:put", summary="Two records of a stream.", invoked=Invoked.MAPPING, build=_records),)
