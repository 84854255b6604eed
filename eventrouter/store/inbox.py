"""Inboxes: how one host asks another to run an invocation, and hears what came of it.

Each host reads one stream of its own. A request in it is decided once: its host starts it, or its sender takes it
back; both use the same script, and whoever removes the entry decides. So an invocation that has begun on one host is
never begun on another. Answers are entries of the sender's own stream.

What lies in an inbox is rubbish an hour after the last write to it, and then expires. Source: redis-design §6.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from eventrouter.errors import StoreError, Unavailable
from eventrouter.store.connect import Argument, Lane, Scripts, pack
from eventrouter.store.keys import Keys

BLOCK_S = 5.0
"""How long one read waits in Redis for the next entry."""
READ_TIMEOUT_S = BLOCK_S + 3.0
READ_ENTRIES = 16
MOST_ENTRIES = 10_000
KEEP_MS = 3_600_000
DECIDE_BUDGET_S = 5.0
_START = "0-0"


class Decision(enum.Enum):
    """What became of a try to decide a request."""

    MINE = "OK"
    ANOTHERS = "LOST"
    LATE = "LATE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A request: run this invocation and answer to the inbox of the incarnation `sender`.

    `generation` is the function's, as the sender knows it. `call_id` is the invocation's own id where one call is
    offered several times, each time under a `request_id` of its own: an id is decided once and for all.
    """

    request_id: str
    sender: str
    function_key: str
    generation: int
    payload: bytes
    qualifier: str | None = None
    trace: str = ""
    client_context: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer of the incarnation `sender` to one request. What `kind` and `body` mean is the dispatcher's matter."""

    request_id: str
    sender: str
    kind: str
    body: bytes = b""


class Inbox:
    """Sends to any host's inbox; reads one, over a connection that nothing else uses."""

    def __init__(self, scripts: Scripts, keys: Keys, random: Random, lane: Callable[[], Lane]) -> None:
        self._scripts = scripts
        self._keys = keys
        self._random = random
        self._lane = lane()
        self._read_of = ""
        self._last = _START
        self._replies_read: list[bytes] = []

    async def send(self, to: str, offer: Offer, *, budget_s: float) -> None:
        """Put `offer` into the inbox of `to`, which may start it within `budget_s` from when it is stored.

        Raises IntakeRefused and Unavailable: then it may have been stored all the same, see `cancel`.
        """
        fields: list[Argument] = ["r", offer.request_id, "s", offer.sender, "f", offer.function_key]
        fields += ["g", offer.generation, "t", offer.trace.encode("utf-8", "surrogateescape"), "p", offer.payload]
        if offer.qualifier is not None:
            fields += ["q", offer.qualifier]
        if offer.client_context is not None:
            fields += ["c", offer.client_context.encode("utf-8", "surrogatepass")]
        if offer.call_id is not None:
            fields += ["i", offer.call_id]
        args = (offer.request_id, round(budget_s * 1_000), MOST_ENTRIES, KEEP_MS, *fields)
        await self._scripts.call("inbox_send", self._keys_of(to), args, budget_s=budget_s)

    async def start(self, inc: str, request_id: str) -> Decision:
        """Decide, as the host `inc`, to start a request of its own inbox: only after MINE. Raises Unavailable."""
        return await self._decide(inc, request_id, "start")

    async def cancel(self, to: str, request_id: str, *, is_stored: bool) -> Decision:
        """Take a request back: after MINE, and only then, it has not begun and never will.

        `is_stored` False: `send` did not say so. Raises Unavailable.
        """
        return await self._decide(to, request_id, "cancel" if is_stored else "forbid")

    async def reply(self, to: str, reply: Reply, *, budget_s: float) -> None:
        """Answer a request. Raises Unavailable, StoreError."""
        fields = ("r", reply.request_id, "s", reply.sender, "k", reply.kind, "p", reply.body)
        args = (f"{reply.request_id}|by|{reply.sender}", MOST_ENTRIES, KEEP_MS, *fields)
        await self._scripts.call("inbox_reply", self._keys_of(to), args, budget_s=budget_s)

    async def read(self, inc: str) -> list[Offer | Reply]:
        """Return the next entries of the inbox of `inc`, waiting up to BLOCK_S for one; often none.

        Answers are deleted as the next read begins, requests when they are decided. Raises Unavailable.
        """
        stream = self._keys.inbox(inc, "in")
        if inc != self._read_of:
            self._read_of, self._last, self._replies_read = inc, _START, []
        wait = pack(("XREAD", "COUNT", READ_ENTRIES, "BLOCK", round(BLOCK_S * 1_000), "STREAMS", stream, self._last))
        commands = [pack(("XDEL", stream, *self._replies_read)), wait] if self._replies_read else [wait]
        answers = await self._lane.execute(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                # After a failover ids may begin lower than the last one read: look at all that is there.
                self._last = _START
                raise Unavailable(f"the inbox could not be read: {answer}") from answer
        self._replies_read = []
        found: list[Offer | Reply] = []
        for entry, values in answers[-1][0][1] if answers[-1] else ():
            self._last = entry.decode()
            item = _read_entry(values)
            if not isinstance(item, Offer):
                self._replies_read.append(entry)
            if item is not None:
                found.append(item)
        return found

    async def close(self) -> None:
        """Close the connection. Nothing may be reading."""
        await self._lane.close()

    async def _decide(self, inc: str, request_id: str, what: str) -> Decision:
        token = f"{what}-{self._random.getrandbits(64):016x}"
        args = (request_id, token, KEEP_MS, what)
        answer = await self._scripts.call("inbox_decide", self._keys_of(inc), args, budget_s=DECIDE_BUDGET_S)
        try:
            return Decision(answer[0].decode())
        except ValueError as error:
            raise StoreError(f"inbox_decide answered {answer!r}") from error

    def _keys_of(self, inc: str) -> tuple[str, ...]:
        return tuple(self._keys.inbox(inc, name) for name in self._keys.INBOX)


def _read_entry(values: list[bytes]) -> Offer | Reply | None:
    """Read an entry; None for one that is not ours."""
    fields = dict(zip(values[::2], values[1::2], strict=True))
    try:
        request_id, sender = fields[b"r"].decode(), fields[b"s"].decode()
        if b"k" in fields:
            return Reply(request_id=request_id, sender=sender, kind=fields[b"k"].decode(), body=fields[b"p"])
        return Offer(
            request_id=request_id,
            sender=sender,
            function_key=fields[b"f"].decode(),
            generation=int(fields[b"g"]),
            payload=fields[b"p"],
            qualifier=fields[b"q"].decode() if b"q" in fields else None,
            trace=fields[b"t"].decode("utf-8", "surrogateescape"),
            client_context=fields[b"c"].decode("utf-8", "surrogatepass") if b"c" in fields else None,
            call_id=fields[b"i"].decode() if b"i" in fields else None,
        )
    except (KeyError, ValueError):
        return None
