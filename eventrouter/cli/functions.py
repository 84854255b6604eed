"""`eventrouter functions`: what is deployed."""

from __future__ import annotations

from typing import Any

import click

from eventrouter.cli.client import FUNCTIONS, NodeClient, Refused, function_path
from eventrouter.cli.options import node_options
from eventrouter.cli.output import print_fields, print_json, print_table

_EVENT_CONFIGS = "/2019-09-25/functions"
_CONCURRENCY = "/2019-09-30/functions"


@click.group()
def functions() -> None:
    """List, show and remove functions."""


@functions.command()
@node_options
def ls(url: str | None, as_json: bool) -> None:
    """List the functions of the account and region."""
    client = NodeClient(url)
    try:
        found = list(client.pages(FUNCTIONS, "Functions"))
    finally:
        client.close()
    if as_json:
        print_json(found)
        return
    rows = [
        [
            function["FunctionName"],
            function.get("Runtime"),
            function.get("Handler"),
            function.get("MemorySize"),
            function.get("Timeout"),
            function.get("LastModified"),
        ]
        for function in found
    ]
    print_table(["function", "runtime", "handler", "MB", "timeout s", "modified"], rows)


@functions.command()
@click.argument("name")
@node_options
def show(name: str, url: str | None, as_json: bool) -> None:
    """Show one function: configuration, concurrency, async settings, and what of it is not applied here."""
    client = NodeClient(url)
    try:
        function = client.get(function_path(name))
        # The other operations take the plain name, which a reference by ARN does not show.
        plain = function["Configuration"]["FunctionName"]
        configs = list(
            client.pages(_under(_EVENT_CONFIGS, plain, "event-invoke-config/list"), "FunctionEventInvokeConfigs")
        )
        reserved = _reserved(client, plain)
        notes = _not_applied(client, function["Configuration"]["FunctionArn"])
    finally:
        client.close()
    if as_json:
        document = {**function, "EventInvokeConfigs": configs, "ReservedConcurrentExecutions": reserved}
        print_json({**document, "NotApplied": notes})
        return
    fields: list[tuple[str, object]] = list(_flat(function["Configuration"]))
    fields.append(("ReservedConcurrentExecutions", reserved))
    for config in configs:
        qualifier = config["FunctionArn"].split(":")[7:] or ["$LATEST"]
        fields.extend(
            (f"EventInvokeConfig[{qualifier[0]}].{key}", value)
            for key, value in _flat(config)
            if key not in {"FunctionArn", "LastModified"}
        )
    fields.extend((f"Tags.{key}", value) for key, value in sorted((function.get("Tags") or {}).items()))
    print_fields(fields)
    for note in notes:
        click.echo(f"not applied  {note}")


@functions.command()
@click.argument("names", nargs=-1, required=True)
@node_options
def rm(names: tuple[str, ...], url: str | None, as_json: bool) -> int:
    """Remove functions; one that cannot be removed does not keep the others."""
    client = NodeClient(url)
    removed: list[str] = []
    failed: list[Refused] = []
    try:
        for name in names:
            answer = client.request("DELETE", function_path(name))
            if answer.status < 300:
                removed.append(name)
            else:
                failed.append(answer.refusal())
    finally:
        client.close()
    if as_json:
        print_json({"removed": removed, "errors": [str(error) for error in failed]})
    else:
        for name in removed:
            click.echo(f"removed  {name}")
    for error in failed:
        click.echo(f"error: {error}", err=True)
    return 1 if failed else 0


def _under(prefix: str, name: str, operation: str) -> str:
    return f"{prefix}/{name}/{operation}"


def _reserved(client: NodeClient, name: str) -> int | None:
    reserved: int | None = client.get(_under(_CONCURRENCY, name, "concurrency")).get("ReservedConcurrentExecutions")
    return reserved


def _not_applied(client: NodeClient, arn: str) -> list[str]:
    """Return what the node says of the function's settings that have no meaning on it."""
    region, account, name = arn.split(":")[3], arn.split(":")[4], arn.split(":")[6]
    notes: list[str] = client.get(f"/_eventrouter/functions/{account}:{region}:{name}").get("not_applied", [])
    return notes


def _flat(document: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    fields: list[tuple[str, object]] = []
    for key, value in document.items():
        if isinstance(value, dict):
            fields.extend(_flat(value, f"{prefix}{key}."))
        elif isinstance(value, list):
            if value:
                fields.append((prefix + key, ", ".join(str(item) for item in value)))
        else:
            fields.append((prefix + key, value))
    return fields
