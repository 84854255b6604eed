"""Sample events of DynamoDB Streams, by the writer that mappings use."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from eventrouter.samples.model import Document, Invoked, Sample, Scene
from eventrouter_adapters.dynamodb.events import stream_record

_KEYS = {"order_id": {"S": "order-7"}}
_PLACED: dict[str, Any] = {
    **_KEYS,
    "customer": {"S": "ada"},
    "status": {"S": "placed"},
    "total": {"N": "129.5"},
    "items": {"L": [{"M": {"sku": {"S": "lamp-1"}, "quantity": {"N": "2"}}}]},
    "expires_at": {"N": "1768469400"},
}
_SHIPPED = {**_PLACED, "status": {"S": "shipped"}}
_BY_TTL = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


def _change(
    event_name: str, *, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None, by_ttl: bool = False
) -> Callable[[Scene], Document]:
    """Return the builder of a change of one item, of a stream that shows old and new images."""

    def build(scene: Scene) -> Document:
        images = {name: image for name, image in (("NewImage", after), ("OldImage", before)) if image is not None}
        record: dict[str, Any] = {
            "eventID": scene.digits(f"dynamodb:{event_name}", 32),
            "eventName": event_name,
            "dynamodb": {
                "ApproximateCreationDateTime": scene.moment,
                "Keys": _KEYS,
                **images,
                "SequenceNumber": "100000000000000000111",
                "SizeBytes": sum(len(json.dumps(image)) for image in images.values()),
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        }
        if by_ttl:
            record["userIdentity"] = _BY_TTL
        arn = scene.arn("dynamodb", f"table/orders/stream/{scene.timestamp.removesuffix('Z')}")
        return {"Records": [json.loads(stream_record(record, arn=arn, region=scene.region).event)]}

    return build


def _sample(name: str, summary: str, build: Callable[[Scene], Document]) -> Sample:
    return Sample(name=f"dynamodb:{name}", summary=summary, invoked=Invoked.MAPPING, build=build)


SAMPLES = (
    _sample("insert", "An item was inserted.", _change("INSERT", after=_PLACED)),
    _sample("modify", "An item was changed.", _change("MODIFY", before=_PLACED, after=_SHIPPED)),
    _sample("remove", "An item was removed.", _change("REMOVE", before=_SHIPPED)),
    _sample("ttl", "An item was removed because its time was over.", _change("REMOVE", before=_PLACED, by_ttl=True)),
)
