"""Call AWS from a handler, with plain boto3: inside eventrouter the calls reach the node itself.

`AWS_ENDPOINT_URL`, the region and credentials are in the environment, so no client is configured by hand.
"""

from __future__ import annotations

import json
from typing import Any

import boto3

_lambda = boto3.client("lambda")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Invoke the function `event["function"]` with `event["payload"]` and return its answer and status."""
    answer = _lambda.invoke(FunctionName=event["function"], Payload=json.dumps(event.get("payload", {})))
    return {"status": answer["StatusCode"], "payload": json.loads(answer["Payload"].read())}
