"""`eventrouter dev`: a node for one's own machine, with a server of its own."""

from __future__ import annotations

from pathlib import Path

import click

from eventrouter.cli.options import json_option

_NOT_READ = ("template.yaml", "template.yml", "serverless.yml", "serverless.yaml", "cdk.json")


@click.command()
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--port", type=int, default=None, help="Port of the API; 0 picks a free one. [default: 4566]")
@click.option("--host", default=None, help="Address to listen on. [default: 127.0.0.1]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=None, help="Where data is kept. [default: PATH/.eventrouter]"
)
@click.option("--redis-url", default=None, help="Use this server instead of the embedded Valkey.")
@click.option("--grace", "grace_s", type=float, default=None, help="Seconds to drain after a signal. [default: 30]")
@click.option("--log-level", default=None, help="debug, info, warning or error. [default: info]")
@json_option
def dev(
    path: Path,
    port: int | None,
    host: str | None,
    data_dir: Path | None,
    redis_url: str | None,
    grace_s: float | None,
    log_level: str | None,
    as_json: bool,
) -> int:
    """Run a node in the project folder PATH: nothing to install, nothing to configure.

    Functions, queued events and logs are kept in the data directory until the next start. Ctrl-C drains and stops;
    a second Ctrl-C stops at once.
    """
    from eventrouter.cli.running import start

    notes = tuple(
        f"{name} is not read by this release: create functions through the API (boto3, aws lambda create-function)"
        for name in _NOT_READ
        if (path / name).is_file()
    )
    flags = {
        "dev": True,
        "port": port,
        "host": host,
        "data_dir": data_dir.absolute() if data_dir else None,
        "redis_url": redis_url,
        "grace_s": grace_s,
        "log_level": log_level,
    }
    return start(flags, folder=path.absolute(), notes=notes, as_json=as_json)
