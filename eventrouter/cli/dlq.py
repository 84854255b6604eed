"""`eventrouter dlq`: where failed events and batches end, and how many are there."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import click

from eventrouter.cli.client import EVENT_SOURCE_MAPPINGS, FUNCTIONS, NodeClient, Refused
from eventrouter.cli.options import node_options
from eventrouter.cli.output import print_json, print_table

_COUNTS = {
    "messages": "ApproximateNumberOfMessages",
    "in flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@click.group()
def dlq() -> None:
    """Look after dead letters."""


@dlq.command()
@node_options
def ls(url: str | None, as_json: bool) -> None:
    """List every dead-letter target and on-failure destination, with the messages that wait there."""
    client = NodeClient(url)
    try:
        targets = [
            {"target": arn, "used_by": sorted(users), **_depth(client, arn)} for arn, users in _targets(client).items()
        ]
        pending = client.get("/_eventrouter/deliveries")
    finally:
        client.close()
    if as_json:
        print_json({"targets": targets, "deliveries": pending})
        return
    rows = [
        [row["target"], ", ".join(row["used_by"]), *(row.get(name) for name in _COUNTS), row.get("error")]
        for row in sorted(targets, key=lambda row: row["target"])
    ]
    print_table(["target", "used by", *_COUNTS, "error"], rows)
    if pending["pending"]:
        click.echo(f"{pending['pending']} deliveries have not reached their target yet and are tried again")


def _targets(client: NodeClient) -> dict[str, set[str]]:
    """Return every target that takes what failed, with the functions that name it and as what."""
    found: dict[str, set[str]] = defaultdict(set)
    for function in client.pages(FUNCTIONS, "Functions"):
        name = function["FunctionName"]
        if arn := function.get("DeadLetterConfig", {}).get("TargetArn"):
            found[arn].add(f"{name} (dead letters)")
        path = f"/2019-09-25/functions/{name}/event-invoke-config/list"
        for config in client.pages(path, "FunctionEventInvokeConfigs"):
            if arn := config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"):
                found[arn].add(f"{name} (on failure)")
    for mapping in client.pages(EVENT_SOURCE_MAPPINGS, "EventSourceMappings"):
        if arn := mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"):
            name = mapping["FunctionArn"].split(":")[6]
            source = mapping["EventSourceArn"].split(":", 5)[5]
            found[arn].add(f"{name} (on failure of {source})")
    return found


def _depth(client: NodeClient, arn: str) -> dict[str, Any]:
    """Return the message counts of a queue; nothing for other targets, the reason if it cannot be read."""
    parts = arn.split(":")
    if parts[2] != "sqs":
        return {}
    try:
        url = client.call("sqs", "AmazonSQS.GetQueueUrl", {"QueueName": parts[5], "QueueOwnerAWSAccountId": parts[4]})[
            "QueueUrl"
        ]
        attributes = client.call(
            "sqs", "AmazonSQS.GetQueueAttributes", {"QueueUrl": url, "AttributeNames": list(_COUNTS.values())}
        ).get("Attributes", {})
    except Refused as error:
        return {"error": str(error)}
    return {name: int(attributes[attribute]) for name, attribute in _COUNTS.items() if attribute in attributes}
