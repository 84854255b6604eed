"""`eventrouter env`: what to export so that the AWS SDKs and tools talk to a node."""

from __future__ import annotations

import shlex

import click

from eventrouter.cli.options import node_options, node_url
from eventrouter.cli.output import print_json


@click.command()
@node_options
def env(url: str | None, as_json: bool) -> None:
    """Print the exports for a shell: eval "$(eventrouter env)".

    Any credentials are accepted; an access key of twelve digits names the account.
    """
    variables = {
        "AWS_ENDPOINT_URL": node_url(url),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
