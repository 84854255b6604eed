"""What a function used as a destination is given: the record of another function's event, by our own writer of them.

Source: lambda-semantics §3.3.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from eventrouter.rules.function import Code, Function, LoggingConfig
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import FunctionFailed, Outcome, Succeeded
from eventrouter.rules.record import EndedEvent, invocation_record
from eventrouter.rules.retry import Condition
from eventrouter.samples.model import Document, Invoked, Sample, Scene, an_order

_FAILURE = {
    "errorMessage": "the card was refused",
    "errorType": "PaymentError",
    "stackTrace": ['  File "/var/task/app.py", line 7, in handler\n    raise PaymentError("the card was refused")\n'],
}


def _function(scene: Scene) -> Function:
    return Function(
        name=FunctionName(account=scene.account, region=scene.region, name="take-orders"),
        runtime="python3.13",
        handler="app.handler",
        role=f"arn:aws:iam::{scene.account}:role/take-orders",
        code=Code(sha256=scene.digits("lambda:code", 64), size_bytes=512),
        logging=LoggingConfig(group="/aws/lambda/take-orders"),
        last_modified_ms=scene.at_ms,
        revision_id=scene.uuid("lambda:revision"),
    )


def _record(condition: Condition, invoke_count: int, outcome: Outcome) -> Callable[[Scene], Document]:
    """Return the builder of the record of an event that ended so."""

    def build(scene: Scene) -> Document:
        ended = EndedEvent(
            request_id=scene.uuid("lambda:request"),
            function=_function(scene),
            qualifier=None,
            payload=json.dumps(an_order()).encode(),
            condition=condition,
            invoke_count=invoke_count,
            outcome=outcome,
            ended_at_ms=scene.at_ms,
        )
        record: Document = json.loads(invocation_record(ended))
        return record

    return build


SAMPLES = (
    Sample(
        name="lambda:on-success",
        summary="A destination is told that a function succeeded.",
        invoked=Invoked.EVENT,
        build=_record(Condition.SUCCESS, 1, Succeeded(payload=b'{"accepted": true}')),
    ),
    Sample(
        name="lambda:on-failure",
        summary="A destination is told that a function failed for the last time.",
        invoked=Invoked.EVENT,
        build=_record(
            Condition.RETRIES_EXHAUSTED,
            3,
            FunctionFailed(payload=json.dumps(_FAILURE).encode(), error_type="PaymentError"),
        ),
    ),
)
