"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Add `--json`: the command's answer as JSON on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def node_options(command: Command) -> Command:
    """Add `--url` and `--json`: which node to ask, and how to answer."""
    return json_option(
        click.option("--url", default=None, help="The node's URL. [default: AWS_ENDPOINT_URL, or this machine's node]")(
            command
        )
    )


def node_url(url: str | None) -> str:
    """Return the node to talk to: the flag, AWS_ENDPOINT_URL, or the usual port on this machine."""
    found = url or os.environ.get("AWS_ENDPOINT_URL")
    if found:
        return found
    return f"http://127.0.0.1:{os.environ.get('EVENTROUTER_PORT') or 4566}"


def read_argument(argument: str) -> bytes:
    """Return what an argument stands for: itself, the file that `@` names, or stdin if it is `-`."""
    if argument == "-":
        return sys.stdin.buffer.read()
    if not argument.startswith("@"):
        return argument.encode(errors="surrogateescape")
    try:
        return Path(argument[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{argument[1:]} cannot be read: {error.strerror}") from None


def parameter_option(command: Command) -> Command:
    """Add `--parameter NAME=VALUE`: parameters of a template, options of a serverless.yml."""
    return click.option(
        "--parameter",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        help="A template's parameter, or an option of a serverless.yml; may be repeated.",
    )(command)


def read_parameters(given: tuple[str, ...]) -> dict[str, str]:
    """Return what `--parameter` was given. Raises UsageError unless each is a name and a value."""
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise click.UsageError(f"--parameter {each} is no NAME=VALUE")
        found[name] = value
    return found


clock_option = click.option(
    "--clock",
    type=click.Choice(("system", "virtual")),
    default=None,
    help="virtual: the node's time can be advanced, for tests in any language. [default: system]",
)
