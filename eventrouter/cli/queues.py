"""`eventrouter queues`: what queues there are and hold, sending, emptying, and moving dead letters back."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import click

from eventrouter.cli.client import EVENT_SOURCE_MAPPINGS, NodeClient
from eventrouter.cli.moving import MoveTask
from eventrouter.cli.options import node_options, read_argument
from eventrouter.cli.output import instant, print_fields, print_json, print_table
from eventrouter.errors import EventRouterError

_PAGE = 1_000
_CALL_MESSAGES = 10
_CALL_BYTES = 1_048_576
"""What one SendMessageBatch takes."""
_SHOWN_CHARACTERS = 100
_STRING = "String"

_COUNTS = {
    "messages": "ApproximateNumberOfMessages",
    "in flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}
_TIMES = ("CreatedTimestamp", "LastModifiedTimestamp")


@click.group()
def queues() -> None:
    """Look after queues."""


@queues.command()
@node_options
def ls(url: str | None, as_json: bool) -> None:
    """List the queues of the account and region, with the messages that wait there."""
    with contextlib.closing(NodeClient(url)) as client:
        addresses = _pages(client, "ListQueues", "QueueUrls")
        found = {address: _attributes(client, address) for address in addresses}
    if as_json:
        print_json([{"QueueUrl": address, "Attributes": attributes} for address, attributes in found.items()])
    else:
        headings = ["queue", *_COUNTS, "dead letters to", "after receives"]
        print_table(headings, [_row(attributes) for attributes in found.values()])


@queues.command()
@click.argument("queue")
@node_options
def show(queue: str, url: str | None, as_json: bool) -> None:
    """Show the attributes of QUEUE, whose dead letters it takes, what reads it, and the move tasks on it."""
    with contextlib.closing(NodeClient(url)) as client:
        address = _url(client, queue)
        attributes = _attributes(client, address)
        arn = attributes["QueueArn"]
        found = {
            "QueueUrl": address,
            "Attributes": attributes,
            "Tags": _call(client, "ListQueueTags", QueueUrl=address).get("Tags", {}),
            "DeadLetterSourceQueues": list(_pages(client, "ListDeadLetterSourceQueues", "queueUrls", QueueUrl=address)),
            "EventSourceMappings": [
                mapping
                for mapping in client.pages(EVENT_SOURCE_MAPPINGS, "EventSourceMappings")
                if mapping["EventSourceArn"] == arn
            ],
            "MessageMoveTasks": _call(client, "ListMessageMoveTasks", SourceArn=arn, MaxResults=10).get("Results", []),
        }
    if as_json:
        print_json(found)
    else:
        _print_queue(found)


@queues.command()
@click.argument("queue")
@click.option("-n", "--number", type=click.IntRange(min=1), default=10, help="How many messages.", show_default=True)
@click.option("--hidden", is_flag=True, help="Those in flight and those delayed as well.")
@node_options
def peek(queue: str, number: int, hidden: bool, url: str | None, as_json: bool) -> None:
    """Show the oldest messages of QUEUE without receiving them: they stay as they are, for others to receive."""
    with contextlib.closing(NodeClient(url)) as client:
        path = f"/_aws/sqs/messages?QueueUrl={quote(_url(client, queue), safe='')}"
        if hidden:
            path += "&ShowInvisible=true&ShowDelayed=true"
        answer = client.request("GET", path, headers={"Accept": "application/json"}, service="sqs").document()
    messages = answer.get("Messages", [])[:number]
    if as_json:
        print_json(messages)
        return
    has_groups = any("MessageGroupId" in message["Attributes"] for message in messages)
    headings = ["sent", "received", *(["group"] if has_groups else []), "message", "body"]
    print_table(headings, [_message_row(message, has_groups=has_groups) for message in messages])


@queues.command()
@click.argument("queue")
@click.argument("body", required=False, default="{}", metavar="[BODY|@FILE|-]")
@click.option("-n", "--number", type=click.IntRange(min=1), default=1, help="How often the message is sent.")
@click.option("-a", "--attribute", "attributes", multiple=True, metavar="NAME=TEXT", help="A message attribute.")
@click.option("--delay", type=click.IntRange(0, 900), default=None, help="Seconds until it can be received.")
@click.option("-g", "--group", default=None, help="The message group; FIFO queues need one.")
@click.option("--dedup", default=None, help="The deduplication id. [default, of a FIFO queue: another one for each]")
@node_options
def send(
    queue: str,
    body: str,
    number: int,
    attributes: tuple[str, ...],
    delay: int | None,
    group: str | None,
    dedup: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Send a message to QUEUE: its body as it stands, from a file, or from stdin."""
    text = _text(body)
    message = {
        "MessageBody": text,
        "DelaySeconds": delay,
        "MessageGroupId": group,
        "MessageAttributes": dict(_attribute(each) for each in attributes) or None,
    }
    message = {name: value for name, value in message.items() if value is not None}
    sent: list[dict[str, Any]] = []
    with contextlib.closing(NodeClient(url)) as client:
        address = _url(client, queue)
        size = len(text.encode()) + sum(len(each.encode()) + len(_STRING) for each in attributes)
        step = max(min(_CALL_MESSAGES, _CALL_BYTES // max(size, 1)), 1)
        for at in range(0, number, step):
            entries = [
                {"Id": str(index), **message, **_deduplication(queue, dedup)} for index in range(min(step, number - at))
            ]
            sent += _send(client, address, entries)
    if as_json:
        print_json(sent)
    elif number == 1:
        click.echo("  ".join(sent[0][name] for name in ("MessageId", "SequenceNumber") if name in sent[0]))
    else:
        click.echo(f"sent  {len(sent)} messages")


@queues.command()
@click.argument("queue")
@node_options
def purge(queue: str, url: str | None, as_json: bool) -> None:
    """Delete every message of QUEUE: those that wait, those in flight, and those delayed."""
    with contextlib.closing(NodeClient(url)) as client:
        address = _url(client, queue)
        counts = {name: int(_attributes(client, address)[attribute]) for name, attribute in _COUNTS.items()}
        _call(client, "PurgeQueue", QueueUrl=address)
    if as_json:
        print_json({"QueueUrl": address, **{_COUNTS[name]: count for name, count in counts.items()}})
    else:
        click.echo(f"purged  {queue}  " + ", ".join(f"{count} {name}" for name, count in counts.items()))


@queues.command()
@click.argument("queue")
@click.option("--to", default=None, metavar="QUEUE", help="Where the messages go. [default: the queue each came from]")
@click.option("--rate", type=click.IntRange(1, 500), default=None, help="Messages a second at most.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@node_options
def redrive(queue: str, to: str | None, rate: int | None, quiet: bool, url: str | None, as_json: bool) -> None:
    """Move the messages of QUEUE, a dead-letter queue, back, and return once they are. Ctrl-C cancels it."""
    with contextlib.closing(NodeClient(url)) as client:
        members = {
            "SourceArn": _arn(client, queue),
            "DestinationArn": None if to is None else _arn(client, to),
            "MaxNumberOfMessagesPerSecond": rate,
        }
        given = {name: value for name, value in members.items() if value is not None}
        task = MoveTask.start(client, given)
        ended = task.follow(is_quiet=quiet)
    if as_json:
        print_json(ended)
    else:
        moved = ended["ApproximateNumberOfMessagesMoved"]
        click.echo(f"moved  {moved} message{'' if moved == 1 else 's'}")


def _call(client: NodeClient, operation: str, **members: Any) -> Any:
    return client.call("sqs", f"AmazonSQS.{operation}", members)


def _pages(client: NodeClient, operation: str, member: str, **members: Any) -> Iterator[str]:
    """Yield what a list operation lists, page after page."""
    members |= {"MaxResults": _PAGE}
    while True:
        page = _call(client, operation, **members)
        yield from page.get(member, [])
        if not page.get("NextToken"):
            return
        members["NextToken"] = page["NextToken"]


def _url(client: NodeClient, queue: str) -> str:
    address: str = _call(client, "GetQueueUrl", QueueName=queue)["QueueUrl"]
    return address


def _arn(client: NodeClient, queue: str) -> str:
    return _attributes(client, _url(client, queue))["QueueArn"]


def _attributes(client: NodeClient, address: str) -> dict[str, str]:
    found: dict[str, str] = _call(client, "GetQueueAttributes", QueueUrl=address, AttributeNames=["All"])["Attributes"]
    return found


def _name(text: str) -> str:
    """Return the name of a queue, from its URL or ARN."""
    return text.replace("/", ":").rpartition(":")[2]


def _row(attributes: Mapping[str, str]) -> list[object]:
    redrive_policy = json.loads(attributes.get("RedrivePolicy", "{}"))
    return [
        _name(attributes["QueueArn"]),
        *(int(attributes[attribute]) for attribute in _COUNTS.values()),
        _name(redrive_policy.get("deadLetterTargetArn", "")),
        redrive_policy.get("maxReceiveCount"),
    ]


def _print_queue(found: Mapping[str, Any]) -> None:
    attributes = found["Attributes"]
    plain = {name: text for name, text in attributes.items() if name not in _COUNTS.values()}
    print_fields(
        [
            ("url", found["QueueUrl"]),
            *((name, int(attributes[attribute])) for name, attribute in _COUNTS.items()),
            *((name, instant(int(plain[name]) * 1_000) if name in _TIMES else plain[name]) for name in sorted(plain)),
            *((f"tag {name}", value) for name, value in sorted(found["Tags"].items())),
            *(("dead letters of", _name(source)) for source in found["DeadLetterSourceQueues"]),
            *(
                ("read by", f"{_name(mapping['FunctionArn'])}  {mapping['State']}  {mapping['UUID']}")
                for mapping in found["EventSourceMappings"]
            ),
            *(("move task", _move_task(task)) for task in found["MessageMoveTasks"]),
        ]
    )


def _move_task(task: Mapping[str, Any]) -> str:
    moved, total = task["ApproximateNumberOfMessagesMoved"], task.get("ApproximateNumberOfMessagesToMove", "?")
    to = f" to {_name(task['DestinationArn'])}" if "DestinationArn" in task else ""
    failure = f": {task['FailureReason']}" if "FailureReason" in task else ""
    return f"{instant(task['StartedTimestamp'])}  {task['Status']}  {moved} of {total}{to}{failure}"


def _message_row(message: Mapping[str, Any], *, has_groups: bool) -> list[object]:
    attributes = message["Attributes"]
    return [
        instant(int(attributes["SentTimestamp"])),
        int(attributes["ApproximateReceiveCount"]),
        *([attributes.get("MessageGroupId")] if has_groups else []),
        message["MessageId"],
        _one_line(message["Body"]),
    ]


def _one_line(body: str) -> str:
    """Return the beginning of a body as a terminal can show it, whatever it holds."""
    text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in body[:_SHOWN_CHARACTERS])
    return text if len(body) <= _SHOWN_CHARACTERS else f"{text}…"


def _text(argument: str) -> str:
    try:
        return read_argument(argument).decode()
    except UnicodeDecodeError:
        raise click.UsageError("a message's body is text: this is not UTF-8") from None


def _attribute(argument: str) -> tuple[str, dict[str, str]]:
    name, separator, value = argument.partition("=")
    if not separator:
        raise click.UsageError(f"{argument!r} is no attribute: it must look like name=text")
    return name, {"DataType": _STRING, "StringValue": value}


def _deduplication(queue: str, dedup: str | None) -> dict[str, str]:
    """Return a message's deduplication id: the given one, or a new one where a queue asks for it."""
    if dedup is None and not queue.endswith(".fifo"):
        return {}
    return {"MessageDeduplicationId": dedup or str(uuid.uuid4())}


def _send(client: NodeClient, address: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = _call(client, "SendMessageBatch", QueueUrl=address, Entries=entries)
    if refused := answer.get("Failed"):
        raise EventRouterError(f"{refused[0]['Code']}: {refused[0].get('Message', '')}")
    return [{name: value for name, value in sent.items() if name != "Id"} for sent in answer["Successful"]]
