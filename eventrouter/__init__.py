"""AWS Lambda's invocation semantics on your own Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventrouter.errors import (
    AdapterError,
    ConfigError,
    EventRouterError,
    IntakeRefused,
    NodeDead,
    RequestError,
    RuntimeFault,
    StoreError,
    Unavailable,
)

__version__ = "0.1.0"

if TYPE_CHECKING:
    from eventrouter.app import App
    from eventrouter.runtime.bootstrap_context import LambdaContext as Context

__all__ = [
    "AdapterError",
    "App",
    "ConfigError",
    "Context",
    "EventRouterError",
    "IntakeRefused",
    "NodeDead",
    "RequestError",
    "RuntimeFault",
    "StoreError",
    "Unavailable",
    "__version__",
]


_LATER = {"App": "eventrouter.app:App", "Context": "eventrouter.runtime.bootstrap_context:LambdaContext"}
"""For users' modules; imported when they are asked for: the commands and the node do without."""


def __getattr__(name: str) -> Any:  # Any: what a module holds
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = _LATER[name].partition(":")
    return getattr(import_module(module), attribute)
