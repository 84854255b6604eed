"""`python -m eventrouter.worker NAME`: a process that works off jobs, started by a node and ended with it.

What it needs of the node's settings comes in the node's own variables. It ends by itself when idle.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

from eventrouter.logging import configure_logging
from eventrouter.settings import ENV_PREFIX, Settings

IDLE_S = 120
"""How long a worker waits for another job before it ends."""

_FIELDS = ("redis_url", "durability", "replicas", "key_prefix", "partitions", "log_level", "log_format")
_PR_SET_PDEATHSIG = 1


def worker_environment(settings: Settings, redis_url: str) -> dict[str, str]:
    """Return the variables that tell a worker what it needs to know. `redis_url` may be the embedded server's."""
    wanted = settings.model_copy(update={"redis_url": redis_url})
    return {_variable(field): str(getattr(wanted, field)) for field in _FIELDS}


def worker_settings() -> Settings:
    """Read what `worker_environment` gave this process."""
    return Settings.model_validate({field: os.environ[_variable(field)] for field in _FIELDS})


def main(arguments: Sequence[str]) -> None:
    """Work off jobs under the name that is given."""
    from eventrouter.store.jobs import Jobs

    [name] = arguments
    settings = worker_settings()
    assert settings.redis_url is not None
    _end_with_node()
    configure_logging(settings)
    Jobs(settings.redis_url, settings.key_prefix).work(name, idle_s=IDLE_S)


def _variable(field: str) -> str:
    return f"{ENV_PREFIX}{field.upper()}"


def _end_with_node() -> None:
    """Be asked to end when the node does, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])
