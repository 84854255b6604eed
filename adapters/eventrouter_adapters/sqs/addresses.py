"""How queues are addressed: names, URLs and ARNs.

A queue URL is accepted in any of the shapes that tools make: `http://host/account/name`,
`http://sqs.region.host/account/name`, `http://host/queue/region/account/name`, and the bare name.
Source: lambda-semantics §8.1.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from eventrouter.ports import Caller
from eventrouter.store.queues import QueueName
from eventrouter_adapters.sqs import errors

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FIFO_NAME = re.compile(r"[A-Za-z0-9_-]+\.fifo")
_LONGEST_NAME = 80
_REGION_HOST = re.compile(r"(?:sqs|queue)\.([a-z0-9-]+)\.(?:.+\.)?(?:localhost|localstack|amazonaws)\b.*")
_LEGACY_HOST = re.compile(r"([a-z0-9-]+)\.queue\..+")


def check_new_name(name: str, *, is_fifo: bool) -> str:
    """Return `name` if a queue of this kind may be created under it. Raises RequestError."""
    if is_fifo and (len(name) > _LONGEST_NAME or not _FIFO_NAME.fullmatch(name)):
        raise errors.invalid_parameter(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
            "must end with .fifo suffix and be 1 to 80 in length"
        )
    if not is_fifo and not _NAME.fullmatch(name):
        raise errors.invalid_parameter(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )
    return name


def is_name(name: str) -> bool:
    """Say whether a queue, of either kind, can be called `name`."""
    return _NAME.fullmatch(name) is not None or (len(name) <= _LONGEST_NAME and _FIFO_NAME.fullmatch(name) is not None)


def is_fifo(queue: QueueName) -> bool:
    """Say whether `queue` is a FIFO queue: its name says so."""
    return queue.name.endswith(".fifo")


def queue_url(base_url: str, queue: QueueName) -> str:
    """Return the URL that this node gives out for `queue`."""
    return f"{base_url.rstrip('/')}/{queue.account}/{queue.name}"


def parse_queue_url(caller: Caller, url: str) -> QueueName:
    """Return the queue that `url` names for `caller`.

    Raises RequestError: InvalidAddress if it names none, QueueDoesNotExist if it names one of another account
    or region, since queues of others are invisible.
    """
    if not url:
        raise errors.missing_parameter("QueueUrl")
    account, region, name = _parts(url) or (None, None, "")
    if not is_name(name):
        raise errors.invalid_address(url)
    if (account or caller.account) != caller.account or (region or caller.region) != caller.region:
        raise errors.queue_does_not_exist()
    return QueueName(account=caller.account, region=caller.region, name=name)


def named_place(url: str) -> tuple[str | None, str | None]:
    """Return the account and the region that a queue's URL names, as far as it does."""
    account, region, _ = _parts(url) or (None, None, "")
    return account, region


def parse_queue_arn(arn: str) -> QueueName | None:
    """Return the queue that `arn` names, or None if it is not a queue's ARN."""
    return QueueName.of_arn(arn)


def _parts(url: str) -> tuple[str | None, str | None, str] | None:
    """Return (account, region, name) as far as `url` says them."""
    if "/" not in url:
        return None, None, url
    try:
        split = urlsplit(url)
    except ValueError:
        return None
    steps = [step for step in split.path.split("/") if step]
    region_match = _REGION_HOST.fullmatch(split.hostname or "") or _LEGACY_HOST.fullmatch(split.hostname or "")
    region = region_match[1] if region_match else None
    match steps:
        case ["queue", path_region, account, name]:
            return account, path_region, name
        case [account, name] if account.isdigit():
            return account, region, name
    return None
