"""Variables that users of the local AWS emulators already set, and the settings they stand for here.

| variable | setting |
|---|---|
| GATEWAY_LISTEN | host and port (the first address of a list) |
| EDGE_PORT | port, where GATEWAY_LISTEN names none |
| DEBUG, LS_LOG | log_level |
| LAMBDA_KEEPALIVE_MS | environment_idle_s |
| LAMBDA_RETRY_BASE_DELAY | async_retry_base_delay |
| LAMBDA_LIMITS_CONCURRENT_EXECUTIONS | account_concurrency |
| LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC | mapping_poll_interval_s |
| LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_ERROR_SEC | mapping_max_backoff_s |
| KINESIS_ERROR_PROBABILITY | kinesis_error_probability |
| KINESIS_LATENCY | kinesis_latency_s |
| PERSISTENCE | durability: 0 is `memory`, 1 at least `standard` |

Any other LAMBDA_* variable is reported once, all of them in one warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from eventrouter.errors import ConfigError

Found = tuple[str, str, str | float]
"""A variable, the setting it stands for, and the value."""

Reader = Callable[[str, str], Iterator[tuple[str, str | float]]]
"""Reads one variable: its name and value in, settings and their values out. Raises ConfigError."""

_TRUE = frozenset({"1", "true"})
_FALSE = frozenset({"0", "false"})
_LEVELS = {
    "trace": "debug",
    "trace-internal": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
}
_LAMBDA_PLATFORM = frozenset({"LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"})
"""Set inside every function: a node started by one must not complain."""


def read_emulator_variables(environ: Mapping[str, str]) -> tuple[list[Found], tuple[str, ...]]:
    """Return what the known variables set, in order (later wins), and the warnings about the others.

    Raises ConfigError where a known variable's value has no meaning. Empty variables count as unset.
    """
    found: list[Found] = []
    for variable, read in _READERS.items():
        value = environ.get(variable, "").strip()
        if value:
            found.extend((variable, field, meant) for field, meant in read(variable, value))
    return found, tuple(_warnings(environ))


def _warnings(environ: Mapping[str, str]) -> Iterator[str]:
    listen = environ.get("GATEWAY_LISTEN", "")
    if "," in listen:
        yield f"GATEWAY_LISTEN {listen!r}: only the first address is used"
    unknown = sorted(
        name for name in environ if name.startswith("LAMBDA_") and name not in _READERS and name not in _LAMBDA_PLATFORM
    )
    if unknown:
        yield f"not applied: {', '.join(unknown)} (no meaning here)"


def _listen(variable: str, value: str) -> Iterator[tuple[str, str | float]]:
    host, colon, port = value.split(",", maxsplit=1)[0].strip().rpartition(":")
    if not colon and not port.isdigit():
        host, port = port, ""
    if port and not port.isdigit():
        raise ConfigError(f"{variable} = {value!r}: must be HOST:PORT, such as 0.0.0.0:4566")
    if host:
        yield "host", host.strip("[]")
    if port:
        yield "port", port


def _debug(_variable: str, value: str) -> Iterator[tuple[str, str | float]]:
    if value.lower() in _TRUE:
        yield "log_level", "debug"


def _level(variable: str, value: str) -> Iterator[tuple[str, str | float]]:
    if value.lower() not in _LEVELS:
        raise ConfigError(f"{variable} = {value!r}: must be one of {', '.join(_LEVELS)}")
    yield "log_level", _LEVELS[value.lower()]


def _milliseconds(field: str) -> Reader:
    def read(variable: str, value: str) -> Iterator[tuple[str, str | float]]:
        try:
            yield field, float(value) / 1000
        except ValueError:
            raise ConfigError(f"{variable} = {value!r}: must be a number of milliseconds") from None

    return read


def _as(field: str) -> Reader:
    """Return a reader that takes the value over as it is."""

    def read(_variable: str, value: str) -> Iterator[tuple[str, str | float]]:
        yield field, value

    return read


def _persistence(variable: str, value: str) -> Iterator[tuple[str, str | float]]:
    if value.lower() not in _TRUE | _FALSE:
        raise ConfigError(f"{variable} = {value!r}: must be 0 or 1")
    yield "durability", "standard" if value.lower() in _TRUE else "memory"


_READERS: Mapping[str, Reader] = {
    "EDGE_PORT": _as("port"),
    "GATEWAY_LISTEN": _listen,
    "DEBUG": _debug,
    "LS_LOG": _level,
    "LAMBDA_KEEPALIVE_MS": _milliseconds("environment_idle_s"),
    "LAMBDA_RETRY_BASE_DELAY": _as("async_retry_base_delay"),
    "LAMBDA_LIMITS_CONCURRENT_EXECUTIONS": _as("account_concurrency"),
    "LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC": _as("mapping_poll_interval_s"),
    "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_ERROR_SEC": _as("mapping_max_backoff_s"),
    "KINESIS_ERROR_PROBABILITY": _as("kinesis_error_probability"),
    "KINESIS_LATENCY": _milliseconds("kinesis_latency_s"),
    "PERSISTENCE": _persistence,
}
