"""Routes: which method and path lead to which integration."""

from __future__ import annotations

import dataclasses

from eventrouter.ports import Caller, Operation
from eventrouter.rules.http_api import MOST_ROUTES, HttpApi, HttpRoute
from eventrouter.rules.http_route import RouteKeyError, parse_route_key
from eventrouter_adapters.http import errors
from eventrouter_adapters.http.access import Access, Members, page

_TARGET = "integrations/"


def checked_key(text: str) -> str:
    """Return a route key if it is one. Raises RequestError."""
    try:
        return parse_route_key(text).text
    except RouteKeyError as error:
        raise errors.bad_request(str(error)) from error


class RouteOperations:
    """The operations on routes."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "CreateRoute": self.create_route,
            "DeleteRoute": self.delete_route,
            "GetRoute": self.get_route,
            "GetRoutes": self.get_routes,
            "UpdateRoute": self.update_route,
        }

    async def create_route(self, caller: Caller, members: Members) -> Members:
        """Add a route to an API."""
        _check("CreateRoute", members)
        route_id = self._access.new_id(7)

        def add(api: HttpApi) -> HttpApi:
            if len(api.routes) >= MOST_ROUTES:
                raise errors.bad_request(f"An API can have {MOST_ROUTES} routes")
            new = _changed(api, HttpRoute(id=route_id, key=""), members)
            return dataclasses.replace(api, routes=(*api.routes, new))

        api = await self._access.change(caller, members, add)
        return _shown(_find(api, route_id))

    async def get_route(self, caller: Caller, members: Members) -> Members:
        """Answer with a route."""
        return _shown(_find(await self._access.get(caller, members), members["RouteId"]))

    async def get_routes(self, caller: Caller, members: Members) -> Members:
        """Answer with a page of an API's routes, in the order in which they were made."""
        found, token = page((await self._access.get(caller, members)).routes, members)
        return {"Items": [_shown(route) for route in found], **token}

    async def update_route(self, caller: Caller, members: Members) -> Members:
        """Change what is given of a route."""
        _check("UpdateRoute", members)

        def change(api: HttpApi) -> HttpApi:
            old = _find(api, members["RouteId"])
            new = _changed(api, old, members)
            return dataclasses.replace(api, routes=tuple(new if each is old else each for each in api.routes))

        return _shown(_find(await self._access.change(caller, members, change), members["RouteId"]))

    async def delete_route(self, caller: Caller, members: Members) -> Members:
        """Delete a route; its integration stays."""

        def remove(api: HttpApi) -> HttpApi:
            gone = _find(api, members["RouteId"])
            return dataclasses.replace(api, routes=tuple(each for each in api.routes if each is not gone))

        await self._access.change(caller, members, remove)
        return {}


def _check(operation: str, members: Members) -> None:
    """Refuse routes that not everybody may take. Raises RequestError."""
    if members.get("AuthorizationType") not in (None, "NONE"):
        raise errors.not_supported(
            f"AuthorizationType {members['AuthorizationType']}", operation, "there are no authorizers here"
        )


def _changed(api: HttpApi, route: HttpRoute, members: Members) -> HttpRoute:
    """Return a route as a request wants it in an API. Raises RequestError."""
    key = checked_key(members.get("RouteKey") or route.key)
    if any(each.key == key and each.id != route.id for each in api.routes):
        raise errors.conflict(f"Route with key {key} already exists for this API")
    integration = route.integration
    target = members.get("Target")
    if target is not None:
        integration = target.removeprefix(_TARGET)
        if target and (not target.startswith(_TARGET) or api.integration(integration) is None):
            raise errors.bad_request(f"Target {target} is not integrations/ and the id of an integration of this API")
    return dataclasses.replace(
        route, key=key, integration=integration, operation_name=members.get("OperationName") or route.operation_name
    )


def _find(api: HttpApi, route_id: str) -> HttpRoute:
    route = api.route(route_id)
    if route is None:
        raise errors.no_such_route(route_id)
    return route


def _shown(route: HttpRoute) -> dict[str, object]:
    shown: dict[str, object] = {
        "ApiKeyRequired": False,
        "AuthorizationType": "NONE",
        "RouteId": route.id,
        "RouteKey": route.key,
    }
    optional = {
        "OperationName": route.operation_name,
        "Target": f"{_TARGET}{route.integration}" if route.integration else "",
    }
    return {**shown, **{name: value for name, value in optional.items() if value}}
