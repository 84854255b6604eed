"""AddPermission and RemovePermission: they edit the queue's Policy."""

from __future__ import annotations

from dataclasses import replace

from eventrouter.ports import Caller, Operation
from eventrouter.store.queues import Queues, QueueSettings
from eventrouter_adapters.sqs.addresses import parse_queue_url
from eventrouter_adapters.sqs.parameters import Members
from eventrouter_adapters.sqs.permissions import add_statement, remove_statement
from eventrouter_adapters.sqs.translation import translated


class PermissionOperations:
    """The operations."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {"AddPermission": self.add_permission, "RemovePermission": self.remove_permission}

    async def add_permission(self, caller: Caller, members: Members) -> Members:
        """Add a statement to the queue's policy."""
        name = parse_queue_url(caller, members["QueueUrl"])

        def change(settings: QueueSettings) -> QueueSettings:
            policy = add_statement(
                settings.policy,
                queue_arn=name.arn,
                label=members["Label"],
                accounts=members["AWSAccountIds"],
                actions=members["Actions"],
            )
            return replace(settings, policy=policy)

        with translated(name):
            await self._queues.change(name, change)
        return {}

    async def remove_permission(self, caller: Caller, members: Members) -> Members:
        """Remove a statement from the queue's policy, and the policy with its last."""
        name = parse_queue_url(caller, members["QueueUrl"])

        def change(settings: QueueSettings) -> QueueSettings:
            return replace(settings, policy=remove_statement(settings.policy, members["Label"]))

        with translated(name):
            await self._queues.change(name, change)
        return {}
