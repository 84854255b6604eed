"""Sample events of SQS, by the writer that mappings use."""

from __future__ import annotations

import json
from collections.abc import Callable

from eventrouter.rules.batch_record import FailedBatch, batch_record
from eventrouter.rules.record import iso_timestamp
from eventrouter.rules.shard import Drop, DropCondition
from eventrouter.samples.messaging import sns_notification
from eventrouter.samples.model import Document, Invoked, Sample, Scene, an_order
from eventrouter.samples.storage import notification
from eventrouter.store.queues import QueueName, Receipt, ReceivedMessage
from eventrouter_adapters.sqs.events import EventWriter
from eventrouter_adapters.sqs.messages import Extras, MessageAttribute

_SENDER = "AIDAEXAMPLESENDER"


def _event(scene: Scene, name: str, *messages: ReceivedMessage) -> Document:
    queue = QueueName(account=scene.account, region=scene.region, name=name)
    writer = EventWriter(queue, arn=queue.arn, has_window=False)
    return {"Records": [json.loads(writer.write(message).event) for message in messages]}


def _message(
    scene: Scene, body: str, *, number: int = 0, extras: Extras | None = None, group: str = "", times: int = 1
) -> ReceivedMessage:
    """Return a message sent at the scene's time; with a `group`, it is one of a FIFO queue."""
    sent_at_ms = scene.at_ms + number
    return ReceivedMessage(
        receipt=Receipt(id=scene.uuid(f"sqs:{body}:{number}"), count=times, nonce=scene.digits("sqs:receipt", 32)),
        body=body.encode(),
        extras=(extras or Extras()).encode(),
        sender=_SENDER,
        sent_at_ms=sent_at_ms,
        first_received_at_ms=sent_at_ms + 2,
        group=group,
        deduplication_id=scene.digits(f"sqs:deduplication:{number}", 64) if group else "",
        sequence_number=f"{18_849_496_460_467_696_128 + 256 * number}" if group else "",
    )


def _standard(scene: Scene) -> Document:
    attributes = {
        "kind": MessageAttribute("String", b"order.placed"),
        "attempt": MessageAttribute("Number", b"1"),
        "digest": MessageAttribute("Binary", b"\x00\x01\x02"),
    }
    first = _message(scene, json.dumps(an_order()), extras=Extras(attributes=attributes))
    return _event(scene, "orders", first, _message(scene, json.dumps(an_order("order-8")), number=1))


def _fifo(scene: Scene) -> Document:
    steps = ("placed", "paid", "shipped")
    messages = (
        _message(scene, json.dumps({"order_id": "order-7", "step": step}), number=number, group="order-7")
        for number, step in enumerate(steps)
    )
    return _event(scene, "steps.fifo", *messages)


def _body(name: str, build: Callable[[Scene], Document]) -> Callable[[Scene], Document]:
    """Return the builder of one message whose body is a document."""
    return lambda scene: _event(scene, name, _message(scene, json.dumps(build(scene))))


def _failed_batch(scene: Scene) -> Document:
    """Return the record that a stream's on-failure queue receives."""
    arrivals = scene.at_ms - 60_000, scene.at_ms - 59_500
    drop = Drop(
        first=f"4959{arrivals[0]:020d}{0:020d}{0:012d}",
        last=f"4959{arrivals[1]:020d}{0:020d}{0:012d}",
        size=2,
        arrived_first_ms=arrivals[0],
        arrived_last_ms=arrivals[1],
        condition=DropCondition.RETRY_ATTEMPTS_EXHAUSTED,
        invokes=3,
    )
    failed = FailedBatch(
        request_id=scene.uuid("kinesis:request"),
        function_arn=scene.arn("lambda", "function:take-orders"),
        drop=drop,
        batch_info="KinesisBatchInfo",
        shard_id="shardId-000000000000",
        stream_arn=scene.arn("kinesis", "stream/orders"),
        arrived_first=iso_timestamp(arrivals[0]),
        arrived_last=iso_timestamp(arrivals[1]),
        ended_at_ms=scene.at_ms,
        function_error="Unhandled",
    )
    record: Document = json.loads(batch_record(failed))
    return record


def _sample(name: str, summary: str, build: Callable[[Scene], Document]) -> Sample:
    return Sample(name=f"sqs:{name}", summary=summary, invoked=Invoked.MAPPING, build=build)


SAMPLES = (
    _sample("send", "Two messages of a standard queue, one with attributes.", _standard),
    _sample("fifo", "Three messages of one group of a FIFO queue.", _fifo),
    _sample(
        "s3",
        "An object was put, told by a queue.",
        _body("uploads", lambda scene: notification(scene, "ObjectCreated:Put")),
    ),
    _sample("sns", "A notification of a topic that a queue subscribes to.", _body("notices", sns_notification)),
    _sample(
        "stream-failure",
        "An on-failure queue is told of records that a stream's mapping gave up.",
        _body("failures", _failed_batch),
    ),
)
