"""The node's own paths about nodes: who they are and what each does, and what an operator has one of them do.

`GET /_eventrouter/nodes`; `POST /_eventrouter/nodes/<node>/drain` (`undo`: true) and `.../bury` (`force`: true) with a
JSON object. A node is named by its incarnation or the beginning of it, such as the host's id, or by its URL. Any node
may be asked: what another one must do or tell is asked of it under its URL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

import msgspec

from eventrouter.api.http import Request, Response, json_response
from eventrouter.clock import Clock
from eventrouter.peers import NODES_PATH, ask_nodes, tell_node
from eventrouter.planes.duties import Duties
from eventrouter.planes.membership import Membership
from eventrouter.rules.witness import STANDS_STILL_S
from eventrouter.settings import Role
from eventrouter.store import HostInfo, Hosts

SELF = "self"
FORCED = (
    "it was buried although it beats: what it runs is ended and runs again elsewhere, so its effects may be had twice; "
    "the node itself joins anew at its next beat"
)

Asked = TypeVar("Asked")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a node tells of itself."""

    incarnation: str
    beat_age_s: float
    shards: int
    pollers: int
    runs: int
    is_drained: bool


class HeldWork(Protocol):
    """What is counted of a node's mappings."""

    @property
    def shards(self) -> int: ...
    @property
    def pollers(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One node as it is listed. Counts are None if the node did not answer."""

    incarnation: str
    host: str
    state: str
    url: str = ""
    version: str = ""
    roles: tuple[str, ...] = ()
    started_at_ms: int | None = None
    beat_age_s: float | None = None
    shards: int | None = None
    pollers: int | None = None
    runs: int | None = None
    is_draining: bool = False
    silent_since_ms: int | None = None
    is_asked: bool = False


class _Drain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    undo: bool = False


class _Bury(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    force: bool = False


class _Refused(Exception):
    """What was asked for is not done: the answer's status, code and text."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = json_response(status, {"__type": code, "message": message})


class NodeRoutes:
    """Answers NODES_PATH and everything below it."""

    def __init__(
        self,
        *,
        hosts: Hosts,
        membership: Membership,
        duties: Duties,
        held: HeldWork,
        runs: Callable[[], int],
        clock: Clock,
    ) -> None:
        """`runs` counts what is under way in this node's environments."""
        self._hosts = hosts
        self._membership = membership
        self._duties = duties
        self._held = held
        self._runs = runs
        self._clock = clock

    async def show(self, request: Request) -> Response:
        """List all nodes."""
        return json_response(200, {"nodes": [dataclasses.asdict(node) for node in await self._all()]})

    async def answer(self, request: Request) -> Response:
        """Answer one request below NODES_PATH."""
        name, _, action = request.path.removeprefix(f"{NODES_PATH}/").rpartition("/")
        try:
            if not name and action == SELF:
                return json_response(200, self._report())
            acts: Mapping[str, Callable[[str, HostInfo, bytes], Awaitable[dict[str, Any]]]] = {
                "drain": self._drain,
                "bury": self._bury,
            }
            if action not in acts:
                raise _Refused(404, "NotFound", f"nodes have no {action}: there are {' and '.join(acts)}")
            if request.method != "POST":
                raise _Refused(405, "MethodNotAllowed", "this takes POST")
            incarnation, info = await self._find(unquote(name))
            return json_response(200, await acts[action](incarnation, info, request.body))
        except _Refused as refused:
            return refused.answer

    # Listing.

    async def _all(self) -> list[Shown]:
        living = await self._hosts.list()
        me, silences = self._membership.incarnation, self._membership.silence_s()
        others = {node: info.url for node, info in living.items() if node != me}
        told: dict[str, Report | None] = {me: self._report()}
        for node, body in (await ask_nodes(others, f"{NODES_PATH}/{SELF}")).items():
            told[node] = _read_report(node, body)
        nodes = [self._shown(node, info, told.get(node), silences.get(node, 0.0)) for node, info in living.items()]
        dead = [Shown(incarnation=node, host=_host(node), state="dead") for node in await self._hosts.dead()]
        return sorted(nodes, key=lambda node: (node.started_at_ms or 0, node.incarnation)) + dead

    def _shown(self, node: str, info: HostInfo, told: Report | None, silence_s: float) -> Shown:
        is_silent = silence_s >= STANDS_STILL_S
        if is_silent:
            state = "silent"
        elif info.is_draining:
            state = "drained" if told is not None and told.is_drained else "starting or ending"
        else:
            state = "ready"
        return Shown(
            incarnation=node,
            host=_host(node),
            state=state,
            url=info.url,
            version=info.version,
            roles=info.roles,
            started_at_ms=info.started_at_ms,
            beat_age_s=round(silence_s if told is None else told.beat_age_s, 3),
            shards=None if told is None else told.shards,
            pollers=None if told is None else told.pollers,
            runs=None if told is None else told.runs,
            is_draining=info.is_draining,
            silent_since_ms=self._clock.now_ms() - round(silence_s * 1_000) if is_silent else None,
            is_asked=node == self._membership.incarnation,
        )

    def _report(self) -> Report:
        return Report(
            incarnation=self._membership.incarnation,
            beat_age_s=self._membership.beat_age_s,
            shards=self._held.shards,
            pollers=self._held.pollers,
            runs=self._runs(),
            is_drained=self._duties.is_drained,
        )

    async def _find(self, name: str) -> tuple[str, HostInfo]:
        """Return the one node that is meant. Raises _Refused."""
        living = await self._hosts.list()
        fits = {node: info for node, info in living.items() if name in {node, _host(node), info.url.rstrip("/")}}
        if not fits and name:
            fits = {node: info for node, info in living.items() if node.startswith(name)}
        if not fits:
            raise _Refused(404, "NoSuchNode", f"no node {name!r} is listed: see `eventrouter nodes ls`")
        if len(fits) > 1:
            raise _Refused(409, "AmbiguousNode", f"{name!r} may be any of {', '.join(sorted(fits))}")
        [found] = fits.items()
        return found

    # Draining.

    async def _drain(self, node: str, info: HostInfo, body: bytes) -> dict[str, Any]:
        undo = _read(body, _Drain).undo
        if node != self._membership.incarnation:
            return await self._pass_on(node, info, body)
        await (self._duties.resume() if undo else self._duties.drain())
        return {"incarnation": node, "is_drained": self._duties.is_drained, "warnings": await self._lacking()}

    async def _pass_on(self, node: str, info: HostInfo, body: bytes) -> dict[str, Any]:
        """Have another node do it: it alone can."""
        status, answer = await tell_node(f"{info.url}{NODES_PATH}/{node}/drain", body or b"{}")
        try:
            told: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
        except msgspec.DecodeError:
            status, told = 0, {}
        if status == 200 and told.get("incarnation") == node:
            return told
        if status and told.get("message"):
            raise _Refused(status, str(told.get("__type")), f"{info.url} says: {told['message']}")
        raise _Refused(
            502,
            "NodeNotReached",
            f"{node} does not answer at {info.url}, and only it can let go of what it has. "
            "If it is dead, bury it; if it lives, its advertise_url is wrong",
        )

    async def _lacking(self) -> list[str]:
        """Say which work nobody does now."""
        living = (await self._hosts.list()).values()
        lacking = {
            Role.WORKER: "no node runs functions: calls are refused, and events wait",
            Role.POLLER: "no node polls: streams, queues and schedules wait",
        }
        return [text for role, text in lacking.items() if not any(info.takes(role) for info in living)]

    # Burying.

    async def _bury(self, node: str, info: HostInfo, body: bytes) -> dict[str, Any]:
        is_forced = _read(body, _Bury).force
        if node == self._membership.incarnation:
            raise _Refused(409, "NodeAnswers", f"{node} is the node that was asked, and lives: stop it, or drain it")
        await self._membership.look()
        silence_s = self._membership.silence_s().get(node, 0.0)
        counter = self._membership.counter_of(node)
        is_still = counter is not None and silence_s >= STANDS_STILL_S
        requeued = -1
        if is_still or is_forced:
            requeued = await self._membership.bury(node, counter if is_still else None)
        if requeued < 0 and is_forced:
            requeued, is_still = await self._membership.bury(node, None), False
        if requeued < 0:
            raise _Refused(
                409,
                "NodeBeats",
                f"{node} beats: it has been seen to within the last {STANDS_STILL_S:g} s. Drain it, or stop it. "
                "With force it is buried all the same: what it runs would run twice",
            )
        return {"incarnation": node, "events": requeued, "consequence": None if is_still else FORCED}


def _host(incarnation: str) -> str:
    return incarnation.partition("-")[0]


def _read(body: bytes, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise _Refused(400, "BadRequest", f"the body cannot be read: {error}") from None


def _read_report(node: str, body: bytes | None) -> Report | None:
    """Read what a node told; None if it said nothing, or another one did: a wrong advertise_url."""
    try:
        report = msgspec.json.decode(body or b"", type=Report)
    except msgspec.DecodeError:
        return None
    return report if report.incarnation == node else None
