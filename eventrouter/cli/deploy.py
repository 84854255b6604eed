"""`eventrouter deploy`: make a running node match a project."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from eventrouter.cli.options import json_option, parameter_option, read_parameters
from eventrouter.cli.output import print_json


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=".")
@click.option("--to", "url", required=True, metavar="URL", help="The node, such as http://localhost:4566.")
@parameter_option
@click.option("--dry-run", is_flag=True, help="Show the plan; change nothing.")
@click.option("--prune", is_flag=True, help="Delete queues and streams that are declared no longer, with their data.")
@click.option("--yes", is_flag=True, help="Ask nothing, on a terminal either.")
@json_option
def deploy(
    file: Path, url: str, parameters: tuple[str, ...], dry_run: bool, prune: bool, yes: bool, as_json: bool
) -> int:
    """Make the node at URL match the project in FILE (or a folder, or module:app).

    The plan is printed first: what is created, updated, replaced and deleted, member by member. Only what this project
    has created before is deleted; queues and streams, which hold data, with --prune only. Deploying twice changes
    nothing. On a terminal a plan that deletes or replaces is asked about.
    """
    from eventrouter.project.api import HttpApi
    from eventrouter.project.converge import apply, plan
    from eventrouter.project.discover import read_project
    from eventrouter.project.plan import Action

    project = read_project(file, parameters=read_parameters(parameters))
    api = HttpApi(url, account=project.account, region=project.region)
    try:
        made = asyncio.run(plan(project, api, prune=prune))
        if not as_json:
            click.echo(made.as_text())
        destroys = made.count(Action.DELETE) + made.count(Action.REPLACE)
        if destroys and not (dry_run or yes or as_json) and sys.stdin.isatty():
            click.confirm(f"{destroys} of these are deleted or replaced. Go ahead?", abort=True)
        if not dry_run:
            asyncio.run(apply(made))
    finally:
        api.close()
    if as_json:
        print_json({**made.document(), "applied": not dry_run})
    elif not dry_run and not made.is_empty:
        click.echo(f"done: {len(made.due)} steps")
    return 0
