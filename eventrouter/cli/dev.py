"""`eventrouter dev`: a node for one's own machine, with a server of its own, that runs the project of a folder."""

from __future__ import annotations

from pathlib import Path

import click

from eventrouter.cli.options import clock_option, json_option, parameter_option, read_parameters

_CDK = (
    "cdk.json is not read: run `cdk synth`, and name the template, as in `eventrouter dev cdk.out/STACK.template.json`"
)


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=".")
@parameter_option
@click.option("--port", type=int, default=None, help="Port of the API; 0 picks a free one. [default: 4566]")
@click.option("--host", default=None, help="Address to listen on. [default: 127.0.0.1]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=None, help="Where data is kept. [default: PATH/.eventrouter]"
)
@click.option("--redis-url", default=None, help="Use this server instead of the embedded Valkey.")
@click.option("--grace", "grace_s", type=float, default=None, help="Seconds to drain after a signal. [default: 30]")
@clock_option
@click.option("--log-level", default=None, help="debug, info, warning or error. [default: info]")
@json_option
def dev(
    path: Path,
    parameters: tuple[str, ...],
    port: int | None,
    host: str | None,
    data_dir: Path | None,
    redis_url: str | None,
    grace_s: float | None,
    clock: str | None,
    log_level: str | None,
    as_json: bool,
) -> int:
    """Run a node with the project in PATH: nothing to install, nothing to configure.

    PATH is a folder or a file. Of a folder, the first of these declares the project: template.yaml (SAM or
    CloudFormation), serverless.yml, an eventrouter.toml with functions, app.py with an App; a folder without any runs
    an empty node. Functions run from their folders: a saved file means new environments, and a saved declaration is
    applied. Queued events, logs and what was created through the API are kept in the data directory until the next
    start. Ctrl-C drains and stops; a second Ctrl-C stops at once.
    """
    from eventrouter.cli.running import ProjectSource, start
    from eventrouter.project.discover import discover, read_project

    if not path.exists():
        raise click.UsageError(f"{path} is not there: PATH is a folder or a file")
    given = read_parameters(parameters)
    folder = (path if path.is_dir() else path.parent).absolute()
    notes = (_CDK,) if (folder / "cdk.json").is_file() else ()
    read = discover if path.is_dir() else read_project
    source = ProjectSource(read=lambda: read(path, parameters=given), folder=folder, follows=True)
    flags = {
        "dev": True,
        "port": port,
        "host": host,
        "data_dir": data_dir.absolute() if data_dir else None,
        "redis_url": redis_url,
        "grace_s": grace_s,
        "clock": clock,
        "log_level": log_level,
    }
    return start(flags, folder=folder, project=source, notes=notes, as_json=as_json)
