"""Whether an ARN can take dead letters or records: its service is served here, and it exists.

Source: lambda-semantics §2.13, §3.2.
"""

from __future__ import annotations

from collections.abc import Mapping

from eventrouter.api.lambda_.errors import invalid
from eventrouter.ports import Target

_DEAD_LETTER_SERVICES = ("sqs", "sns")
_DESTINATION_SERVICES = ("sqs", "sns", "lambda", "events")
_ON_FAILURE_ONLY = ("s3",)
_BATCH_SERVICES = ("sqs", "sns", "s3", "lambda")
"""Where records of batches that were given up may go; Lambda is more than AWS allows a stream (§4.3)."""


class TargetCheck:
    """Checks targets when they are configured. `targets` maps an ARN's service to what delivers there."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self._targets = targets

    async def check_dead_letter(self, arn: str) -> None:
        """Raise RequestError unless `arn` is a standard queue or topic that exists here."""
        service = _service_of(arn)
        if service not in _DEAD_LETTER_SERVICES:
            raise invalid(f"The target ARN {arn} of DeadLetterConfig is invalid: only SQS and SNS take dead letters.")
        if arn.endswith(".fifo"):
            raise invalid(
                f"The target ARN {arn} of DeadLetterConfig is invalid: FIFO queues and topics are not supported."
            )
        target = self._targets.get(service)
        if target is None:
            raise invalid(f"The target ARN {arn} of DeadLetterConfig is invalid: eventrouter serves no {service} yet.")
        if not await target.exists(arn):
            raise invalid(f"The target ARN {arn} of DeadLetterConfig is invalid: it does not exist.")

    async def check_destinations(self, on_success: str | None, on_failure: str | None, own_arn: str) -> None:
        """Raise RequestError unless each destination is of a known service, exists, and is not `own_arn`."""
        for arn, allowed in (
            (on_success, _DESTINATION_SERVICES),
            (on_failure, _DESTINATION_SERVICES + _ON_FAILURE_ONLY),
        ):
            if arn is None:
                continue
            service = _service_of(arn)
            if service not in allowed or service not in self._targets:
                raise invalid(f"The provided destination config {_rendered(on_success, on_failure)} is invalid.")
            if service == "lambda" and _function_arn(arn) == own_arn:
                raise invalid("You can't specify the function as a destination for itself.")
            if arn.endswith(".fifo") or not await self._targets[service].exists(arn):
                raise invalid(f"The destination ARN {arn} is invalid.")

    async def check_batch_destination(self, arn: str, own_arn: str) -> None:
        """Raise RequestError unless `arn` can take the records of a mapping's failed batches, and is not `own_arn`."""
        service = _service_of(arn)
        if service not in _BATCH_SERVICES:
            raise invalid(f"The provided destination config {_rendered(None, arn)} is invalid.")
        if service not in self._targets:
            raise invalid(f"The destination ARN {arn} is invalid: eventrouter serves no {service} yet.")
        if service == "lambda" and _function_arn(arn) == own_arn:
            raise invalid("You can't specify the function as a destination for itself.")
        if arn.endswith(".fifo") or not await self._targets[service].exists(arn):
            raise invalid(f"The destination ARN {arn} is invalid.")


def _service_of(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[2] if len(parts) == 6 and parts[0] == "arn" else ""


def _function_arn(arn: str) -> str:
    """Return a function's ARN without its qualifier."""
    return ":".join(arn.split(":")[:7])


def _rendered(on_success: str | None, on_failure: str | None) -> str:
    success = "null" if on_success is None else f"OnSuccess(destination={on_success})"
    failure = "null" if on_failure is None else f"OnFailure(destination={on_failure})"
    return f"DestinationConfig(onSuccess={success}, onFailure={failure})"
