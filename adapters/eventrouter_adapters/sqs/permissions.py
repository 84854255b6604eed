"""Permissions: statements of the queue's Policy, added and removed by their labels.

There is no identity and access management here: policies are kept and answered, and nobody is kept out.
Source: lambda-semantics §8.7 (AddPermission).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from eventrouter_adapters.sqs import errors

MAXIMUM_ACTIONS = 7

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACCOUNT = re.compile(r"\d{12}")
_ACTIONS = frozenset(
    {
        "*",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "SendMessage",
    }
)
"""What the owner of a queue can let others do."""

_Statement = dict[str, Any]  # Any: policy JSON


def add_statement(
    policy: str | None, *, queue_arn: str, label: str, accounts: Sequence[str], actions: Sequence[str]
) -> str:
    """Return `policy` with a statement that lets `accounts` do `actions`. Raises RequestError."""
    _check(label, accounts, actions)
    document = _read(policy) or {"Version": "2008-10-17", "Id": f"{queue_arn}/SQSDefaultPolicy", "Statement": []}
    statements = _statements(document)
    if any(statement.get("Sid") == label for statement in statements):
        raise errors.invalid_value(label, "Label", "Already exists.")
    statement = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_list([f"arn:aws:iam::{account}:root" for account in accounts])},
        "Action": _one_or_list([f"SQS:{action}" for action in actions]),
        "Resource": queue_arn,
    }
    return _write({**document, "Statement": [*statements, statement]})


def remove_statement(policy: str | None, label: str) -> str | None:
    """Return `policy` without the statement of `label`, None if none is left. Raises RequestError."""
    document = _read(policy)
    statements = _statements(document)
    left = [statement for statement in statements if statement.get("Sid") != label]
    if len(left) == len(statements):
        raise errors.invalid_value(label, "Label", "can't find label.")
    return _write({**document, "Statement": left}) if left else None


def _check(label: str, accounts: Sequence[str], actions: Sequence[str]) -> None:
    if not _LABEL.fullmatch(label):
        raise errors.invalid_value(
            label, "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )
    if not accounts:
        raise errors.missing_parameter("AWSAccountIds")
    if not actions:
        raise errors.missing_parameter("Actions")
    if len(actions) > MAXIMUM_ACTIONS:
        raise errors.over_limit(f"{len(actions)} Actions were found, maximum allowed is {MAXIMUM_ACTIONS}.")
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise errors.invalid_value(f"[{account}]", "PrincipalId", "Unable to verify.")
    for action in actions:
        if action not in _ACTIONS:
            raise errors.invalid_value(
                f"SQS:{action}",
                "ActionName",
                "Please refer to the appropriate WSDL for a list of valid actions.",
            )


def _read(policy: str | None) -> dict[str, Any]:  # Any: policy JSON, an object by the check of the attribute
    document: dict[str, Any] = msgspec.json.decode(policy) if policy else {}
    return document


def _statements(document: dict[str, Any]) -> list[_Statement]:
    """Return a policy's statements: one may stand alone."""
    found = document.get("Statement", [])
    listed = found if isinstance(found, list) else [found]
    return [statement for statement in listed if isinstance(statement, dict)]


def _one_or_list(names: list[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else names


def _write(document: dict[str, Any]) -> str:
    return msgspec.json.encode(document).decode()
