"""Functions as adapters call them: by ARN, for an answer or as an event."""

from __future__ import annotations

from collections.abc import Callable

from eventrouter.errors import AdapterError, RequestError
from eventrouter.planes.events import EventPlane
from eventrouter.planes.sync import SyncPlane
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import LATEST, FunctionReference, parse_reference
from eventrouter.rules.outcome import Run, Throttled
from eventrouter.store import Functions


class FunctionCalls:
    """The port `FunctionCalls` over the planes, which may be built after it."""

    def __init__(
        self, *, functions: Functions, sync: Callable[[], SyncPlane], events: Callable[[], EventPlane]
    ) -> None:
        self._functions = functions
        self._sync = sync
        self._events = events

    def exists(self, arn: str) -> bool:
        try:
            return self._functions.get(_reference(arn).function) is not None
        except RequestError:
            return False

    async def call(self, arn: str, payload: bytes, *, request_id: str, trace: str = "") -> Run | Throttled:
        function, invocation = await self._invocation(arn, payload, request_id, trace)
        return await self._sync().invoke(function, invocation)

    async def accept(self, arn: str, payload: bytes, *, request_id: str, trace: str = "") -> None:
        function, invocation = await self._invocation(arn, payload, request_id, trace)
        await self._events().accept(function, invocation)

    async def _invocation(self, arn: str, payload: bytes, request_id: str, trace: str) -> tuple[Function, Invocation]:
        """Find the function, which another node may just have made. Raises AdapterError."""
        try:
            reference = _reference(arn)
        except RequestError as error:
            raise AdapterError(error.message, transient=False) from error
        function = self._functions.runnable(reference.function)
        if function is None:
            await self._functions.refresh()
            function = self._functions.runnable(reference.function)
        if function is None or reference.version != LATEST:
            raise AdapterError(f"Function not found: {arn}", transient=False)
        return function, Invocation(request_id=request_id, reference=reference, payload=payload, trace=trace)


def _reference(arn: str) -> FunctionReference:
    parts = arn.split(":")
    if len(parts) < 7:
        raise RequestError("InvalidParameterValueException", f"{arn!r} is not the ARN of a function")
    return parse_reference(arn, None, account=parts[4], region=parts[3])
