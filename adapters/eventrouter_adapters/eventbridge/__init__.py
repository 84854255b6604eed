"""EventBridge: rules on the default event bus that fire on a schedule, and their targets."""

from __future__ import annotations

from eventrouter.ports import Adapter, AdapterContext, Operation, ServiceApi
from eventrouter_adapters.eventbridge.access import Access
from eventrouter_adapters.eventbridge.guard import guarded
from eventrouter_adapters.eventbridge.members import MEMBERS
from eventrouter_adapters.eventbridge.rules import RuleOperations
from eventrouter_adapters.eventbridge.tags import TagOperations
from eventrouter_adapters.eventbridge.targets import TargetOperations

__all__ = ["MEMBERS", "SERVICE", "build"]

SERVICE = "events"
"""What AWS calls the API."""


def build(context: AdapterContext) -> Adapter:
    """Build the adapter over the node's schedules, which the node itself fires."""
    access = Access(context.store.schedules, context.clock)
    parts = (RuleOperations(access), TargetOperations(access), TagOperations(access))
    operations: dict[str, Operation] = {
        name: guarded(name, operation, MEMBERS[name]) for part in parts for name, operation in part.operations().items()
    }
    return Adapter(name="eventbridge", apis=(ServiceApi(service=SERVICE, operations=operations, members=MEMBERS),))
