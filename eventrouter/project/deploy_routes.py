"""HTTP routes: an API per name, an integration per function, a route per method and path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from eventrouter.project.deploy_mappings import function_name
from eventrouter.project.model import RouteResource
from eventrouter.project.plan import Action, Change, Step
from eventrouter.project.target import Target

_SERVICE = "apigatewayv2"
_PAGES = ("NextToken", "NextToken")
_DEFAULT = "default"


class RouteSteps:
    """The steps of routes. APIs are found by name and mark: on AWS too, several may have one name."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._apis: dict[str, dict[str, Any]] | None = None

    async def declared(self) -> list[Step]:
        return [await self._route(route) for route in self._target.project.routes]

    async def undeclared(self) -> list[Step]:
        routes = self._target.project.routes
        names = {self._api_name(route.api) for route in routes}
        keys = {(self._api_name(route.api), route.route_key) for route in routes}
        steps = []
        for name, api in (await self._own_apis()).items():
            if name not in names:
                run = partial(self._delete_api, api["ApiId"])
                steps.append(Step(action=Action.DELETE, kind="api", name=name, run=run))
                continue
            for key, found in (await self._routes(api["ApiId"])).items():
                if (name, key) not in keys:
                    run = partial(self._delete_route, api["ApiId"], found["RouteId"])
                    steps.append(Step(action=Action.DELETE, kind="route", name=f"{name} {key}", run=run))
        return steps

    def _api_name(self, api: str) -> str:
        return self._target.project.name if api == _DEFAULT else api

    def _arn(self, function: str) -> str:
        project = self._target.project
        return f"arn:aws:lambda:{project.region}:{project.account}:function:{function_name(function)}"

    async def _own_apis(self) -> dict[str, dict[str, Any]]:
        if self._apis is None:
            listed = self._target.pages(_SERVICE, "GetApis", "Items", marker=_PAGES)
            self._apis = {api["Name"]: api async for api in listed if self._target.owns(api.get("Tags") or {})}
        return self._apis

    async def _routes(self, api_id: str) -> dict[str, dict[str, Any]]:
        listed = self._target.pages(_SERVICE, "GetRoutes", "Items", marker=_PAGES, ApiId=api_id)
        return {route["RouteKey"]: route async for route in listed}

    async def _integrations(self, api_id: str) -> dict[str, dict[str, Any]]:
        listed = self._target.pages(_SERVICE, "GetIntegrations", "Items", marker=_PAGES, ApiId=api_id)
        return {integration["IntegrationId"]: integration async for integration in listed}

    async def _route(self, route: RouteResource) -> Step:
        name = self._api_name(route.api)
        kept = Step(action=Action.KEEP, kind="route", name=f"{name} {route.route_key}", place=route.place)
        api = (await self._own_apis()).get(name)
        found = None if api is None else (await self._routes(api["ApiId"])).get(route.route_key)
        if api is None or found is None:
            return replace(kept, action=Action.CREATE, run=partial(self._put, route))
        integrations = await self._integrations(api["ApiId"])
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

    async def _ensure_api(self, name: str) -> str:
        apis = await self._own_apis()
        if name not in apis:
            apis[name] = await self._target.call(
                _SERVICE, "CreateApi", Name=name, ProtocolType="HTTP", Tags=self._target.owner
            )
        return str(apis[name]["ApiId"])

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

    async def _delete_route(self, api_id: str, route_id: str) -> None:
        """Delete a route, and its integration if no other route leads there."""
        routes = await self._routes(api_id)
        targets = {found["RouteId"]: found.get("Target", "") for found in routes.values()}
        await self._target.call(_SERVICE, "DeleteRoute", ApiId=api_id, RouteId=route_id)
        target = targets.pop(route_id, "")
        if target and target not in targets.values():
            integration_id = target.removeprefix("integrations/")
            await self._target.call(_SERVICE, "DeleteIntegration", ApiId=api_id, IntegrationId=integration_id)
