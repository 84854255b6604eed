"""Batch requests: checks that concern the whole request, and the answer entry by entry.

Source: lambda-semantics §8.3 (batch), §8.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eventrouter.errors import RequestError
from eventrouter_adapters.sqs import errors

MAXIMUM_ENTRIES = 10
MAXIMUM_BYTES = 1_048_576

_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")

Entry = Mapping[str, Any]  # Any: model values


def check_entries(entries: Sequence[Entry], kind: str, *required: str) -> None:
    """Raise RequestError unless there are 1 to 10 entries, of distinct ids, that hold what they must.

    `kind` is the model's name of an entry; `required` are its members beside `Id`.
    """
    if not entries:
        raise errors.empty_batch(kind)
    if len(entries) > MAXIMUM_ENTRIES:
        raise errors.too_many_entries(MAXIMUM_ENTRIES, len(entries))
    seen: set[str] = set()
    for number, entry in enumerate(entries, 1):
        for name in ("Id", *required):
            if entry.get(name) is None:
                raise errors.missing_parameter(f"{kind}.{number}.{name}")
        identity = entry["Id"]
        if not _ENTRY_ID.fullmatch(identity):
            raise errors.invalid_batch_entry_id()
        if identity in seen:
            raise errors.batch_entry_ids_not_distinct(identity)
        seen.add(identity)


def check_size(size_bytes: int) -> None:
    """Raise RequestError if the messages of a batch are too long together."""
    if size_bytes > MAXIMUM_BYTES:
        raise errors.batch_too_long(MAXIMUM_BYTES, size_bytes)


def answer(entries: Iterable[Entry], results: Iterable[Entry | RequestError]) -> dict[str, Any]:
    """Return what a batch operation answers, from each entry's answer or error, in the request's order."""
    successful, failed = [], []
    for entry, result in zip(entries, results, strict=True):
        if isinstance(result, RequestError):
            failed.append(_failure(entry["Id"], result))
        else:
            successful.append({"Id": entry["Id"], **result})
    # Of the two lists, an empty one is left out.
    return {name: listed for name, listed in (("Successful", successful), ("Failed", failed)) if listed}


def _failure(identity: str, error: RequestError) -> dict[str, Any]:
    code, _, fault = error.headers.get("x-amzn-query-error", f"{error.code};Sender").partition(";")
    return {"Id": identity, "Code": code, "Message": error.message, "SenderFault": fault == "Sender"}
