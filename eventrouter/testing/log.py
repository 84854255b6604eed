"""What nodes inside tests log: warnings and worse, to stderr, whatever the code under test has made of structlog."""

from __future__ import annotations

import io
import logging
import sys

import structlog
from structlog.typing import FilteringBoundLogger


class _Stderr(io.StringIO):
    """Whatever stderr is at the moment: pytest takes it away and gives it back."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def node_log() -> FilteringBoundLogger:
    """Return a logger of its own."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(_Stderr()),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        cache_logger_on_first_use=True,
    )
    return logger
