"""What answers on a node's port: Lambda's API and the adapters', invocations, and the node's own paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

from eventrouter.api.gateway import Gateway
from eventrouter.api.lambda_.invoke import InvokeDoor
from eventrouter.api.lambda_.service import LambdaService
from eventrouter.api.request_ids import RequestIds
from eventrouter.internal import internal_routes
from eventrouter.planes.deployments import Deployments
from eventrouter.ports import Adapter, ServiceApi, Target

if TYPE_CHECKING:
    from eventrouter.node import Node


def build_services(
    node: Node,
    adapters: Sequence[Adapter],
    *,
    deployments: Deployments,
    targets: Mapping[str, Target],
    random: Random,
) -> dict[str, ServiceApi]:
    """Build the APIs, ours and the adapters', by botocore's names of the services."""
    lambda_ = LambdaService(
        store=node.store,
        packages=node.packages,
        deployments=deployments,
        transitions=node.mappings.transitions,
        settings=node.settings,
        clock=node.clock,
        random=random,
        targets=targets,
        sources=node.sources,
        queues=node.queues,
    )
    return {"lambda": lambda_.api, **{api.service: api for adapter in adapters for api in adapter.apis}}


def build_gateway(node: Node, adapters: Sequence[Adapter], *, request_ids: RequestIds) -> Gateway:
    """Build what every request passes; the node has its services."""
    settings, clock = node.settings, node.clock
    return Gateway(
        services=node.services,
        hot_invoke=InvokeDoor(
            functions=node.store.functions, sync=node.sync, events=node.events, settings=settings, clock=clock
        ),
        internal={
            **internal_routes(node),
            **{path: handler for adapter in adapters for path, handler in adapter.routes.items()},
        },
        settings=settings,
        request_ids=request_ids,
        log=node.log,
        fallbacks=[adapter.fallback for adapter in adapters if adapter.fallback is not None],
    )
