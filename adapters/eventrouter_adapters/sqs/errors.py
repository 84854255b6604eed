"""The errors of SQS: each carries its modelled name and the older query code that SDKs still show as `Error.Code`.

Source: lambda-semantics §8.1 (error mapping) and §8.7 (error table).
"""

from __future__ import annotations

from eventrouter.errors import RequestError

_LEGACY = "AWS.SimpleQueueService."

VALID_CHARACTERS = (
    "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | "
    "#xE000 to #xFFFD | #x10000 to #x10FFFF"
)


def sqs_error(name: str, message: str, *, query_code: str | None = None, status: int = 400) -> RequestError:
    """Build an error of SQS. `query_code` is what the query protocol calls it, where that differs from `name`."""
    return RequestError(
        name,
        message,
        status=status,
        fault=None,
        headers={"x-amzn-query-error": f"{query_code or name};Sender"},
    )


def queue_does_not_exist() -> RequestError:
    return sqs_error(
        "QueueDoesNotExist", "The specified queue does not exist.", query_code=f"{_LEGACY}NonExistentQueue"
    )


def queue_name_exists(attribute: str) -> RequestError:
    return sqs_error(
        "QueueNameExists",
        f"A queue already exists with the same name and a different value for attribute {attribute}",
        query_code="QueueAlreadyExists",
    )


def queue_deleted_recently() -> RequestError:
    return sqs_error(
        "QueueDeletedRecently",
        "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
        query_code=f"{_LEGACY}QueueDeletedRecently",
    )


def purge_in_progress(queue: str) -> RequestError:
    return sqs_error(
        "PurgeQueueInProgress",
        f"Only one PurgeQueue operation on {queue} is allowed every 60 seconds.",
        query_code=f"{_LEGACY}PurgeQueueInProgress",
        status=403,
    )


def unsupported(message: str) -> RequestError:
    return sqs_error("UnsupportedOperation", message, query_code=f"{_LEGACY}UnsupportedOperation")


def invalid_parameter(message: str) -> RequestError:
    return sqs_error("InvalidParameterValueException", message, query_code="InvalidParameterValue")


def invalid_value(value: object, parameter: str, reason: str) -> RequestError:
    return invalid_parameter(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def missing_parameter(name: str) -> RequestError:
    return sqs_error(
        "MissingRequiredParameterException",
        f"The request must contain the parameter {name}.",
        query_code="MissingParameter",
    )


def wrong_for_queue_type(value: object, parameter: str) -> RequestError:
    return invalid_value(value, parameter, "The request include parameter that is not valid for this queue type.")


def unknown_attribute(name: str) -> RequestError:
    return sqs_error("InvalidAttributeName", f"Unknown Attribute {name}.")


def invalid_attribute_value(name: str, reason: str = "") -> RequestError:
    said = f" Reason: {reason}" if reason else ""
    return sqs_error("InvalidAttributeValue", f"Invalid value for the parameter {name}.{said}")


def invalid_address(url: str) -> RequestError:
    return sqs_error("InvalidAddress", f"The address {url} is not valid for this endpoint.")


def invalid_receipt_handle(handle: str) -> RequestError:
    return sqs_error("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')


def expired_receipt_handle(handle: str) -> RequestError:
    return invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")


def not_available(handle: str) -> RequestError:
    return invalid_value(
        handle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change."
    )


def invalid_message_contents() -> RequestError:
    return sqs_error("InvalidMessageContents", VALID_CHARACTERS)


def too_long(max_bytes: int) -> RequestError:
    return invalid_parameter(
        f"One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
    )


def too_long_in_batch(max_bytes: int) -> RequestError:
    return invalid_parameter(
        f"One or more parameters cannot be validated. Reason: Message must be shorter than {max_bytes} bytes."
    )


def message_not_in_flight() -> RequestError:
    return sqs_error(
        "MessageNotInflight", "The specified message isn't in flight.", query_code=f"{_LEGACY}MessageNotInflight"
    )


def over_limit(message: str) -> RequestError:
    return sqs_error("OverLimit", message, query_code=f"{_LEGACY}OverLimit", status=403)


def throttled(message: str) -> RequestError:
    return sqs_error("RequestThrottled", message, status=403)


def resource_not_found(message: str) -> RequestError:
    return sqs_error("ResourceNotFoundException", message, status=404)


def empty_batch(entry: str) -> RequestError:
    return sqs_error(
        "EmptyBatchRequest",
        f"There should be at least one {entry} in the request.",
        query_code=f"{_LEGACY}EmptyBatchRequest",
    )


def too_many_entries(limit: int, sent: int) -> RequestError:
    return sqs_error(
        "TooManyEntriesInBatchRequest",
        f"Maximum number of entries per request are {limit}. You have sent {sent}.",
        query_code=f"{_LEGACY}TooManyEntriesInBatchRequest",
    )


def invalid_batch_entry_id() -> RequestError:
    return sqs_error(
        "InvalidBatchEntryId",
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
        "It can be at most 80 letters long.",
        query_code=f"{_LEGACY}InvalidBatchEntryId",
    )


def batch_entry_ids_not_distinct(identity: str) -> RequestError:
    return sqs_error(
        "BatchEntryIdsNotDistinct", f"Id {identity} repeated.", query_code=f"{_LEGACY}BatchEntryIdsNotDistinct"
    )


def batch_too_long(limit: int, sent: int) -> RequestError:
    return sqs_error(
        "BatchRequestTooLong",
        f"Batch requests cannot be longer than {limit} bytes. You have sent {sent} bytes.",
        query_code=f"{_LEGACY}BatchRequestTooLong",
    )
