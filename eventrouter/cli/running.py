"""Run one node in this process until a signal: what `dev` and `serve` share."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventrouter.cli.banner import Banner
from eventrouter.clock import SystemClock
from eventrouter.errors import ConfigError

if TYPE_CHECKING:
    from eventrouter.settings import Settings


def start(
    flags: Mapping[str, Any],
    *,
    folder: Path,
    notes: tuple[str, ...] = (),
    as_json: bool,
    needs_redis: bool = False,
) -> int:
    """Load the settings of `folder`, run a node, and return the exit code.

    The first SIGTERM or SIGINT drains: 0 follows. A second one hands everything back at once: 130 or 143 follows.
    Raises ConfigError and whatever keeps the node from starting.
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
    return uvloop.run(_run(settings, started=started, notes=notes, as_json=as_json))


async def _run(settings: Settings, *, started: float, notes: tuple[str, ...], as_json: bool) -> int:
    from eventrouter.logging import get_logger
    from eventrouter.node import Node

    log = get_logger()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    caught: list[signal.Signals] = []
    node = Node(settings)

    def on_signal(received: signal.Signals) -> None:
        caught.append(received)
        stop.set()
        if len(caught) == 2:
            node.hand_back()

    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, on_signal, wanted)
    async with node:
        gc.freeze()  # what start-up built stays: collections that walk it again make calls wait for 40 ms
        ready_ms = (SystemClock().monotonic() - started) * 1000
        banner = Banner.of(node, ready_ms=ready_ms, notes=notes)
        click.echo(banner.as_json() if as_json else banner.as_text())
        click.echo("Ready.")
        await stop.wait()
        log.info("node.draining", signal=caught[0].name, grace_s=settings.grace_s)
    log.info("node.stopped", at_once=len(caught) > 1)
    return 0 if len(caught) == 1 else 128 + caught[1]
