"""`eventrouter invoke`: one call, or a load run."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Sequence
from typing import Any

import click

from eventrouter.cli.client import Answer, NodeClient, function_path
from eventrouter.cli.options import node_options, read_argument
from eventrouter.cli.output import print_json


@click.command()
@click.argument("name")
@click.option("-p", "--payload", default=None, help="The event: JSON, @FILE, or - for stdin.")
@click.option("--sample", default=None, metavar="SAMPLE", help="The event: a sample's, such as s3:put.")
@click.option("--set", "changes", multiple=True, metavar="PATH=VALUE", help="Change a member of the sample's event.")
@click.option("--async", "as_event", is_flag=True, help="Queue it as an event: answers 202 once it is durable.")
@click.option("--dry-run", is_flag=True, help="Only check that it could be invoked.")
@click.option("--tail", is_flag=True, help="Show the last 4 KB of the run's log (on stderr).")
@click.option("--qualifier", default=None, help="Version or alias.")
@click.option(
    "-n", "--number", type=click.IntRange(min=1), default=1, help="How many calls: more than one is a load run."
)
@click.option("-c", "--concurrency", type=click.IntRange(1, 512), default=1, help="Callers of a load run.")
@click.option("-q", "--quiet", is_flag=True, help="No progress during a load run.")
@node_options
def invoke(
    name: str,
    payload: str | None,
    sample: str | None,
    changes: tuple[str, ...],
    as_event: bool,
    dry_run: bool,
    tail: bool,
    qualifier: str | None,
    number: int,
    concurrency: int,
    quiet: bool,
    url: str | None,
    as_json: bool,
) -> int:
    """Invoke the function NAME (or its ARN) and print its answer.

    Exits with 1 if the function failed, as well as if it could not be invoked.
    """
    if as_event and dry_run:
        raise click.UsageError("--async and --dry-run exclude each other")
    if number > 1 and (tail or dry_run):
        raise click.UsageError("a load run (-n) shows no logs and makes no dry runs")
    path = f"{function_path(name)}/invocations"
    if qualifier is not None:
        path += f"?Qualifier={urllib.parse.quote(qualifier, safe='')}"
    headers = {"X-Amz-Invocation-Type": "Event" if as_event else "DryRun" if dry_run else "RequestResponse"}
    if tail and not as_event and not dry_run:
        headers["X-Amz-Log-Type"] = "Tail"
    event = _event(payload, sample, changes)
    if number > 1:
        from eventrouter.cli.load import LoadRun

        return LoadRun(
            url=url, path=path, headers=headers, payload=event, number=number, callers=min(concurrency, number)
        ).show(as_json=as_json, quiet=quiet)
    client = NodeClient(url)
    try:
        answer = client.request("POST", path, body=event, headers=headers)
    finally:
        client.close()
    if answer.status >= 300:
        raise answer.refusal()
    return _show(answer, as_json=as_json)


def _event(payload: str | None, sample: str | None, changes: Sequence[str]) -> bytes:
    """Return what is sent: the payload that is given, a sample's event, or nothing."""
    if sample is None:
        if changes:
            raise click.UsageError("--set changes a sample's event: it needs --sample")
        return b"" if payload is None else read_argument(payload)
    if payload is not None:
        raise click.UsageError("--payload and --sample exclude each other")
    from eventrouter.samples import Scene, edited, find_sample

    return json.dumps(edited(find_sample(sample).build(Scene()), changes), ensure_ascii=False).encode()


def _show(answer: Answer, *, as_json: bool) -> int:
    failed = answer.headers.get("x-amz-function-error")
    request_id = answer.headers.get("x-amzn-requestid", "")
    log = base64.b64decode(answer.headers.get("x-amz-log-result", "")).decode("utf-8", "replace")
    if as_json:
        print_json(
            {
                "status": answer.status,
                "request_id": request_id,
                "function_error": failed,
                "payload": _document(answer.body),
                "log": log or None,
            }
        )
        return 1 if failed else 0
    if log:
        click.echo(log, err=True, nl=not log.endswith("\n"))
    if answer.status == 202:
        click.echo(f"accepted  {request_id}")
    elif answer.status == 204:
        click.echo("dry run passed: nothing was invoked")
    else:
        click.echo(answer.body)
    if failed:
        click.secho(f"the function failed ({failed})  {request_id}", err=True, fg="red")
    return 1 if failed else 0


def _document(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")
