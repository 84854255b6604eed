"""A lane that shows whether scripts may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventrouter.store.connect import Lane


class Twice:
    """A lane on which every command runs twice; the caller sees the second answer, as after a lost reply."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        both = [command for command in commands for _ in range(2)]
        return (await self._lane.execute(both))[1::2]

    async def close(self) -> None:
        await self._lane.close()
