"""`eventrouter config`: the settings in force, and where each comes from."""

from __future__ import annotations

import os
from pathlib import Path

import click

from eventrouter.cli.options import json_option
from eventrouter.cli.output import print_json, print_table


@click.group()
def config() -> None:
    """Look at the settings."""


@config.command()
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@json_option
def show(origin: bool, as_json: bool) -> None:
    """Print every setting as a node started here would have it. Passwords are masked."""
    from eventrouter.settings import load_settings, masked

    settings, origins = load_settings({}, cwd=Path.cwd(), environ=os.environ)
    values = {name: masked(value) for name, value in settings.model_dump(mode="json").items()}
    if as_json:
        print_json(
            {
                name: {"value": value, "layer": origins.of[name].layer, "origin": origins.of[name].where}
                for name, value in values.items()
            }
            if origin
            else values
        )
    elif origin:
        print_table(
            ["setting", "value", "origin"], [[name, _text(v), origins.of[name].where] for name, v in values.items()]
        )
    else:
        print_table(["setting", "value"], [[name, _text(value)] for name, value in values.items()])
    for warning in origins.warnings:
        click.echo(f"warning: {warning}", err=True)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
