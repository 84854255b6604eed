"""A Lambda function as a destination: what is delivered becomes an asynchronous event of it."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from eventrouter.errors import AdapterError, IntakeRefused, Unavailable
from eventrouter.ports import Delivery, FunctionCalls


class FunctionTarget:
    """Delivers by ARN. A delivery made twice is one event: its request id is derived from the delivery's."""

    service = "lambda"

    def __init__(self, calls: FunctionCalls) -> None:
        self._calls = calls

    async def exists(self, arn: str) -> bool:
        return self._calls.exists(arn)

    async def deliver(self, arn: str, delivery: Delivery) -> None:
        request_id = str(uuid5(NAMESPACE_URL, f"{arn}#{delivery.id}"))
        try:
            await self._calls.accept(arn, delivery.body, request_id=request_id, trace=delivery.trace)
        except (IntakeRefused, Unavailable) as error:
            raise AdapterError(str(error), transient=True) from error
