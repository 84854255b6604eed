"""SQS: standard queues that boto3 can use, and dead letters can be sent to."""

from __future__ import annotations

from eventrouter.ports import Adapter, AdapterContext, ServiceApi
from eventrouter_adapters.sqs.api import QueueService
from eventrouter_adapters.sqs.members import MEMBERS
from eventrouter_adapters.sqs.target import QueueTarget
from eventrouter_adapters.sqs.waiting import Waiting

__all__ = ["MEMBERS", "build"]


def build(context: AdapterContext) -> Adapter:
    """Build the adapter over the node's queues."""
    queues = context.store.queues
    waiting = Waiting(queues, context.clock)
    api = ServiceApi(service="sqs", operations=QueueService(queues, waiting).operations(), members=MEMBERS)
    return Adapter(name="sqs", apis=(api,), targets=(QueueTarget(queues, waiting),))
