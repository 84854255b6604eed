"""What tests of event-driven code stand on: a whole node in the test's own process, under virtual time.

    from eventrouter.testing import Router

    with Router() as router:
        orders = router.function(handler, fail=[TimeoutError, None])
        orders.send({"id": 1})
        router.run_until_idle()
        assert orders.attempts == 2

Needs the extra `testing`. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventrouter.testing.faults import FaultPlan, FunctionFaults, FunctionPlan, Mishap
    from eventrouter.testing.history import Explained, History, Moment
    from eventrouter.testing.resources import (
        DeadLetter,
        DeadLetterQueue,
        FunctionError,
        HttpAnswer,
        InvocationFailed,
        TestFunction,
        TestQueue,
        TestStream,
    )
    from eventrouter.testing.router import Router
    from eventrouter.testing.runs import TestRun
    from eventrouter.testing.strategies import event_streams, fault_plans

_HOMES = {
    "DeadLetter": "resources",
    "DeadLetterQueue": "resources",
    "Explained": "history",
    "FaultPlan": "faults",
    "FunctionError": "resources",
    "FunctionFaults": "faults",
    "FunctionPlan": "faults",
    "History": "history",
    "HttpAnswer": "resources",
    "InvocationFailed": "resources",
    "Mishap": "faults",
    "Moment": "history",
    "Router": "router",
    "TestFunction": "resources",
    "TestQueue": "resources",
    "TestRun": "runs",
    "TestStream": "resources",
    "event_streams": "strategies",
    "fault_plans": "strategies",
}

__all__ = [
    "DeadLetter",
    "DeadLetterQueue",
    "Explained",
    "FaultPlan",
    "FunctionError",
    "FunctionFaults",
    "FunctionPlan",
    "History",
    "HttpAnswer",
    "InvocationFailed",
    "Mishap",
    "Moment",
    "Router",
    "TestFunction",
    "TestQueue",
    "TestRun",
    "TestStream",
    "event_streams",
    "fault_plans",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"eventrouter.testing.{_HOMES[name]}"), name)
