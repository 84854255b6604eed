"""Deployments: Pending becomes Active, updates become Successful, and code reaches every node before it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import io
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import uuid4

import fakeredis
import pytest

from eventrouter.clock import SystemClock
from eventrouter.logging import get_logger
from eventrouter.metrics import Metrics
from eventrouter.planes.deployments import Deployments
from eventrouter.planes.loops import Loops
from eventrouter.rules.function import Function, LoggingConfig, State, UpdateStatus
from eventrouter.rules.names import FunctionName
from eventrouter.runtime.packages import Packages
from eventrouter.store import Store, open_store, redis_lanes

pytestmark = pytest.mark.integration

NAME = FunctionName(account="000000000000", region="us-east-1", name="orders")
DEADLINE_S = 10


def a_zip(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", text)
    return buffer.getvalue()


async def nobody_has_it(sha256: str) -> bytes | None:
    return None


@contextlib.asynccontextmanager
async def a_node(server: fakeredis.FakeServer, packages: Packages) -> AsyncIterator[tuple[Store, Deployments]]:
    clock = SystemClock()
    client = fakeredis.FakeAsyncRedis(server=server)
    store = await open_store(redis_lanes(client), prefix="er", partitions=1, clock=clock, random=Random(1))
    loops = Loops(clock=clock, metrics=Metrics(), log=get_logger(), give_up=pytest.fail)
    deployments = Deployments(
        functions=store.functions, packages=packages, loops=loops, log=get_logger(), new_id=uuid4, account_limit=1_000
    )
    async with loops, deployments:
        yield store, deployments
    await store.close()


async def put(store: Store, function: Function) -> Function:
    return await store.functions.put(function, account_limit=1_000, minimum_unreserved=100)


async def a_pending_function(store: Store, packages: Packages, text: str = "a = 1") -> Function:
    return await put(
        store,
        Function(
            name=NAME,
            runtime="python3.11",
            handler="app.handler",
            role="arn:aws:iam::000000000000:role/r",
            code=await packages.add(a_zip(text)),
            logging=LoggingConfig(group="/aws/lambda/orders"),
            last_modified_ms=0,
            revision_id="first",
        ),
    )


async def until(store: Store, holds: Callable[[Function], bool]) -> Function:
    """Wait for a change of the function's record after which `holds`."""
    changed = asyncio.Event()
    store.functions.on_change(lambda name, function: changed.set())
    async with asyncio.timeout(DEADLINE_S):
        while not holds(function := store.functions.get(NAME)):  # type: ignore[arg-type]  # it exists throughout
            changed.clear()
            await changed.wait()
    assert function is not None
    return function


def test_a_new_function_becomes_active_with_a_new_revision_id(tmp_path: Path) -> None:
    async def main() -> None:
        packages = Packages(tmp_path, nobody_has_it)
        async with a_node(fakeredis.FakeServer(), packages) as (store, deployments):
            await deployments.begin(await a_pending_function(store, packages))

            function = await until(store, lambda function: function.state is State.ACTIVE)

            assert function.last_update_status is UpdateStatus.SUCCESSFUL
            assert function.revision_id != "first"

    asyncio.run(main())


def test_the_previous_code_runs_while_an_update_is_under_way(tmp_path: Path) -> None:
    async def main() -> None:
        packages = Packages(tmp_path, nobody_has_it)
        async with a_node(fakeredis.FakeServer(), packages) as (store, deployments):
            await deployments.begin(await a_pending_function(store, packages))
            before = await until(store, lambda function: function.state is State.ACTIVE)
            update = replace(
                before,
                code=await packages.add(a_zip("a = 2")),
                generation=2,
                last_update_status=UpdateStatus.IN_PROGRESS,
            )

            begun = await put(store, update)
            assert store.functions.runnable(NAME) == before
            await deployments.begin(begun)
            after = await until(store, lambda function: function.last_update_status is UpdateStatus.SUCCESSFUL)

            assert after.code == update.code
            assert store.functions.runnable(NAME) == after

    asyncio.run(main())


def test_a_node_that_starts_finishes_what_another_left_pending(tmp_path: Path) -> None:
    async def main() -> None:
        server = fakeredis.FakeServer()
        packages = Packages(tmp_path / "one", nobody_has_it)
        async with a_node(server, packages) as (store, _):
            await a_pending_function(store, packages)

        async def from_the_first(sha256: str) -> bytes | None:
            return packages.read(sha256)

        async with a_node(server, Packages(tmp_path / "two", from_the_first)) as (store, _):
            await until(store, lambda function: function.state is State.ACTIVE)

    asyncio.run(main())


def test_new_code_is_fetched_before_it_is_used(tmp_path: Path) -> None:
    async def main() -> None:
        server = fakeredis.FakeServer()
        first = Packages(tmp_path / "one", nobody_has_it)
        fetched = asyncio.Event()

        async def from_the_first(sha256: str) -> bytes | None:
            fetched.set()
            return await asyncio.to_thread(first.read, sha256)

        second = Packages(tmp_path / "two", from_the_first)
        async with a_node(server, first) as (one, deployments), a_node(server, second) as (two, _):
            await deployments.begin(await a_pending_function(one, first))
            active = await until(one, lambda function: function.state is State.ACTIVE)
            await two.functions.refresh()

            async with asyncio.timeout(DEADLINE_S):
                await fetched.wait()
                while not second.has(active.code):
                    await asyncio.sleep(0)

    asyncio.run(main())
