"""What the functions of a simulation do: they take as long, and fail as often, as what they are given says.

A value is a dict with `id`, `seconds`, and perhaps `errors`: so often it fails. Each run is noted in the story, first
thing and last, by the function's own process.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.runtime.bootstrap_marshal import Fault
from tests.simulation.story import Ran

if TYPE_CHECKING:
    from tests.simulation.world import World


class Functions:
    """The code of all functions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._failed: Counter[str] = Counter()

    async def run(self, node: int, function: Function, invocation: Invocation) -> bytes:
        """Run one process: noted at its first and last statement, and when it is killed."""
        world = self._world
        event = json.loads(invocation.payload)
        ran = world.story.begin(
            function.name.name, node, invocation.request_id, function.generation, event, world.now_ms()
        )
        try:
            result = await self._work(ran, event)
        except asyncio.CancelledError as error:
            ran.end, ran.why = world.now_ms(), str(error)
            raise
        except Fault:
            ran.end, ran.outcome = world.now_ms(), "error"
            raise
        ran.end, ran.outcome, ran.result = world.now_ms(), "ok", result
        return json.dumps(result).encode()

    async def _work(self, ran: Ran, event: Any) -> Any:
        records = event.get("Records") if isinstance(event, dict) else None
        if records is None:
            await asyncio.sleep(event.get("seconds", 0.1))
            self._fail_if_told(event)
            return {"echo": event.get("id"), "generation": ran.generation}
        if not records:  # the end of a tumbling window
            return {"state": event.get("state", {})}
        values = [value_of(record) for record in records]
        await asyncio.sleep(max(value.get("seconds", 0.1) for value in values))
        if "kinesis" in records[0]:
            return self._records(ran, event, records, values)
        return self._messages(records, values)

    def _fail_if_told(self, value: dict[str, Any]) -> None:
        if self._failed[value.get("id", "")] < value.get("errors", 0):
            self._failed[value["id"]] += 1
            raise Fault("ToldToFail", value["id"])

    def _records(self, ran: Ran, event: Any, records: list[Any], values: list[Any]) -> Any:
        if ran.function == "parts":
            for record, value in zip(records, values, strict=True):
                if self._failed[value["id"]] < value.get("errors", 0):
                    self._failed[value["id"]] += 1
                    return {"batchItemFailures": [{"itemIdentifier": record["kinesis"]["sequenceNumber"]}]}
            return {"batchItemFailures": []}
        for value in values:
            self._fail_if_told(value)
        if "window" in event:
            state = dict(event.get("state") or {})
            for value in values:
                state[value["id"]] = state.get(value["id"], 0) + 1
            return {"state": state}
        return {}

    def _messages(self, records: list[Any], values: list[Any]) -> Any:
        failed, broken = [], set[str]()
        for record, value in zip(records, values, strict=True):
            group = record["attributes"].get("MessageGroupId", "")
            count = int(record["attributes"]["ApproximateReceiveCount"])
            if count <= value.get("errors", 0) or group in broken:
                failed.append({"itemIdentifier": record["messageId"]})
                broken |= {group} - {""}
        return {"batchItemFailures": failed}


def value_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return the value in a record of a stream or a message of a queue."""
    text = base64.b64decode(record["kinesis"]["data"]) if "kinesis" in record else record["body"]
    value: dict[str, Any] = json.loads(text)
    return value
