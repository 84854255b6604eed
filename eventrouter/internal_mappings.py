"""The node's own paths about mappings: how far each shard of a stream is, and moving its position.

`GET /_eventrouter/mappings/<uuid>`; `POST` with a JSON object to `.../rewind` (`to`: a sequence number, an ISO 8601
time or seconds since 1970; `shard`) and to `.../unblock` (`skip`: true; `shard`), while the mapping is Disabled.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from eventrouter.api.http import Request, Response, json_response
from eventrouter.clock import Clock
from eventrouter.errors import AdapterError
from eventrouter.journal import Facts, Journal, Span
from eventrouter.planes.shard_moves import FromSequence, NoSuchPlace, NotDisabled, ShardMoves, SinceTime
from eventrouter.planes.shard_progress import MappingProgress, ProgressReader
from eventrouter.ports import SourceGone, StreamSource
from eventrouter.rules.explain import Rule
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.store import Store

MAPPINGS_PATH = "/_eventrouter/mappings/"

Asked = TypeVar("Asked")

_LONGEST_SECONDS = 12
"""Digits of a number that still means seconds: sequence numbers are longer."""


class MappingRoutes:
    """Answers everything below MAPPINGS_PATH."""

    def __init__(
        self,
        *,
        store: Store,
        sources: Mapping[str, StreamSource],
        clock: Clock,
        incarnation: Callable[[], str],
        journal: Journal,
    ) -> None:
        self._journal = journal
        self._mappings = store.mappings
        self._clock = clock
        self._progress = ProgressReader(lanes=store.lanes, hosts=store.hosts, sources=sources, clock=clock)
        self._moves = ShardMoves(
            lanes=store.lanes, hosts=store.hosts, sources=sources, clock=clock, incarnation=incarnation
        )

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        uuid, _, action = request.path.removeprefix(MAPPINGS_PATH).partition("/")
        actions = {"": ("GET", self._show), "rewind": ("POST", self._rewind), "unblock": ("POST", self._unblock)}
        if action not in actions:
            return _refusal(404, "NotFound", f"mappings have no {action}")
        method, act = actions[action]
        if request.method != method:
            return _refusal(405, "MethodNotAllowed", f"this takes {method}")
        await self._mappings.catalogue.refresh()
        mapping = self._mappings.catalogue.get(uuid)
        if mapping is None:
            return _refusal(404, "ResourceNotFoundException", f"no mapping {uuid}")
        if action and mapping.is_queue:
            return _refusal(400, "BadRequest", "a queue has no positions: there is nothing to rewind or to skip")
        try:
            return json_response(200, await act(mapping, request.body))
        except NotDisabled as error:
            return _refusal(409, "NotDisabled", f"{error}. Pause it first: `eventrouter mappings pause {uuid}`")
        except (NoSuchPlace, _BadRequest) as error:
            return _refusal(400, "BadRequest", str(error))
        except (AdapterError, SourceGone) as error:
            return _refusal(502, "StreamNotRead", f"the stream could not be asked: {error}")

    async def _show(self, mapping: EventSourceMapping, body: bytes) -> dict[str, Any]:
        progress = MappingProgress(problem=None, shards=()) if mapping.is_queue else await self._progress.read(mapping)
        [result] = await self._mappings.results([mapping.uuid])
        return {
            "uuid": mapping.uuid,
            "state": mapping.state,
            "function": mapping.reference.arn,
            "source": mapping.source_arn,
            "last_result": result,
            "problem": progress.problem,
            "shards": progress.shards,
        }

    async def _rewind(self, mapping: EventSourceMapping, body: bytes) -> dict[str, Any]:
        asked = _read(body, _Rewind)
        moved = await self._moves.rewind(mapping, _place(asked.to, now_ms=self._clock.now_ms()), asked.shard)
        return {"rewound": [dataclasses.asdict(each) for each in moved]}

    async def _unblock(self, mapping: EventSourceMapping, body: bytes) -> dict[str, Any]:
        asked = _read(body, _Unblock)
        if not asked.skip:
            raise _BadRequest("skip must be true: a blocked shard goes on only without what blocks it")
        skipped = await self._moves.skip(mapping, asked.shard)
        for each in skipped:
            span = Span(each.shard, each.first, each.last) if each.first else None
            facts: Facts = {"lane": each.lane, "tries": each.invokes}
            self._journal.note(f"{mapping.uuid}/{each.shard}", Rule.SKIPPED, facts, (), (), span)
        return {"skipped": [dataclasses.asdict(each) for each in skipped]}


class _BadRequest(Exception):
    """The body does not say what to do."""


class _Rewind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    to: str | int | float
    shard: str | None = None


class _Unblock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    skip: bool = False
    shard: str | None = None


def _read(body: bytes, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise _BadRequest(f"the body cannot be read: {error}") from None


def _place(to: str | float, *, now_ms: int) -> SinceTime | FromSequence:
    """Read where to rewind to. A time without a zone is in UTC, and one that is to come would leave records out."""
    text = str(to)
    if re.fullmatch(r"[0-9]+", text) and len(text) > _LONGEST_SECONDS:
        return FromSequence(sequence=text.lstrip("0"))
    try:
        at_ms = _milliseconds(text)
    except (ValueError, OverflowError):
        raise _BadRequest(
            f"to {text!r}: must be a sequence number, a time such as 2026-01-31T08:00:00Z, or seconds since 1970"
        ) from None
    if at_ms > now_ms:
        raise _BadRequest(f"to {text!r}: is in the future: what arrives until then would never be read")
    return SinceTime(at_ms=at_ms)


def _milliseconds(text: str) -> int:
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return round(float(text) * 1_000)
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


def _refusal(status: int, code: str, message: str) -> Response:
    return json_response(status, {"__type": code, "message": message})
