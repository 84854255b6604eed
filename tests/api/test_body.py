"""Bodies are kept within bounds: each within its own, and all together within one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventrouter.api.body import Bodies, BodyTooLarge, Disconnected
from eventrouter.errors import IntakeRefused

pytestmark = pytest.mark.unit


class Caller:
    """Sends a body piece by piece, as it is told to."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def send(self, *pieces: bytes, is_all: bool = False) -> None:
        for at, piece in enumerate(pieces):
            more = not (is_all and at == len(pieces) - 1)
            self._messages.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def leave(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> dict[str, Any]:
        return await self._messages.get()


def read(bodies: Bodies, caller: Caller, *, limit: int = 100) -> asyncio.Task[bytes]:
    return asyncio.ensure_future(bodies.read(caller.receive, {}, limit))


def test_a_body_in_pieces_is_put_together() -> None:
    async def main() -> None:
        caller = Caller()
        caller.send(b"a", b"b", b"", b"c", is_all=True)
        assert await read(Bodies(), caller) == b"abc"

    asyncio.run(main())


def test_a_body_over_its_limit_is_not_kept() -> None:
    async def main() -> None:
        caller = Caller()
        caller.send(b"a" * 60, b"b" * 60)
        with pytest.raises(BodyTooLarge):
            await read(Bodies(), caller)

    asyncio.run(main())


@pytest.mark.parametrize("end", ["complete", "gone", "too large"])
def test_more_than_the_node_keeps_is_refused_until_there_is_room_again(end: str) -> None:
    async def main() -> None:
        bodies = Bodies(most=150)
        first, second, third = Caller(), Caller(), Caller()
        slow = read(bodies, first)
        first.send(b"a" * 50, b"a" * 40)
        second.send(b"b" * 40, b"b" * 40)
        await asyncio.sleep(0)
        with pytest.raises(IntakeRefused, match="on their way"):
            await read(bodies, second)

        if end == "complete":
            first.send(b"a", is_all=True)
            assert len(await slow) == 91
        elif end == "gone":
            first.leave()
            with pytest.raises(Disconnected):
                await slow
        else:
            first.send(b"a" * 20)
            with pytest.raises(BodyTooLarge):
                await slow
        third.send(b"c" * 50, b"c" * 50, is_all=True)
        assert len(await read(bodies, third)) == 100

    asyncio.run(main())
