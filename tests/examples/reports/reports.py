"""Every night, the report of the day that has ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def nightly(event: dict[str, Any], context: Any) -> str:
    """Report on the day before the night that was due: a retry, however late, reports on the same one."""
    return _day_before(datetime.fromisoformat(event["time"]))


def latest(event: dict[str, Any], context: Any) -> str:
    """Report on the day before now."""
    return _day_before(datetime.now(UTC))


def _day_before(moment: datetime) -> str:
    return (moment.date() - timedelta(days=1)).isoformat()
