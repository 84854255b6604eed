"""What Lambda itself adds to a function's log: START, END, REPORT and their JSON counterparts.

Every message ends with its newline, as CloudWatch's do. A line ends at a line feed alone: the runtime
joins the lines of one error record with carriage returns, which keeps them one event. Source: lambda-semantics §5.6.
"""

from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime
from typing import Any

from eventrouter.rules.function import LogFormat, LoggingConfig
from eventrouter.rules.limits import LOG_TAIL_BYTES
from eventrouter.rules.outcome import FunctionFailed, Run, RunStatus, Succeeded

_RUNTIME_VERSION = f"python:{sys.version_info.major}.{sys.version_info.minor}.v{sys.version_info.micro}"
_INIT_START = f"INIT_START Runtime Version: {_RUNTIME_VERSION}\n"

_LEVELS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "WARNING": 3, "ERROR": 4, "FATAL": 5, "CRITICAL": 5}
_DEBUG, _INFO, _WARN = 1, 2, 3

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def log_events(request_id: str, run: Run, logging: LoggingConfig) -> list[tuple[int, str]]:
    """Return the log of one run as (Unix milliseconds, message), one per event, in order.

    A cold start's begins with the events of its init. The function's own lines carry the time of the run's end.
    """
    began, ended = run.started_at_ms, run.started_at_ms + math.ceil(run.duration_ms)
    events: list[tuple[int, str]] = []
    if run.init_ms is not None:
        at = began - math.ceil(run.init_ms)
        events += [(at, message) for message in _init_messages(run, logging, at, began)]
    events += [(began, message) for message in _first_messages(request_id, run, logging)]
    if run.log:
        events += [(ended, line) for line in _own_lines(run.log, logging)]
    events += [(ended, message) for message in _last_messages(request_id, run, logging, ended)]
    return events


def log_text(request_id: str, run: Run, logging: LoggingConfig) -> bytes:
    """Return the log of one run as one text, START to REPORT, without the events of init."""
    ended = run.started_at_ms + math.ceil(run.duration_ms)
    messages = _first_messages(request_id, run, logging)
    if run.log:
        messages += _own_lines(run.log, logging)
    messages += _last_messages(request_id, run, logging, ended)
    return "".join(messages).encode(errors="replace")


def log_tail(request_id: str, run: Run, logging: LoggingConfig) -> bytes:
    """Return what a caller that asked for `LogType: Tail` gets: the last 4,096 bytes of the text."""
    return log_text(request_id, run, logging)[-LOG_TAIL_BYTES:]


def init_report(
    logging: LoggingConfig, *, at_ms: int, init_ms: float, phase: str, status: RunStatus, error_type: str = ""
) -> str:
    """Build the line of an init that failed. `phase` is `init`, or `invoke` for the second try; ends with a newline."""
    if logging.format is LogFormat.TEXT:
        error = f"\tError Type: {error_type}" if error_type else ""
        return f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: {phase}\tStatus: {status}{error}\n"
    record: dict[str, Any] = {
        "initializationType": "on-demand",
        "phase": phase,
        "status": status.value,
        "metrics": {"durationMs": round(init_ms, 3)},
    }
    if error_type:
        record["errorType"] = error_type
    return _platform("platform.initReport", at_ms, record)


def billed_ms(run: Run) -> int:
    """Return the milliseconds that AWS would bill: run and init together, begun ones counted whole."""
    return max(1, math.ceil(round(run.duration_ms + (run.init_ms or 0.0), 3)))


def _own_lines(log: bytes, logging: LoggingConfig) -> list[str]:
    """Split what the function wrote into events; in JSON, drop those below the application's level."""
    lines = [f"{line}\n" for line in log.decode(errors="replace").removesuffix("\n").split("\n")]
    if logging.format is LogFormat.TEXT:
        return lines
    wanted = _LEVELS.get(logging.application_level or "INFO", _INFO)
    return lines if wanted == 0 else [line for line in lines if _level_of(line) >= wanted]


def _level_of(line: str) -> int:
    """Return the level of an application's line; what names none counts as INFO."""
    if not line.startswith("{"):
        return _INFO
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return _INFO
    level = fields.get("level", fields.get("log_level")) if isinstance(fields, dict) else None
    return _LEVELS.get(level.upper(), _INFO) if isinstance(level, str) else _INFO


def _first_messages(request_id: str, run: Run, logging: LoggingConfig) -> list[str]:
    if logging.format is LogFormat.TEXT:
        return [f"START RequestId: {request_id} Version: {run.version}\n"]
    if _system_level(logging) > _INFO:
        return []
    return [_platform("platform.start", run.started_at_ms, {"requestId": request_id, "version": run.version})]


def _last_messages(request_id: str, run: Run, logging: LoggingConfig, ended_ms: int) -> list[str]:
    if logging.format is LogFormat.TEXT:
        return [f"END RequestId: {request_id}\n", _report_text(request_id, run)]
    succeeded = run.status is RunStatus.SUCCESS
    level = _system_level(logging)
    messages = []
    if level <= (_DEBUG if succeeded else _WARN):
        messages.append(_platform("platform.runtimeDone", ended_ms, _done_record(request_id, run)))
    if level <= (_INFO if succeeded else _WARN):
        messages.append(_platform("platform.report", ended_ms, _report_record(request_id, run)))
    return messages


def _report_text(request_id: str, run: Run) -> str:
    init = "" if run.init_ms is None else f"Init Duration: {run.init_ms:.2f} ms\t"
    status = ""
    if run.status is RunStatus.TIMEOUT:
        status = "Status: timeout"
    elif run.status is RunStatus.ERROR:
        error_type = _error_type(run)
        status = f"Status: error\tError Type: {error_type}" if error_type else "Status: error"
    return (
        f"REPORT RequestId: {request_id}\tDuration: {run.duration_ms:.2f} ms\t"
        f"Billed Duration: {billed_ms(run)} ms\tMemory Size: {run.memory_mb} MB\t"
        f"Max Memory Used: {run.max_memory_mb} MB\t{init}{status}\n"
    )


def _init_messages(run: Run, logging: LoggingConfig, at_ms: int, ended_ms: int) -> list[str]:
    if logging.format is LogFormat.TEXT:
        return [_INIT_START]
    level = _system_level(logging)
    init = {"initializationType": "on-demand", "phase": "init"}
    messages = []
    if level <= _INFO:
        started = {**init, "runtimeVersion": _RUNTIME_VERSION, "functionVersion": run.version}
        messages.append(_platform("platform.initStart", at_ms, started))
    if level <= _DEBUG:
        done = {**init, "status": "success"}
        messages.append(_platform("platform.initRuntimeDone", ended_ms, done))
        report = {**done, "metrics": {"durationMs": round(run.init_ms or 0.0, 3)}}
        messages.append(_platform("platform.initReport", ended_ms, report))
    return messages


def _done_record(request_id: str, run: Run) -> dict[str, Any]:
    produced = len(run.outcome.payload) if isinstance(run.outcome, Succeeded | FunctionFailed) else 0
    metrics = {"durationMs": round(run.duration_ms, 3), "producedBytes": produced}
    return {"requestId": request_id, "status": run.status.value, **_error_member(run), "metrics": metrics}


def _report_record(request_id: str, run: Run) -> dict[str, Any]:
    metrics: dict[str, float] = {
        "durationMs": round(run.duration_ms, 3),
        "billedDurationMs": billed_ms(run),
        "memorySizeMB": run.memory_mb,
        "maxMemoryUsedMB": run.max_memory_mb,
    }
    if run.init_ms is not None:
        metrics["initDurationMs"] = round(run.init_ms, 3)
    return {"requestId": request_id, "metrics": metrics, "status": run.status.value, **_error_member(run)}


def _error_member(run: Run) -> dict[str, str]:
    error_type = "" if run.status is RunStatus.SUCCESS else _error_type(run)
    return {"errorType": error_type} if error_type else {}


def _error_type(run: Run) -> str:
    return run.outcome.error_type if isinstance(run.outcome, FunctionFailed) else ""


def _system_level(logging: LoggingConfig) -> int:
    return _LEVELS.get(logging.system_level or "INFO", _INFO)


def _platform(kind: str, at_ms: int, record: dict[str, Any]) -> str:
    stamp = datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return _encode({"time": f"{stamp}.{at_ms % 1_000:03d}Z", "type": kind, "record": record}) + "\n"
