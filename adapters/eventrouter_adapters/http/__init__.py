"""HTTP APIs: routes that functions answer, and the part of API Gateway that creates them."""

from __future__ import annotations

from random import Random

from eventrouter.ports import Adapter, AdapterContext, Operation, ServiceApi
from eventrouter_adapters.http.access import Access, refusing
from eventrouter_adapters.http.apis import ApiOperations
from eventrouter_adapters.http.integrations import IntegrationOperations
from eventrouter_adapters.http.members import MEMBERS
from eventrouter_adapters.http.routes import RouteOperations
from eventrouter_adapters.http.tags import TagOperations
from eventrouter_adapters.http.web import Web

__all__ = ["MEMBERS", "SERVICE", "build"]

SERVICE = "apigatewayv2"
DOMAIN = "localhost.localstack.cloud"
"""A name whose every subdomain leads to this machine."""


def build(context: AdapterContext, random: Random | None = None) -> Adapter:
    """Build the adapter over the node's APIs and functions."""
    routes, clock = context.store.routes, context.clock
    fallback = None
    if context.functions is not None:
        fallback = Web(
            routes=routes,
            functions=context.functions,
            clock=clock,
            region=context.settings.region,
            domain=DOMAIN,
        )
    return Adapter(
        name="http",
        apis=(ServiceApi(service=SERVICE, operations=_operations(context, random or context.random), members=MEMBERS),),
        fallback=fallback,
    )


def _operations(context: AdapterContext, random: Random) -> dict[str, Operation]:
    access = Access(context.store.routes, random)
    parts = (
        ApiOperations(access, context.clock, domain=DOMAIN),
        IntegrationOperations(access),
        RouteOperations(access),
        TagOperations(access),
    )
    return {
        name: refusing(name, operation, MEMBERS[name])
        for part in parts
        for name, operation in part.operations().items()
    }
