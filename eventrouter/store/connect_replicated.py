"""Waiting for replicas: new data is acknowledged by as many of them as the profile promises, or not acknowledged.

WAIT speaks for what its own connection wrote, and only counts. So it leaves in the same pipeline as the scripts, and
the number is looked at. Too few: the outcome is unknown, and the caller repeats the script with the same ids. A
repeated script may write nothing, and then WAIT would answer for older writes: a mark written right before it makes
it speak for everything up to now. Source: redis-design §10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventrouter.store.connect import Lane, pack
from eventrouter.store.lua import Script

WAIT_MS = 1_000
WAIT_DISK_MS = 2_000

MARK = "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], '') redis.call('DEL', KEYS[1]) return 1"
"""Writes, and leaves nothing behind. The first command releases: it works on a full server too."""

_EVALSHA = re.compile(rb"\*\d+\r\n\$7\r\nEVALSHA\r\n\$40\r\n([0-9a-f]{40})\r\n")
_TAG = re.compile(rb"\{[^}]+\}")


class NotReplicated(Exception):
    """Stored, but not yet where it must be as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """How many replicas must have new data, and whether it must be on all their disks and the primary's."""

    replicas: int
    on_disk: bool = False

    @property
    def timeout_s(self) -> float:
        """Return how long one wait lasts at most."""
        return (WAIT_MS + WAIT_DISK_MS if self.on_disk else WAIT_MS) / 1_000

    def commands(self) -> list[bytes]:
        """Return the packed commands that wait; the last one's answer counts.

        A replica that is asked what lies on its disk answers before it syncs what it was sent just then, and tells of
        that a second later, unless it is asked again. So it is waited for twice.
        """
        wait = pack(("WAIT", self.replicas, WAIT_MS))
        return [wait, pack(("WAITAOF", 1, self.replicas, WAIT_DISK_MS))] if self.on_disk else [wait]

    def lacks(self, answer: Any) -> str | None:
        """Say what an answer to the command lacks; None if nothing."""
        if isinstance(answer, Exception):
            return str(answer)
        local, replicas = answer if self.on_disk else (1, answer)
        if replicas < self.replicas:
            return f"{replicas} of {self.replicas} replicas have it"
        return None if local else "the primary's disk does not have it"


class ReplicatedLane:
    """A lane on which scripts that take in new data succeed only once replicas have it.

    The lane inside must wait longer than `replication.timeout_s`, and lead to one server.
    """

    def __init__(self, lane: Lane, replication: Replication, scripts: Mapping[str, Script]) -> None:
        self._lane = lane
        self._replication = replication
        self._waits = replication.commands()
        self._intake = {script.sha.encode() for script in scripts.values() if script.intake}

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        at = [number for number, command in enumerate(commands) if self._takes_in(command)]
        if not at:
            return await self._lane.execute(commands)
        tag = _TAG.search(commands[at[-1]])
        assert tag is not None, "every key has a tag"
        mark = pack(("EVAL", MARK, 1, tag[0] + b":mark"))
        answers = await self._lane.execute([*commands, mark, *self._waits])
        replies, marked = answers[: len(commands)], answers[len(commands)]
        lack = str(marked) if isinstance(marked, Exception) else self._replication.lacks(answers[-1])
        if lack is not None:
            for number in at:
                if not isinstance(replies[number], Exception):
                    replies[number] = NotReplicated(lack)
        return replies

    async def close(self) -> None:
        await self._lane.close()

    def _takes_in(self, command: bytes) -> bool:
        matched = _EVALSHA.match(command)
        return matched is not None and matched[1] in self._intake
