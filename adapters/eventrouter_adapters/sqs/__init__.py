"""SQS: standard and FIFO queues, for callers, for dead letters, and as sources of event source mappings."""

from __future__ import annotations

from eventrouter.logging import get_logger
from eventrouter.ports import Adapter, AdapterContext, Operation, ServiceApi
from eventrouter_adapters.sqs.members import MEMBERS
from eventrouter_adapters.sqs.moves import MoveOperations
from eventrouter_adapters.sqs.peek import PATH, Peek
from eventrouter_adapters.sqs.permission_operations import PermissionOperations
from eventrouter_adapters.sqs.queue_operations import QueueOperations
from eventrouter_adapters.sqs.receiving import ReceiveOperations
from eventrouter_adapters.sqs.sending import SendOperations
from eventrouter_adapters.sqs.source import SqsSource
from eventrouter_adapters.sqs.tags import TagOperations
from eventrouter_adapters.sqs.target import QueueTarget
from eventrouter_adapters.sqs.waiting import Waiting

__all__ = ["MEMBERS", "build"]

SWEEP_EVERY_S = 5.0


def build(context: AdapterContext) -> Adapter:
    """Build the adapter over the node's queues."""
    queues = context.store.queues
    waiting = Waiting(queues, context.clock)

    async def send_dead_letters_on() -> float:
        """Make one turn of looking for dead letters whose receiver did not live to send them on."""
        await queues.moves.sweep()
        return SWEEP_EVERY_S

    return Adapter(
        name="sqs",
        apis=(ServiceApi(service="sqs", operations=_operations(context, waiting), members=MEMBERS),),
        targets=(QueueTarget(queues, waiting),),
        queues=(SqsSource(queues, waiting, context.clock),),
        loops={"sqs-redrive": send_dead_letters_on},
        routes={PATH: Peek(queues, default_region=context.settings.region).answer},
    )


def _operations(context: AdapterContext, waiting: Waiting) -> dict[str, Operation]:
    queues = context.store.queues
    parts = (
        QueueOperations(queues, get_logger()),
        TagOperations(queues),
        PermissionOperations(queues),
        SendOperations(queues, waiting),
        ReceiveOperations(queues, waiting),
        MoveOperations(queues, context.clock, context.moves),
    )
    return {name: operation for part in parts for name, operation in part.operations().items()}
