"""HTTP routes: an API per name, an integration per function, a route per method and path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from eventrouter.project.model import RouteResource, function_name
from eventrouter.project.plan import Action, Change, Step
from eventrouter.project.target import Target

_SERVICE = "apigatewayv2"
_PAGES = ("NextToken", "NextToken")
_DEFAULT = "default"
_MISSING = "NotFoundException"


class RouteSteps:
    """The steps of routes. APIs are found by name and mark: on AWS too, several may have one name.

    The oldest of them is the one: two that deploy at the same time may both have made one.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._apis: list[dict[str, Any]] | None = None

    async def declared(self) -> list[Step]:
        return [await self._route(route) for route in self._target.project.routes]

    async def undeclared(self) -> list[Step]:
        routes = self._target.project.routes
        names = {self._api_name(route.api) for route in routes}
        keys = {(self._api_name(route.api), route.route_key) for route in routes}
        steps = []
        seen: set[str] = set()
        for api in await self._own_apis():
            name = api["Name"]
            if name not in names or name in seen:
                run = partial(self._delete_api, api["ApiId"])
                steps.append(Step(action=Action.DELETE, kind="api", name=name, run=run))
                continue
            seen.add(name)
            for key, found in (await self._routes(api["ApiId"])).items():
                if (name, key) not in keys:
                    run = partial(self._delete_route, api["ApiId"], found)
                    steps.append(Step(action=Action.DELETE, kind="route", name=f"{name} {key}", run=run))
        return steps

    def _api_name(self, api: str) -> str:
        return self._target.project.name if api == _DEFAULT else api

    def _arn(self, function: str) -> str:
        project = self._target.project
        return f"arn:aws:lambda:{project.region}:{project.account}:function:{function_name(function)}"

    async def _own_apis(self) -> list[dict[str, Any]]:
        """Return the project's APIs, the oldest first, as they are listed."""
        if self._apis is None:
            listed = self._target.pages(_SERVICE, "GetApis", "Items", marker=_PAGES)
            self._apis = [api async for api in listed if self._target.owns(api.get("Tags") or {})]
        return self._apis

    async def _api_id(self, name: str) -> str | None:
        return next((api["ApiId"] for api in await self._own_apis() if api["Name"] == name), None)

    async def _routes(self, api_id: str) -> dict[str, dict[str, Any]]:
        listed = self._target.pages(_SERVICE, "GetRoutes", "Items", marker=_PAGES, ApiId=api_id)
        return {route["RouteKey"]: route async for route in listed}

    async def _integrations(self, api_id: str) -> dict[str, dict[str, Any]]:
        listed = self._target.pages(_SERVICE, "GetIntegrations", "Items", marker=_PAGES, ApiId=api_id)
        return {integration["IntegrationId"]: integration async for integration in listed}

    async def _route(self, route: RouteResource) -> Step:
        name = self._api_name(route.api)
        kept = Step(action=Action.KEEP, kind="route", name=f"{name} {route.route_key}", place=route.place)
        api_id = await self._api_id(name)
        found = None if api_id is None else (await self._routes(api_id)).get(route.route_key)
        if api_id is None or found is None:
            return replace(kept, action=Action.CREATE, run=partial(self._put, route))
        integrations = await self._integrations(api_id)
        integration = integrations.get(str(found.get("Target", "")).removeprefix("integrations/"), {})
        changed = self._changes(route, integration)
        if not changed:
            return kept
        return replace(kept, action=Action.UPDATE, changes=changed, run=partial(self._put, route))

    def _changes(self, route: RouteResource, integration: Mapping[str, Any]) -> tuple[Change, ...]:
        wanted = {"IntegrationUri": self._arn(route.function), "PayloadFormatVersion": route.payload_format}
        return tuple(
            Change(member=member, before=integration.get(member), after=value)
            for member, value in wanted.items()
            if integration.get(member) != value
        )

    async def _put(self, route: RouteResource) -> None:
        """Have the route lead to its function: the API and the integration are made if they are not there yet."""
        api_id = await self._ensure_api(self._api_name(route.api))
        target = f"integrations/{await self._ensure_integration(api_id, route)}"
        found = (await self._routes(api_id)).get(route.route_key)
        if found is None:
            await self._target.call(_SERVICE, "CreateRoute", ApiId=api_id, RouteKey=route.route_key, Target=target)
        else:
            await self._target.call(_SERVICE, "UpdateRoute", ApiId=api_id, RouteId=found["RouteId"], Target=target)
            await self._drop_unused(api_id, found)

    async def _ensure_api(self, name: str) -> str:
        known = await self._api_id(name)
        if known is not None:
            return known
        made = await self._target.call(_SERVICE, "CreateApi", Name=name, ProtocolType="HTTP", Tags=self._target.owner)
        self._apis = None
        oldest = await self._api_id(name)
        if oldest is None or oldest == made["ApiId"]:
            return str(made["ApiId"])
        await self._delete_api(made["ApiId"])  # somebody else was faster
        return oldest

    async def _ensure_integration(self, api_id: str, route: RouteResource) -> str:
        for integration_id, integration in (await self._integrations(api_id)).items():
            if not self._changes(route, integration):
                return integration_id
        created = await self._target.call(
            _SERVICE,
            "CreateIntegration",
            ApiId=api_id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=self._arn(route.function),
            PayloadFormatVersion=route.payload_format,
        )
        return str(created["IntegrationId"])

    async def _delete_api(self, api_id: str) -> None:
        await self._target.call(_SERVICE, "DeleteApi", ApiId=api_id)

    async def _delete_route(self, api_id: str, route: Mapping[str, Any]) -> None:
        await self._target.call(_SERVICE, "DeleteRoute", ApiId=api_id, RouteId=route["RouteId"])
        await self._drop_unused(api_id, route)

    async def _drop_unused(self, api_id: str, route: Mapping[str, Any]) -> None:
        """Delete the integration that a route led to, if no route leads there any more."""
        target = route.get("Target", "")
        if target and all(other.get("Target") != target for other in (await self._routes(api_id)).values()):
            integration_id = target.removeprefix("integrations/")
            await self._target.find(_MISSING, _SERVICE, "DeleteIntegration", ApiId=api_id, IntegrationId=integration_id)
