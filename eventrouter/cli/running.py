"""Run one node in this process until a signal: what `dev` and `serve` share."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventrouter.cli.banner import Banner
from eventrouter.clock import SystemClock
from eventrouter.errors import ConfigError

if TYPE_CHECKING:
    from eventrouter.node import Node
    from eventrouter.project.api import NodeApi
    from eventrouter.project.keeper import ProjectKeeper, Reading
    from eventrouter.project.model import Project
    from eventrouter.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSource:
    """What a node deploys into itself when it starts.

    `read` reads the project; it blocks, and returns None if nothing is declared. `follows`: functions run from their
    folders, and the project's files are read again when they are saved.
    """

    read: Callable[[], Project | None]
    folder: Path
    follows: bool


def start(
    flags: Mapping[str, Any],
    *,
    folder: Path,
    project: ProjectSource | None = None,
    notes: tuple[str, ...] = (),
    as_json: bool,
    needs_redis: bool = False,
) -> int:
    """Load the settings of `folder`, run a node, and return the exit code.

    The first SIGTERM or SIGINT drains: 0 follows. A second one hands everything back at once: 130 or 143 follows.
    Raises ConfigError, ProjectError and whatever keeps the node from starting.
    """
    started = SystemClock().monotonic()
    import uvloop

    from eventrouter.logging import configure_logging, get_logger
    from eventrouter.settings import load_settings

    settings, origins = load_settings(flags, cwd=folder, environ=os.environ)
    if needs_redis and settings.redis_url is None:
        raise ConfigError(
            "redis_url is not set: give --redis-url or EVENTROUTER_REDIS_URL (`eventrouter dev` brings its own server)"
        )
    configure_logging(settings)
    log = get_logger()
    for warning in origins.warnings:
        log.warning("setting.ignored", why=warning)
    return uvloop.run(_run(settings, started=started, source=project, notes=notes, as_json=as_json))


async def _run(
    settings: Settings, *, started: float, source: ProjectSource | None, notes: tuple[str, ...], as_json: bool
) -> int:
    from eventrouter.project.keeper import read_stamped

    read = None
    if source is not None:  # in a thread: while what a node is made of is imported
        read = asyncio.ensure_future(asyncio.to_thread(read_stamped, source.read, source.folder))
    from eventrouter.logging import get_logger
    from eventrouter.node import Node

    log = get_logger()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    caught: list[signal.Signals] = []
    reading = None if read is None else await read
    project = None if reading is None else reading.project

    async def prepare() -> None:
        if source is not None and project is not None:
            await _deploy(node, project, hot_reload=source.follows)

    node = Node(settings, prepare=prepare)

    def on_signal(received: signal.Signals) -> None:
        caught.append(received)
        stop.set()
        if len(caught) == 2:
            node.hand_back()

    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, on_signal, wanted)
    async with node, AsyncExitStack() as stack:
        if source is not None and reading is not None and source.follows:
            await stack.enter_async_context(_keeper(node, source, reading, as_json=as_json))
        gc.freeze()  # what start-up built stays: collections that walk it again make calls wait for 40 ms
        ready_ms = (SystemClock().monotonic() - started) * 1000
        banner = Banner.of(node, ready_ms=ready_ms, project=project, notes=notes)
        click.echo(banner.as_json() if as_json else banner.as_text())
        click.echo("Ready.")
        await stop.wait()
        log.info("node.draining", signal=caught[0].name, grace_s=settings.grace_s)
    log.info("node.stopped", at_once=len(caught) > 1)
    return 0 if len(caught) == 1 else 128 + caught[1]


async def _deploy(node: Node, project: Project, *, hot_reload: bool) -> None:
    """Have the node match its project."""
    from eventrouter.project.converge import converge

    await converge(project, _api(node, project), hot_reload=hot_reload, clock=node.clock)


def _keeper(node: Node, source: ProjectSource, reading: Reading, *, as_json: bool) -> ProjectKeeper:
    """Return what keeps the node in step with the project's files."""
    from eventrouter.project.keeper import ProjectKeeper

    return ProjectKeeper(
        reading=reading,
        folder=source.folder,
        read=source.read,
        api=lambda project: _api(node, project),
        clock=node.clock,
        log=node.log,
        tell=lambda line: click.echo(line, err=as_json),
    )


def _api(node: Node, project: Project) -> NodeApi:
    from eventrouter.project.api import NodeApi

    return NodeApi(node, account=project.account, region=project.region)
