"""A parcel: one message on its way to a target, as it lies in the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from eventrouter.ports import Delivery
from eventrouter.rules.names import FunctionName
from eventrouter.rules.record import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is to be delivered, where, and for which function (whose metrics count it)."""

    arn: str
    function_key: str
    is_dead_letter: bool
    id: str
    body: bytes
    attributes: Mapping[str, tuple[str, str]]
    trace: str

    @classmethod
    def of(cls, message: Message, function: FunctionName) -> Parcel:
        return cls(
            arn=message.arn,
            function_key=function.key,
            is_dead_letter=message.is_dead_letter,
            id=message.id,
            body=message.body,
            attributes=message.attributes,
            trace=message.trace,
        )

    @property
    def service(self) -> str:
        """Return the service part of the target's ARN."""
        return self.arn.split(":", 3)[2]

    @property
    def is_of_event(self) -> bool:
        """Say whether this tells of an asynchronous event, whose id begins the parcel's; else of records."""
        return ":" in self.id

    @property
    def about(self) -> str:
        """Return the id of the event that this tells of; of records that were given up, its own."""
        return self.id.partition(":")[0]

    @property
    def delivery(self) -> Delivery:
        return Delivery(id=self.id, body=self.body, attributes=self.attributes, trace=self.trace)

    def encoded(self) -> bytes:
        """Return the parcel as MessagePack, the form in which the outbox keeps it."""
        return _ENCODER.encode(self)

    @staticmethod
    def decoded(data: bytes) -> Parcel:
        """Read what `encoded` wrote. Raises msgspec.DecodeError."""
        return _DECODER.decode(data)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Parcel)
