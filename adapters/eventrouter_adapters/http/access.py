"""Finding and changing the caller's APIs, refusing what is not applied, and cutting lists into pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from string import ascii_lowercase, digits
from typing import Any, TypeVar

from eventrouter.api.registry import Entry, Refused
from eventrouter.errors import Unavailable
from eventrouter.ports import Caller, Operation
from eventrouter.rules.http_api import HttpApi
from eventrouter.store import Conflict, Routes
from eventrouter_adapters.http import errors

Members = Mapping[str, Any]

CHANGE_TRIES = 20
PAGE = 100

T = TypeVar("T")


class Access:
    """The caller's APIs."""

    def __init__(self, routes: Routes, random: Random) -> None:
        self._routes = routes
        self._random = random

    def new_id(self, length: int) -> str:
        """Make an id as AWS's are: lower-case letters and digits."""
        return "".join(self._random.choices(ascii_lowercase + digits, k=length))

    async def get(self, caller: Caller, members: Members) -> HttpApi:
        """Return the API that a request is about, as it is now on every node. Raises RequestError."""
        await self._routes.refresh()
        api = self._routes.get(members["ApiId"])
        if api is None or (api.account, api.region) != (caller.account, caller.region):
            raise errors.no_such_api(caller.account, members["ApiId"])
        return api

    async def of_caller(self, caller: Caller) -> list[HttpApi]:
        """Return the caller's APIs, the oldest first."""
        await self._routes.refresh()
        found = [api for api in self._routes.all() if (api.account, api.region) == (caller.account, caller.region)]
        return sorted(found, key=lambda api: (api.created_at_ms, api.id))

    async def add(self, make: Callable[[str], HttpApi]) -> HttpApi:
        """Store the API that `make` makes of a new id."""
        while True:
            try:
                return await self._routes.put(make(self.new_id(10)))
            except Conflict:  # an id that is taken
                continue

    async def remove(self, api: HttpApi) -> None:
        """Delete an API, however often it is changed meanwhile."""
        current: HttpApi | None = api
        while current is not None:
            try:
                await self._routes.delete(current)
                return
            except Conflict:
                await self._routes.refresh()
                current = self._routes.get(api.id)

    async def change(self, caller: Caller, members: Members, change: Callable[[HttpApi], HttpApi]) -> HttpApi:
        """Store what `change` makes of an API's record, and return it as stored.

        `change` sees the newest record, perhaps more than once; what it raises is passed on.
        """
        for _ in range(CHANGE_TRIES):
            api = await self.get(caller, members)
            try:
                return await self._routes.put(change(api))
            except Conflict:  # somebody was faster
                continue
        raise Unavailable(f"API {members['ApiId']} is being changed by others all the time")


def refusing(name: str, operation: Operation, members: Mapping[str, Entry]) -> Operation:
    """Wrap an operation: a request that sets a refused member never reaches it. What is false or empty sets nothing."""
    refused = {
        re.split(r"[.\[{]", path, maxsplit=1)[0]: entry for path, entry in members.items() if isinstance(entry, Refused)
    }

    async def call(caller: Caller, values: Members) -> Members:
        for member, entry in refused.items():
            if values.get(member):
                raise errors.not_supported(member, name, entry.why)
        return await operation(caller, values)

    return call


def page(found: Sequence[T], members: Members) -> tuple[Sequence[T], dict[str, str]]:
    """Return the page that a request asks for, and the token that leads on if anything follows. Raises RequestError."""
    limit = _number(members.get("MaxResults") or str(PAGE), "MaxResults")
    start = _number(members.get("NextToken") or "0", "NextToken")
    end = start + max(1, limit)
    return found[start:end], {"NextToken": str(end)} if end < len(found) else {}


def _number(text: str, member: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise errors.bad_request(f"Invalid value {text!r} for {member}")
    return int(text)
