"""The tree of commands, and how errors leave it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

import click

from eventrouter.errors import EventRouterError

COMMANDS: Mapping[str, str] = {
    "dev": "eventrouter.cli.dev:dev",
    "serve": "eventrouter.cli.serve:serve",
    "plan": "eventrouter.cli.plan:plan",
    "deploy": "eventrouter.cli.deploy:deploy",
    "invoke": "eventrouter.cli.invoke:invoke",
    "samples": "eventrouter.cli.samples:samples",
    "logs": "eventrouter.cli.logs:logs",
    "explain": "eventrouter.cli.explain:explain",
    "clock": "eventrouter.cli.clock:clock",
    "nodes": "eventrouter.cli.nodes:nodes",
    "functions": "eventrouter.cli.functions:functions",
    "mappings": "eventrouter.cli.mappings:mappings",
    "streams": "eventrouter.cli.streams:streams",
    "queues": "eventrouter.cli.queues:queues",
    "dlq": "eventrouter.cli.dlq:dlq",
    "filters": "eventrouter.cli.filters:filters",
    "doctor": "eventrouter.cli.doctor:doctor",
    "config": "eventrouter.cli.config:config",
    "env": "eventrouter.cli.env:env",
    "version": "eventrouter.cli.version:version",
}
"""Every command and where it is defined, in the order that the help shows them."""


class CommandTree(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(
    cls=CommandTree,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 130 cut short by SIGINT, 143 cut short by SIGTERM.",
)
@click.version_option(package_name="eventrouter", message="eventrouter %(version)s")
def root() -> None:
    """AWS Lambda's invocation semantics on your own Redis."""


def run(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name and return its exit code; errors go to stderr."""
    try:
        colour = False if os.environ.get("NO_COLOR") else None  # None: on a terminal
        result = root.main(list(arguments), prog_name="eventrouter", standalone_mode=False, color=colour)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except EventRouterError as error:
        for line in str(error).splitlines() or [type(error).__name__]:
            click.echo(f"error: {line}", err=True)
        return 1
    except BrokenPipeError:
        # The reader of a pipe went away; without this Python complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0
