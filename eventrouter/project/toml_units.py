"""Quantities as people write them: `"30s"`, `"1h30m"`, `"256MB"`. A number alone is refused: nobody knows its unit."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?")
_SIZE = re.compile(r"(?P<number>\d+)\s?(?P<unit>KB|MB|GB)")
_KIB = {"KB": 1, "MB": 1024, "GB": 1024 * 1024}


def seconds(value: object) -> int:
    """Return how many seconds a duration such as `30s`, `6h` or `1d12h` lasts.

    Raises ValueError if it is none.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not value:
        raise ValueError('must be a duration with its unit, such as "30s", "5m", "6h", "7d" or "1h30m"')
    return sum(int(count) * _SECONDS[unit] for unit, count in match.groupdict().items() if count)


def hours(value: object) -> int:
    """Return how many whole hours a duration lasts. Raises ValueError if it is none."""
    whole, rest = divmod(seconds(value), 3_600)
    if rest:
        raise ValueError('must be whole hours, such as "24h" or "7d"')
    return whole


def kibibytes(value: object) -> int:
    """Return how many KiB a size such as `256MB` is; AWS's KB, MB and GB are powers of 1024.

    Raises ValueError if it is none.
    """
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a size with its unit, such as "256KB", "512MB" or "1GB"')
    return int(match["number"]) * _KIB[match["unit"]]


def mebibytes(value: object) -> int:
    """Return how many whole MiB a size is. Raises ValueError if it is none."""
    whole, rest = divmod(kibibytes(value), 1024)
    if rest:
        raise ValueError('must be whole megabytes, such as "256MB" or "1GB"')
    return whole


Seconds = Annotated[int, BeforeValidator(seconds)]
Hours = Annotated[int, BeforeValidator(hours)]
Mebibytes = Annotated[int, BeforeValidator(mebibytes)]
Bytes = Annotated[int, BeforeValidator(lambda value: kibibytes(value) * 1024)]
