"""The Lambda API as one value: its operations, composed of their parts.

Invoke and InvokeAsync are not here but in `lambda_.invoke`: the gateway calls them directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING

from eventrouter.api.lambda_.account import Account
from eventrouter.api.lambda_.concurrency import Concurrency
from eventrouter.api.lambda_.configurations import Configurations
from eventrouter.api.lambda_.event_invoke import EventInvokeConfigs
from eventrouter.api.lambda_.event_source_mappings import EventSourceMappings
from eventrouter.api.lambda_.functions import FunctionOperations
from eventrouter.api.lambda_.guard import guarded
from eventrouter.api.lambda_.mapping_writes import MappingWrites, Transitions
from eventrouter.api.lambda_.members import MEMBERS
from eventrouter.api.lambda_.queue_mappings import QueueMappings
from eventrouter.api.lambda_.tags import Tags
from eventrouter.api.lambda_.targets import TargetCheck
from eventrouter.api.lambda_.writes import Deployer, FunctionWrites
from eventrouter.api.request_ids import RequestIds
from eventrouter.clock import Clock
from eventrouter.ports import QueueSource, ServiceApi, StreamSource, Target
from eventrouter.settings import Settings

if TYPE_CHECKING:
    from eventrouter.runtime.packages import Packages
    from eventrouter.store import Store


class LambdaService:
    """Builds the Lambda API on a store, a package cache, and the planes that finish deployments and mappings.

    `targets`, `sources` and `queues` map an ARN's service to what delivers, reads or receives there; they may be filled
    in later.
    """

    def __init__(
        self,
        *,
        store: Store,
        packages: Packages,
        deployments: Deployer,
        transitions: Transitions,
        settings: Settings,
        clock: Clock,
        random: Random,
        targets: Mapping[str, Target],
        sources: Mapping[str, StreamSource],
        queues: Mapping[str, QueueSource],
    ) -> None:
        ids = RequestIds(random)
        writes = FunctionWrites(
            functions=store.functions,
            deployments=deployments,
            clock=clock,
            revision_ids=ids,
            account_limit=settings.account_concurrency,
        )
        mapping_writes = MappingWrites(mappings=store.mappings, transitions=transitions, clock=clock, new_uuid=ids)
        check = TargetCheck(targets)
        functions = FunctionOperations(functions=store.functions, writes=writes, packages=packages, targets=check)
        configurations = Configurations(functions=store.functions, writes=writes, targets=check)
        concurrency = Concurrency(functions=store.functions, writes=writes)
        event_invoke = EventInvokeConfigs(functions=store.functions, writes=writes, targets=check)
        mappings = EventSourceMappings(
            mappings=store.mappings,
            functions=store.functions,
            writes=mapping_writes,
            sources=sources,
            queues=QueueMappings(functions=store.functions, sources=queues),
            targets=check,
        )
        tags = Tags(functions=store.functions, writes=writes, mapping_writes=mapping_writes)
        account = Account(functions=store.functions, account_limit=settings.account_concurrency)
        operations = {
            **functions.operations(),
            **configurations.operations(),
            **concurrency.operations(),
            **event_invoke.operations(),
            **mappings.operations(),
            **tags.operations(),
            **account.operations(),
        }
        self.api = ServiceApi(
            service="lambda",
            operations={name: guarded(name, operation, MEMBERS[name]) for name, operation in operations.items()},
            members=MEMBERS,
        )
