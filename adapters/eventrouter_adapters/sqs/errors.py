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


def unknown_attribute(name: str) -> RequestError:
    return sqs_error("InvalidAttributeName", f"Unknown Attribute {name}.")


def invalid_attribute_value(name: str) -> RequestError:
    return sqs_error("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def invalid_address(url: str) -> RequestError:
    return sqs_error("InvalidAddress", f"The address {url} is not valid for this endpoint.")


def invalid_receipt_handle(handle: str) -> RequestError:
    return sqs_error("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')


def invalid_message_contents() -> RequestError:
    return sqs_error("InvalidMessageContents", VALID_CHARACTERS)


def too_long(max_bytes: int) -> RequestError:
    return invalid_parameter(
        f"One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
    )
