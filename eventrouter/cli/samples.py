"""`eventrouter samples`: events as each source sends them, without a node."""

from __future__ import annotations

import click

from eventrouter.cli.options import json_option
from eventrouter.cli.output import print_json, print_table


@click.group()
def samples() -> None:
    """Show sample events of every source."""


@samples.command()
@click.argument("source", required=False)
@json_option
def ls(source: str | None, as_json: bool) -> None:
    """List the samples, or those of SOURCE: what happened, and how the source invokes a function."""
    from eventrouter.samples import load_samples

    every = load_samples().values()
    found = [sample for sample in every if source in (None, sample.source)]
    if not found:
        raise click.UsageError(
            f"there are no samples of {source!r}, but of {', '.join(sorted({each.source for each in every}))}"
        )
    if as_json:
        print_json([{"name": each.name, "invoked": each.invoked, "summary": each.summary} for each in found])
    else:
        print_table(["sample", "invoked", "what happened"], [[each.name, each.invoked, each.summary] for each in found])


@samples.command()
@click.argument("name")
@click.option("--set", "changes", multiple=True, metavar="PATH=VALUE", help="Change a member; may be repeated.")
@json_option
def show(name: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Print the event NAME; with --json, along with what is told of it."""
    from eventrouter.samples import Scene, edited, find_sample

    sample = find_sample(name)
    event = edited(sample.build(Scene()), changes)
    if as_json:
        print_json({"name": sample.name, "invoked": sample.invoked, "summary": sample.summary, "event": event})
    else:
        print_json(event)
