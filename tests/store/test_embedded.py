"""The Valkey that a node brings along, and memory that is full."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventrouter.errors import IntakeRefused, Unavailable
from eventrouter.store import OutboxRecord, Settlement, make_client
from eventrouter.store.embedded import SOCKET_PATH_BYTES, Durability, EmbeddedValkey, socket_path
from tests.store.test_slots import a_function, take
from tests.store.worlds import FN, World, an_event, open_world

pytestmark = pytest.mark.integration
DEADLINE_S = 20.0


@contextlib.asynccontextmanager
async def running(data_dir: Path, durability: Durability = "standard") -> AsyncIterator[tuple[EmbeddedValkey, World]]:
    async with EmbeddedValkey(data_dir, durability, maxmemory=64 * 1024 * 1024) as valkey:
        client = make_client(valkey.url)
        world = await open_world(client)
        try:
            yield valkey, world
        finally:
            await world.store.close()
            await client.aclose()


async def wait_gone(pid: int) -> None:
    """Wait until a process has ended (a zombie has)."""
    async with asyncio.timeout(DEADLINE_S):
        while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
            await asyncio.sleep(0.01)


def test_the_server_listens_for_its_user_only_and_leaves_no_socket_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "data") as (valkey, world):
            assert valkey.url == f"unix://{tmp_path}/data/valkey.sock"
            assert stat.S_IMODE(valkey.socket.stat().st_mode) == 0o700
            config = await world.client.config_get("appendonly", "appendfsync", "maxmemory-policy", "save", "port")
            assert config == {
                "appendonly": "yes",
                "appendfsync": "everysec",
                "maxmemory-policy": "noeviction",
                "save": "",
                "port": "0",
            }
        assert not valkey.socket.exists()
        assert valkey.pid is None
        async with running(tmp_path / "data", "strict") as (_, world):
            assert await world.client.config_get("appendfsync") == {"appendfsync": "always"}

    asyncio.run(scenario())


def test_accepted_events_survive_a_killed_server_and_calls_resume(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (valkey, world):
            await world.join("h1")
            for n in range(50):
                await world.store.events.put(an_event(f"e{n}"))
            assert valkey.pid is not None
            os.kill(valkey.pid, signal.SIGKILL)
            waiting = asyncio.create_task(world.store.events.put(an_event("during")))
            await wait_gone(valkey.pid)
            await valkey.__aexit__(None, None, None)
            async with EmbeddedValkey(tmp_path, "standard", maxmemory=64 * 1024 * 1024):
                assert await waiting
                assert len(await world.claim("h1")) == 51
                assert await world.audit() == []

    asyncio.run(scenario())


def test_a_second_node_waits_until_the_directory_is_free(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = EmbeddedValkey(tmp_path, "memory")
        second = EmbeddedValkey(tmp_path, "memory")
        await first.__aenter__()
        waiting = asyncio.create_task(second.__aenter__())
        client = make_client(first.url)
        assert await client.ping()
        assert not waiting.done()
        await client.aclose()
        await first.__aexit__(None, None, None)

        async with asyncio.timeout(DEADLINE_S):
            await waiting
        await second.__aexit__(None, None, None)

    asyncio.run(scenario())


def test_the_server_ends_with_a_node_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from eventrouter.store.embedded import EmbeddedValkey\n"
        "async def main():\n"
        "    async with EmbeddedValkey(pathlib.Path(sys.argv[1]), 'standard') as valkey:\n"
        "        print(valkey.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )

    async def scenario() -> None:
        node = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert node.stdout is not None
        pid = int(await node.stdout.readline())
        node.kill()
        await node.wait()

        async with running(tmp_path) as (valkey, _):
            assert valkey.pid != pid
            await wait_gone(pid)

    asyncio.run(scenario())


def test_a_server_that_does_not_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broken = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    broken.parent.mkdir()
    broken.write_text("not a manifest\n")

    async def scenario() -> None:
        with pytest.raises(Unavailable, match="(?s)Valkey ended with status 1.*valkey.log.*manifest"):
            await EmbeddedValkey(tmp_path, "standard").__aenter__()
        broken.unlink()
        async with running(tmp_path):
            pass

    asyncio.run(scenario())


def test_a_long_data_directory_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)

    async def scenario() -> None:
        async with running(deep) as (valkey, world):
            assert len(os.fsencode(valkey.socket)) <= SOCKET_PATH_BYTES
            assert deep not in valkey.socket.parents
            assert await world.client.ping()
        assert not valkey.socket.exists()

    asyncio.run(scenario())
    assert socket_path(tmp_path / "x") == tmp_path / "x" / "valkey.sock"
    assert socket_path(deep) == socket_path(deep) != socket_path(deep / "f")


def test_with_memory_full_only_intake_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, "memory") as (_, world):
            store = world.store
            await world.join("h1", "h2")
            await world.put("e1", "e2", "e3", "e4", "e5")
            known = await store.functions.put(a_function(), account_limit=1_000, minimum_unreserved=100)
            claims = await world.claim("h1", limit=3)
            await take(world, "h1", ["t1"])
            await world.client.config_set("maxmemory", 1)

            with pytest.raises(IntakeRefused):
                await store.events.put(an_event("e9"))
            with pytest.raises(IntakeRefused):
                await store.functions.put(a_function(revision=known.revision), account_limit=10, minimum_unreserved=0)

            settlements = [
                Settlement(claim=claims[0], action="done", records=(OutboxRecord(id="r1", payload=b"x"),)),
                Settlement(claim=claims[1], action="retry", delay_ms=1_000, last_response=b"error"),
            ]
            assert await store.events.settle("h1", world.partition, settlements) == [True, True]
            assert [claim.id for claim in await world.claim("h2", limit=1)] == ["e4"]
            assert await take(world, "h2", ["t2"]) == [None]
            await world.join("h3")
            await store.hosts.beat("h2", 1)
            await store.events.due_all()
            await store.events.hold(FN.key, 1_000)
            await store.events.unhold(FN.key)
            assert await store.hosts.bury("h1", 0)
            assert await store.hosts.reap("h1") == 1
            store.slots.drop("h2", FN.key, "t2")
            await store.slots.drained()
            assert await store.functions.delete(FN)
            assert await world.audit() == []

            await world.client.config_set("maxmemory", 64 * 1024 * 1024)
            assert await store.events.put(an_event("e9"))

    asyncio.run(scenario())
