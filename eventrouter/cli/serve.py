"""`eventrouter serve`: a node for production, on a Redis or Valkey of yours."""

from __future__ import annotations

from pathlib import Path

import click

from eventrouter.cli.options import clock_option, json_option, parameter_option, read_parameters


@click.command()
@click.argument("project", required=False)
@parameter_option
@click.option(
    "--redis-url", default=None, help="URL of a server, of sentinels or of a cluster. [EVENTROUTER_REDIS_URL]"
)
@click.option("--port", type=int, default=None, help="Port of the API. [default: 4566]")
@click.option("--host", default=None, help="Address to listen on. [default: 127.0.0.1]")
@click.option("--advertise-url", default=None, help="URL under which other nodes and functions reach this node.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="Where code packages are kept.")
@click.option("--durability", default=None, help="memory, standard, strict or replicated: what a 202 promises.")
@click.option("--grace", "grace_s", type=float, default=None, help="Seconds to drain after a signal. [default: 30]")
@clock_option
@click.option("--log-level", default=None, help="debug, info, warning or error. [default: info]")
@json_option
def serve(
    project: str | None,
    parameters: tuple[str, ...],
    redis_url: str | None,
    port: int | None,
    host: str | None,
    advertise_url: str | None,
    data_dir: Path | None,
    durability: str | None,
    grace_s: float | None,
    clock: str | None,
    log_level: str | None,
    as_json: bool,
) -> int:
    """Run a node on your own Redis or Valkey; start as many as you like on the same one.

    PROJECT, such as app:app, app.py or template.yaml, is packaged and deployed before the node is ready; all nodes of
    one Redis run it. It refuses to start, with the reason and the fix, on a server that could lose events. SIGTERM
    drains within --grace; a second signal hands everything back at once.
    """
    from eventrouter.cli.running import ProjectSource, start

    given = read_parameters(parameters)
    source = None
    if project is not None:
        from eventrouter.project.discover import read_project

        path = Path(project)
        source = ProjectSource(read=lambda: read_project(path, parameters=given), folder=Path.cwd(), follows=False)
    elif given:
        raise click.UsageError("--parameter is a template's: name the template")
    flags = {
        "redis_url": redis_url,
        "port": port,
        "host": host,
        "advertise_url": advertise_url,
        "data_dir": data_dir.absolute() if data_dir else None,
        "durability": durability,
        "grace_s": grace_s,
        "clock": clock,
        "log_level": log_level,
    }
    return start(flags, folder=Path.cwd(), project=source, as_json=as_json, needs_redis=True)
