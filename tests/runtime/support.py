"""What the runtime's tests share: functions with code on disk, a runtime over them, and waiting for conditions."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from eventrouter.clock import SystemClock
from eventrouter.ports import Lease
from eventrouter.rules.function import Code, Function, LoggingConfig
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName, FunctionReference
from eventrouter.rules.outcome import FunctionFailed, Run, Succeeded
from eventrouter.runtime.environment import Environment
from eventrouter.runtime.facts import NodeFacts
from eventrouter.runtime.pool import Runtime
from eventrouter.settings import Settings

DEADLINE_S = 10.0
_numbers = count(1)


class Directories:
    """Code that lies unpacked on disk."""

    async def directory(self, code: Code) -> Path:
        assert code.directory is not None
        return Path(code.directory)


def a_name(name: str = "fn") -> FunctionName:
    return FunctionName(account="111122223333", region="eu-west-1", name=name)


def a_function(folder: Path, source: str, *, name: str = "fn", **fields: Any) -> Function:
    """A function `index.handler` with this source, in a directory of its own below `folder`."""
    code = folder / f"code-{next(_numbers)}"
    code.mkdir()
    (code / "index.py").write_text(textwrap.dedent(source))
    defaults: dict[str, Any] = {
        "handler": "index.handler",
        "runtime": "python3.12",
        "role": "arn:aws:iam::111122223333:role/r",
        "logging": LoggingConfig(group=f"/aws/lambda/{name}"),
        "timeout_s": 10,
        "last_modified_ms": 0,
        "revision_id": "r",
    }
    return Function(
        name=a_name(name),
        code=Code(sha256="0" * 64, size_bytes=1, directory=str(code)),
        **{**defaults, **fields},
    )


def an_invocation(event: object = None, *, name: str = "fn", **fields: Any) -> Invocation:
    return Invocation(
        request_id=f"00000000-0000-4000-8000-{next(_numbers):012d}",
        reference=FunctionReference(function=a_name(name)),
        payload=json.dumps(event).encode(),
        **fields,
    )


@asynccontextmanager
async def a_runtime(folder: Path, *, observed: list[Run] | None = None, **fields: Any) -> AsyncIterator[Runtime]:
    settings = {key: fields.pop(key) for key in ("max_environments", "environment_idle_s") if key in fields}
    runtime = Runtime(
        settings=Settings(data_dir=folder / "data", **settings),
        clock=SystemClock(),
        packages=fields.pop("packages", None) or Directories(),
        node=NodeFacts(endpoint_url=lambda: "http://127.0.0.1:4566"),
        observe=lambda invocation, run: observed.append(run) if observed is not None else None,
        **fields,
    )
    async with runtime:
        yield runtime


class Results:
    """Gathers the runs of one lease in the order in which they are done."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.runs: dict[str, Run] = {}

    def submit(self, *events: object) -> list[Invocation]:
        invocations = [an_invocation(event) for event in events]
        for invocation in invocations:
            self.submit_one(invocation)
        return invocations

    def submit_one(self, invocation: Invocation) -> None:
        def done(run: Run) -> None:
            assert invocation.request_id not in self.runs, "done twice"
            self.runs[invocation.request_id] = run

        self.lease.submit(invocation, done)

    async def of(self, invocations: list[Invocation]) -> list[Run]:
        wanted = [invocation.request_id for invocation in invocations]
        await until(lambda: all(each in self.runs for each in wanted), "all invocations are done")
        return [self.runs[each] for each in wanted]


async def invoke(lease: Lease, *events: object) -> list[Run]:
    results = Results(lease)
    return await results.of(results.submit(*events))


async def invoke_one(lease: Lease, event: object = None) -> Run:
    return (await invoke(lease, event))[0]


def answer(run: Run) -> Any:
    assert isinstance(run.outcome, Succeeded), run
    return json.loads(run.outcome.payload)


def failure_of(run: Run) -> Any:
    assert isinstance(run.outcome, FunctionFailed), run
    return json.loads(run.outcome.payload)


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; the deadline names what did not come."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not in {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.005)


def tmp_of(environment: Environment) -> Path:
    """The environment's /tmp, as the host sees it."""
    return environment.folder / "tmp"


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}
