"""What a function's `logging` records and uncaught errors look like. Standard library only: this runs inside functions.

Everything goes to `sys.stdout`, in AWS's formats. Source: lambda-semantics §5.3 (logging, error log lines).
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any

_TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
_TEXT_TIME = "%Y-%m-%dT%H:%M:%S"
_JSON_TIME = "%Y-%m-%dT%H:%M:%SZ"
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
_LEVELS = {"TRACE": "NOTSET", "WARN": "WARNING", "FATAL": "CRITICAL"}
"""Lambda's names of levels that Python calls otherwise."""

_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"aws_request_id", "tenant_id", "message", "asctime"}
_encode = json.JSONEncoder(ensure_ascii=False).encode


class RequestFilter(logging.Filter):
    """Gives every record the id of the request that runs. The runtime sets `request_id` before each."""

    def __init__(self) -> None:
        super().__init__()
        self.request_id = ""

    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = self.request_id
        record.tenant_id = None
        return True


class StdoutHandler(logging.Handler):
    """Writes formatted records to whatever `sys.stdout` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(self.format(record))
        except Exception:
            self.handleError(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; fields without a value are left out, `extra=` keys are added."""

    def __init__(self) -> None:
        super().__init__(datefmt=_JSON_TIME)

    def format(self, record: logging.LogRecord) -> str:
        kind, error, trace = record.exc_info or (None, None, None)
        level = min(50, max(10, record.levelno // 10 * 10))
        fields: dict[str, Any] = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": logging.getLevelName(level),
            "message": record.getMessage(),
            "logger": record.name,
            "stackTrace": traceback.format_tb(trace) if kind else None,
            "errorType": kind.__name__ if kind else None,
            "errorMessage": str(error) if kind else None,
            "requestId": record.__dict__.get("aws_request_id"),
            "location": f"{record.pathname}:{record.funcName}:{record.lineno}" if kind else None,
            "tenantId": record.__dict__.get("tenant_id"),
        }
        for name, value in record.__dict__.items():
            if name not in _RESERVED and name not in fields:
                fields[name] = value
        return _encode({name: value for name, value in fields.items() if value is not None}) + "\n"


def set_up(log_format: str, log_level: str | None) -> RequestFilter:
    """Give the root logger Lambda's handler. `log_level` counts in JSON only, where it is INFO unless set."""
    logging.Formatter.converter = time.gmtime
    requests = RequestFilter()
    handler = StdoutHandler()
    handler.addFilter(requests)
    root = logging.getLogger()
    if log_format == "JSON":
        handler.setFormatter(JsonFormatter())
        level = log_level or "INFO"
        root.setLevel(_LEVELS.get(level, level))
    else:
        handler.setFormatter(logging.Formatter(_TEXT_FORMAT, _TEXT_TIME))
    root.addHandler(handler)
    return requests


def error_line(fields: Mapping[str, Any], log_format: str) -> str:
    """Build the log record of an error object: one event, however many lines it has."""
    if log_format == "JSON":
        stamp = time.strftime(_JSON_TIME, time.gmtime())
        return _encode({"timestamp": stamp, "log_level": "ERROR", **fields}) + "\n"
    message = fields["errorMessage"]
    head = f"[ERROR] {fields['errorType']}"
    lines = [f"{head}: {message}" if message else head, "Traceback (most recent call last):"]
    for item in fields["stackTrace"]:
        lines += [_indented(line) for line in item.splitlines()]
    return "\r".join(lines) + "\n"


def _indented(line: str) -> str:
    """Keep the indentation where leading blanks are cut: as no-break spaces."""
    text = line.lstrip(" ")
    return _NO_BREAK_SPACE * (len(line) - len(text)) + text
