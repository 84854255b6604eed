"""AWS Lambda's invocation semantics on your own Redis."""

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

__all__ = [
    "AdapterError",
    "ConfigError",
    "EventRouterError",
    "IntakeRefused",
    "NodeDead",
    "RequestError",
    "RuntimeFault",
    "StoreError",
    "Unavailable",
    "__version__",
]
