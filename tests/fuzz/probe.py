"""A caller who does nothing wrong: `python -m tests.fuzz.probe URL ACCOUNT`, until its standard input ends.

A process of its own, so that what it measures is the node and not the load. Invokes a function, sends a message and
describes a stream in turn, 20 times a second; at the end it writes how long each took, and what failed, as JSON.
"""

from __future__ import annotations

import json
import select
import sys
import time

from tests.e2e.accounts import Account


def main() -> None:
    """Ask until told to stop, once at least."""
    account = Account(sys.argv[1], account_id=sys.argv[2])
    url = account.sqs.get_queue_url(QueueName="probe")["QueueUrl"]
    kinesis = account.client("kinesis")
    steps = [
        lambda: account.lambda_.invoke(FunctionName="probe", Payload=b'{"a":1}')["Payload"].read(),
        lambda: account.sqs.send_message(QueueUrl=url, MessageBody="x"),
        lambda: kinesis.describe_stream_summary(StreamName="probe"),
    ]
    took: list[float] = []
    failed: list[str] = []
    print("ready", flush=True)
    is_told = False
    while not is_told:
        began = time.monotonic()
        try:
            steps[len(took) % len(steps)]()
        except Exception as error:
            failed.append(repr(error))
        took.append(time.monotonic() - began)
        is_told = bool(select.select([sys.stdin], [], [], 0.05)[0])
    print(json.dumps({"took": took, "failed": failed}))


if __name__ == "__main__":
    main()
