"""Handlers that other processes import."""

from __future__ import annotations

import base64
import json
import os
import time
from collections import Counter
from typing import Any


def echo(event: Any, context: Any) -> Any:
    return {"seen": event, "pid": os.getpid(), "by": context.function_name}


def failing(event: Any, context: Any) -> None:
    raise ValueError("no")


def poison(event: Any, context: Any) -> int:
    """Fail on every batch with a record whose data is "poison"; records of queues have a body, others data."""
    for record in event["Records"]:
        data = record.get("body") or base64.b64decode(record["kinesis"]["data"]).decode()
        if "poison" in data:
            raise ValueError(data)
    return len(event["Records"])


def half(event: Any, context: Any) -> dict[str, Any]:
    failed = [record["messageId"] for record in event["Records"] if "poison" in record["body"]]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def slow(event: Any, context: Any) -> str:
    time.sleep(event.get("seconds", 0.3))
    return "slept"


def calls_back(event: Any, context: Any) -> list[str]:
    """Send messages to a queue of the node that runs this, through boto3."""
    import boto3

    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="out")["QueueUrl"]
    return [sqs.send_message(QueueUrl=url, MessageBody=str(n))["MessageId"] for n in range(event["n"])]


def exits(event: Any, context: Any) -> None:
    os._exit(3)


def counted(event: Any, context: Any) -> int:
    """Fail as often as the event, or a record of it, says: `{"id": its own, "fails": n}`.

    Messages bring their number of receives; the rest is counted here, in the one process of a function that does one
    thing at a time.
    """
    if "Records" not in event:
        fails = [_fails(event)]
    elif "body" in event["Records"][0]:
        fails = [
            int(each["attributes"]["ApproximateReceiveCount"]) <= json.loads(each["body"])["fails"]
            for each in event["Records"]
        ]
    else:
        fails = [_fails(json.loads(base64.b64decode(each["kinesis"]["data"]))) for each in event["Records"]]
    if any(fails):
        raise ValueError("not yet")
    return len(fails)


_tries: Counter[str] = Counter()


def _fails(work: Any) -> bool:
    if "fails" not in work:
        return False
    _tries[work["id"]] += 1
    return bool(_tries[work["id"]] <= work["fails"])
