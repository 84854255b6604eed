"""Sends reminders by mail; one address that bounces must not send the others' mail again."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

processor = BatchProcessor(event_type=EventType.SQS)
sent: list[str] = []
"""To whom; the mail server in real life."""


def send_one(record: SQSRecord) -> None:
    address = record.json_body["to"]
    if address.endswith("@nowhere.test"):
        raise ConnectionRefusedError(address)
    sent.append(address)


def handler(event: dict[str, Any], context: Any) -> Any:
    return process_partial_response(event=event, record_handler=send_one, processor=processor, context=context)
