"""Parameters that several operations take: numbers within a range, tokens, pages of names."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from eventrouter_adapters.sqs import errors

PAGE = 1_000

_TOKEN = re.compile(r"[!-~]{1,128}")

Members = Mapping[str, Any]
"""Input or output members of an operation."""


def in_range(members: Members, name: str, lowest: int, highest: int, *, reason: str) -> int | None:
    """Return a number, None if it is not given. Raises RequestError if it is out of its range."""
    value: int | None = members.get(name)
    if value is not None and not lowest <= value <= highest:
        raise errors.invalid_value(value, name, reason)
    return value


def token(members: Members, name: str) -> str:
    """Return an id that the caller made, '' if none is given. Raises RequestError if it is none."""
    value: str | None = members.get(name)
    if value is None:
        return ""
    if not _TOKEN.fullmatch(value):
        raise errors.invalid_value(
            value, name, f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        )
    return value


def page_limit(members: Members) -> int:
    """Return how many names a page has. Raises RequestError."""
    limit = in_range(members, "MaxResults", 1, PAGE, reason="Must be >= 1 and <= 1000, if provided.")
    return PAGE if limit is None else limit


def page_start(members: Members) -> str:
    """Return the name behind which a page begins, '' for the first. Raises RequestError."""
    given: str | None = members.get("NextToken")
    try:
        return base64.b64decode(given or "", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise errors.invalid_value(given, "NextToken", "It is no token of an earlier answer.") from error


def next_token(members: Members, names: Sequence[str], limit: int) -> dict[str, str]:
    """Return the token of the page behind `limit` names, if MaxResults asks for pages and more names follow."""
    if members.get("MaxResults") is None or len(names) <= limit:
        return {}
    return {"NextToken": base64.b64encode(names[limit - 1].encode()).decode()}
