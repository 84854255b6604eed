"""The errors of Kinesis, in AWS's words where they are known. Source: lambda-semantics §7.4."""

from __future__ import annotations

from datetime import UTC, datetime

from eventrouter.errors import RequestError
from eventrouter.rules.stream import StreamName

ITERATOR_LIFE_MS = 300_000
THROUGHPUT_EXCEEDED = "ProvisionedThroughputExceededException"


def kinesis_error(code: str, message: str) -> RequestError:
    return RequestError(code, message, status=400, fault=None)


def invalid_argument(message: str) -> RequestError:
    return kinesis_error("InvalidArgumentException", message)


def validation(message: str) -> RequestError:
    return kinesis_error("ValidationException", message)


def too_long(path: str, limit: int) -> RequestError:
    return validation(
        f"1 validation error detected: Value at '{path}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {limit}"
    )


def limit_exceeded(message: str) -> RequestError:
    return kinesis_error("LimitExceededException", message)


def in_use(message: str) -> RequestError:
    return kinesis_error("ResourceInUseException", message)


def not_found(message: str) -> RequestError:
    return kinesis_error("ResourceNotFoundException", message)


def no_such_stream(name: StreamName) -> RequestError:
    return not_found(f"Stream {name.name} under account {name.account} not found.")


def no_such_shard(shard_id: str, name: StreamName) -> RequestError:
    return not_found(f"Could not find shard {shard_id} in stream {name.name} under account {name.account}.")


def no_such_consumer(consumer: str, account: str) -> RequestError:
    return not_found(f"Consumer {consumer}, account {account} not found.")


def stream_exists(name: StreamName) -> RequestError:
    return in_use(f"Stream {name.name} under account {name.account} already exists.")


def stream_not_active(name: StreamName, status: str) -> RequestError:
    return in_use(f"Stream {name.name} under account {name.account} not ACTIVE, instead in state {status}")


def on_demand(name: StreamName) -> RequestError:
    return validation(f"Request is invalid. Stream {name.name} under account {name.account} is in On-Demand mode.")


def already_resharded(shard_id: str, name: StreamName) -> RequestError:
    return invalid_argument(
        f"Shard {shard_id} in stream {name.name} under account {name.account} has already been merged or split, "
        "and thus is not eligible for merging or splitting."
    )


def throttled_text(shard_id: str, name: StreamName) -> str:
    return f"Rate exceeded for shard {shard_id} in stream {name.name} under account {name.account}."


def throttled(shard_id: str, name: StreamName) -> RequestError:
    return kinesis_error(THROUGHPUT_EXCEEDED, throttled_text(shard_id, name))


def internal_failure(message: str) -> RequestError:
    return RequestError("InternalFailureException", message, status=500, fault=None)


def iterator_expired(issued_at_ms: int, now_ms: int) -> RequestError:
    return kinesis_error(
        "ExpiredIteratorException",
        f"Iterator expired. The iterator was created at time {_date(issued_at_ms)} while right now it is "
        f"{_date(now_ms)} which is further in the future than the tolerated delay of {ITERATOR_LIFE_MS} milliseconds.",
    )


def token_expired() -> RequestError:
    return kinesis_error("ExpiredNextTokenException", "The specified NextToken has expired.")


def dry_run() -> RequestError:
    return kinesis_error("DryRunOperationException", "The request would have succeeded, but the DryRun flag is set.")


def _date(at_ms: int) -> str:
    """Render an instant as AWS's texts do: `Thu Dec 10 01:59:39 UTC 2015`."""
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
