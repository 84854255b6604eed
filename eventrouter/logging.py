"""The node's own log: one JSON object a line in production, colours on a terminal.

Events are `noun.past_participle`, values are fields. Loggers are bound once and handed down; records of the
standard library's logging (uvicorn, asyncio, redis) come out in the same form.
"""

from __future__ import annotations

import datetime
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from eventrouter.clock import Clock, SystemClock

if TYPE_CHECKING:
    from eventrouter.settings import Settings

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
SECRETS = frozenset({"authorization", "credential", "password", "payload", "secret", "token", "redis_url"})
"""Fields whose values never reach the log."""
_QUIET = ("uvicorn", "asyncio.slow", "watchfiles", "botocore", "urllib3")


def get_logger(**context: object) -> FilteringBoundLogger:
    """Return a logger that carries `context` on every line."""
    logger: FilteringBoundLogger = structlog.get_logger(**context)
    return logger


def configure_logging(settings: Settings, *, clock: Clock | None = None, stream: TextIO | None = None) -> None:
    """Set up the log of this process: level and form by the settings, to stderr unless `stream` is given.

    Calling it again replaces the set-up for loggers made afterwards.
    """
    out = stream if stream is not None else sys.stderr
    level = LEVELS[settings.log_level]
    colours = settings.log_format == "console" or (settings.log_format == "auto" and out.isatty())
    shared: list[Processor] = [structlog.processors.add_log_level, _stamped(clock or SystemClock()), _without_secrets]
    if colours:
        last: list[Processor] = [structlog.dev.ConsoleRenderer(colors=out.isatty())]
    else:
        last = [structlog.processors.format_exc_info, _render_json]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    _route_standard_library(out, level, shared, last)


def _route_standard_library(out: TextIO, level: int, shared: list[Processor], last: list[Processor]) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _stamped(clock: Clock) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    """Return a processor that puts the clock's wall time on each line, in UTC with milliseconds."""

    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        seconds, milliseconds = divmod(clock.now_ms(), 1000)
        at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        event["timestamp"] = f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"
        return event

    return stamp


def _without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key in SECRETS & event.keys():
        event[key] = "***"
    return event


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    line: dict[str, Any] = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    line |= event
    return msgspec.json.encode(line, enc_hook=repr).decode()
