"""The node's own paths about time: `GET /_eventrouter/clock`, and `POST /_eventrouter/clock/advance` on a virtual one.

The body is `{"seconds": 90}` or `{"until": "idle"}`. Both answer with the node's time.
"""

from __future__ import annotations

import datetime

import msgspec

from eventrouter.api.http import Request, Response, json_response
from eventrouter.clock import Clock
from eventrouter.errors import RequestError
from eventrouter.planes.time_travel import TimeTravel

CLOCK_PATH = "/_eventrouter/clock"
ADVANCE_PATH = "/_eventrouter/clock/advance"


class ClockRoutes:
    """Answers CLOCK_PATH and ADVANCE_PATH."""

    def __init__(self, clock: Clock, travel: TimeTravel | None) -> None:
        """`travel` is None on a node whose time is the machine's."""
        self._clock = clock
        self._travel = travel

    async def show(self, request: Request) -> Response:
        """Tell the node's time."""
        return self._answer()

    async def advance(self, request: Request) -> Response:
        """Travel."""
        if request.method != "POST":
            return _refusal(405, "MethodNotAllowed", "advance takes POST")
        if self._travel is None:
            reason = "this node keeps the machine's time: start it with --clock virtual to travel"
            return _refusal(409, "ResourceConflictException", reason)
        try:
            wanted = msgspec.json.decode(request.body, type=_Journey)
        except msgspec.DecodeError as error:
            return _refusal(400, "BadRequest", f'the body must be {{"seconds": N}} or {{"until": "idle"}}: {error}')
        if (wanted.seconds is None) == (wanted.until is None):
            return _refusal(400, "BadRequest", 'the body must have one of "seconds" and "until"')
        try:
            if wanted.seconds is not None:
                await self._travel.advance(wanted.seconds)
            else:
                await self._travel.until_idle()
        except RequestError as error:
            return _refusal(error.status or 400, error.code, error.message)
        return self._answer()

    def _answer(self) -> Response:
        now_ms = self._clock.now_ms()
        shown = datetime.datetime.fromtimestamp(now_ms / 1_000, datetime.UTC).isoformat(timespec="milliseconds")
        return json_response(200, {"now": shown, "now_ms": now_ms, "virtual": self._travel is not None})


class _Journey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seconds: float | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        if self.until not in {None, "idle"}:
            raise ValueError(f'until {self.until!r} is not "idle"')


def _refusal(status: int, code: str, message: str) -> Response:
    return json_response(status, {"__type": code, "message": message})
