"""APIs: their creation, with a route and an integration at once if a target is given, and their end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime

from eventrouter.clock import Clock
from eventrouter.ports import Caller, Operation
from eventrouter.rules.http_api import HttpApi, HttpIntegration, HttpRoute
from eventrouter.rules.http_route import DEFAULT_KEY
from eventrouter_adapters.http import errors
from eventrouter_adapters.http.access import Access, Members, page
from eventrouter_adapters.http.integrations import read_function_arn
from eventrouter_adapters.http.routes import checked_key
from eventrouter_adapters.http.tags import check_tags

API_KEY_EXPRESSION = "$request.header.x-api-key"
ROUTE_EXPRESSION = "$request.method $request.path"
_SHOWN = ("Name", "Description", "Version")


class ApiOperations:
    """The operations on APIs."""

    def __init__(self, access: Access, clock: Clock, *, domain: str) -> None:
        """`domain` is what follows an API's id and `execute-api` in the name of its host."""
        self._access = access
        self._clock = clock
        self._domain = domain

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "CreateApi": self.create_api,
            "DeleteApi": self.delete_api,
            "GetApi": self.get_api,
            "GetApis": self.get_apis,
            "UpdateApi": self.update_api,
        }

    async def create_api(self, caller: Caller, members: Members) -> Members:
        """Create an API; with a `Target`, one that hands everything to that function."""
        if members["ProtocolType"] != "HTTP":
            raise errors.not_supported("ProtocolType WEBSOCKET", "CreateApi", "there are no WebSocket APIs here")
        _check(members)
        tags = check_tags({}, members.get("Tags") or {})
        integrations, routes = self._quick_create(members)

        def make(api_id: str) -> HttpApi:
            return HttpApi(
                id=api_id,
                account=caller.account,
                region=caller.region,
                name=members["Name"],
                description=members.get("Description") or "",
                version=members.get("Version") or "",
                created_at_ms=self._clock.now_ms(),
                tags=tags,
                integrations=integrations,
                routes=routes,
            )

        return self._shown(caller, await self._access.add(make))

    async def get_api(self, caller: Caller, members: Members) -> Members:
        """Answer with an API."""
        return self._shown(caller, await self._access.get(caller, members))

    async def get_apis(self, caller: Caller, members: Members) -> Members:
        """Answer with a page of the caller's APIs, the oldest first."""
        found, token = page(await self._access.of_caller(caller), members)
        return {"Items": [self._shown(caller, api) for api in found], **token}

    async def update_api(self, caller: Caller, members: Members) -> Members:
        """Change what an API is called; the rest of it is routes and integrations."""
        _check(members)
        changed = {name.lower(): members[name] for name in _SHOWN if members.get(name) is not None}

        def change(api: HttpApi) -> HttpApi:
            return dataclasses.replace(api, **changed)

        return self._shown(caller, await self._access.change(caller, members, change))

    async def delete_api(self, caller: Caller, members: Members) -> Members:
        """Delete an API with all that belongs to it."""
        await self._access.remove(await self._access.get(caller, members))
        return {}

    def _quick_create(self, members: Members) -> tuple[tuple[HttpIntegration, ...], tuple[HttpRoute, ...]]:
        """Make the integration and the route that a `Target` stands for."""
        target = members.get("Target")
        if not target:
            if members.get("RouteKey"):
                raise errors.bad_request("RouteKey needs a Target")
            return (), ()
        integration = HttpIntegration(
            id=self._access.new_id(7), uri=target, function_arn=read_function_arn(target), payload_format="2.0"
        )
        key = checked_key(members.get("RouteKey") or DEFAULT_KEY)
        return (integration,), (HttpRoute(id=self._access.new_id(7), key=key, integration=integration.id),)

    def _shown(self, caller: Caller, api: HttpApi) -> dict[str, object]:
        scheme, _, address = caller.base_url.partition("://")
        port = address.rpartition(":")[2] if ":" in address.rpartition("]")[2] else ""
        shown: dict[str, object] = {
            "ApiEndpoint": f"{scheme}://{api.id}.execute-api.{self._domain}{':' if port else ''}{port}",
            "ApiId": api.id,
            "ApiKeySelectionExpression": API_KEY_EXPRESSION,
            "CreatedDate": datetime.fromtimestamp(api.created_at_ms // 1_000, UTC),
            "DisableExecuteApiEndpoint": False,
            "IpAddressType": "ipv4",
            "Name": api.name,
            "ProtocolType": "HTTP",
            "RouteSelectionExpression": ROUTE_EXPRESSION,
            "Tags": dict(api.tags),
        }
        optional: Mapping[str, str] = {"Description": api.description, "Version": api.version}
        return {**shown, **{name: value for name, value in optional.items() if value}}


def _check(members: Members) -> None:
    """Refuse values other than the one that HTTP APIs here have. Raises RequestError."""
    only = {
        "ApiKeySelectionExpression": API_KEY_EXPRESSION,
        "IpAddressType": "ipv4",
        "RouteSelectionExpression": ROUTE_EXPRESSION,
    }
    for name, value in only.items():
        if members.get(name) not in (None, value):
            raise errors.bad_request(f"{name} of an HTTP API must be {value}, not {members[name]}")
