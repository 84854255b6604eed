"""A Lambda function as a destination: what is delivered becomes an asynchronous event of it."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from eventrouter.errors import AdapterError, IntakeRefused, RequestError, Unavailable
from eventrouter.planes.events import EventPlane
from eventrouter.ports import Delivery
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionReference, parse_reference
from eventrouter.store import Functions


class FunctionTarget:
    """Delivers by ARN. A delivery made twice is one event: its request id is derived from the delivery's."""

    service = "lambda"

    def __init__(self, *, functions: Functions, events: EventPlane) -> None:
        self._functions = functions
        self._events = events

    async def exists(self, arn: str) -> bool:
        try:
            return self._functions.get(_reference(arn).function) is not None
        except RequestError:
            return False

    async def deliver(self, arn: str, delivery: Delivery) -> None:
        reference = _reference(arn)
        function = self._functions.runnable(reference.function)
        if function is None:
            raise AdapterError(f"Function not found: {arn}", transient=False)
        invocation = Invocation(
            request_id=str(uuid5(NAMESPACE_URL, f"{arn}#{delivery.id}")),
            reference=reference,
            payload=delivery.body,
            trace=delivery.trace,
        )
        try:
            await self._events.accept(function, invocation)
        except (IntakeRefused, Unavailable) as error:
            raise AdapterError(str(error), transient=True) from error


def _reference(arn: str) -> FunctionReference:
    parts = arn.split(":")
    if len(parts) < 7:
        raise RequestError("InvalidParameterValueException", f"{arn!r} is not the ARN of a function")
    return parse_reference(arn, None, account=parts[4], region=parts[3])
