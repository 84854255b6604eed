"""The way to Redis: pipelining, repeats, cancellation, and what errors become."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from eventrouter.errors import IntakeRefused, StoreError, Unavailable
from eventrouter.store.connect import Scripts, make_client
from eventrouter.store.lua import SCRIPTS, Script, join
from eventrouter.testing.virtual import run_virtual, virtual_clock
from tests.store.worlds import FN, Server, World, an_event


class Answering:
    """A lane of a Redis that answers as a function says."""

    def __init__(self, answer: Callable[[int, bytes], Any]) -> None:
        self._answer = answer
        self.seen: list[bytes] = []

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        self.seen += commands
        return [self._answer(len(self.seen), command) for command in commands]

    async def close(self) -> None:
        return


async def call(lane: Answering, name: str, budget_s: float = 5.0) -> list[Any]:
    scripts = Scripts(lambda: lane, clock=virtual_clock(), random=Random(1))
    try:
        return await scripts.call(name, ["{er:a}:x"], ["1"], budget_s=budget_s)
    finally:
        await scripts.close()


@pytest.mark.unit
@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("reset"),
        RedisTimeoutError("slow"),
        OSError("gone"),
        ReadOnlyError("You can't write against a read only replica."),
    ],
)
def test_a_call_of_unknown_outcome_is_made_again_byte_for_byte(error: Exception) -> None:
    lane = Answering(lambda n, _: error if n < 4 else [b"OK"])

    assert run_virtual(call(lane, "host_beat")) == [b"OK"]

    assert len(lane.seen) == 4
    assert len(set(lane.seen)) == 1


@pytest.mark.unit
def test_a_call_gives_up_within_its_budget() -> None:
    lane = Answering(lambda *_: RedisConnectionError("refused"))

    async def scenario() -> float:
        with pytest.raises(Unavailable, match="refused"):
            await call(lane, "host_beat", budget_s=3.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) <= 3.0
    assert len(lane.seen) > 3


@pytest.mark.unit
@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ResponseError("MISCONF Errors writing to the AOF file"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError("BUSY Redis is busy running a script."),
    ],
)
def test_a_server_that_takes_nothing_refuses_intake_at_once_and_the_rest_after_the_budget(error: Exception) -> None:
    lane = Answering(lambda *_: error)
    with pytest.raises(IntakeRefused):
        run_virtual(call(lane, "events_put"))
    assert len(lane.seen) == 1

    with pytest.raises(Unavailable):
        run_virtual(call(lane, "events_settle"))


@pytest.mark.unit
def test_a_refusal_refuses_nothing_once_an_earlier_try_may_have_been_stored() -> None:
    full = OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")
    errors = iter([RedisConnectionError("the answer was lost")])
    lane = Answering(lambda *_: next(errors, full))

    with pytest.raises(Unavailable):
        run_virtual(call(lane, "events_put"))


@pytest.mark.unit
def test_an_error_of_the_script_itself_is_not_repeated() -> None:
    lane = Answering(lambda *_: ResponseError("WRONGTYPE"))

    with pytest.raises(StoreError, match="host_beat failed: WRONGTYPE"):
        run_virtual(call(lane, "host_beat"))
    assert len(lane.seen) == 1


@pytest.mark.unit
def test_an_unknown_script_is_loaded_and_called_again() -> None:
    lane = Answering(lambda n, command: NoScriptError("No matching script.") if n == 1 else [b"OK"])

    assert run_virtual(call(lane, "host_beat")) == [b"OK"]
    assert [b"LOAD" in command for command in lane.seen] == [False, True, False]


@pytest.mark.integration
def test_calls_survive_a_flush_of_the_script_cache(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.client.script_flush()
        for n in range(3):
            assert await world.store.events.put(an_event(f"e{n}"))
        await world.client.script_flush()
        assert await world.claim_ids("h1") != []

    server.run(scenario)


@pytest.mark.integration
def test_calls_of_one_moment_leave_as_one_pipeline(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        world.batches.clear()
        beats = (world.keys.installation("hosts"), world.keys.installation("beats"), world.keys.installation("rev"))

        answers = await asyncio.gather(
            *(world.store.scripts.call("host_beat", beats, ("h1", n)) for n in range(50)),
            world.store.scripts.command("PING"),
        )

        assert world.batches == [51]
        assert {answer[0] for answer in answers[:50]} == {b"OK"}
        assert answers[50] == b"PONG"

    server.run(scenario)


@pytest.mark.integration
def test_a_cancelled_caller_does_not_disturb_the_others(server: Server) -> None:
    async def scenario(world: World) -> None:
        async def echo(n: int) -> None:
            assert await world.store.scripts.command("ECHO", f"{n}") == str(n).encode()

        for turn in range(20):
            tasks = [asyncio.create_task(echo(n)) for n in range(30)]
            for _ in range(turn % 5):
                await asyncio.sleep(0)
            for task in tasks[::3]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
            assert results[1::3] == [None] * 10

    server.run(scenario)


@pytest.mark.integration
def test_a_put_whose_caller_is_cancelled_is_stored_whole_or_not_at_all(server: Server) -> None:
    async def scenario(world: World) -> None:
        for n in range(10):
            task = asyncio.create_task(world.store.events.put(an_event(f"e{n}")))
            for _ in range(n):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await world.store.scripts.command("PING")
        assert await world.audit() == []
        assert 0 < await world.store.events.depth(FN.key) <= 10

    server.run(scenario)


@pytest.mark.unit
def test_a_client_repeats_nothing_itself_and_gives_up_in_time() -> None:
    options = make_client("rediss://user:secret@redis.internal:6380/0?ssl_cert_reqs=none").connection_pool
    kwargs = options.connection_kwargs

    assert kwargs["retry"]._retries == 0
    assert (kwargs["socket_connect_timeout"], kwargs["socket_timeout"]) == (1.0, 5.0)
    assert kwargs["socket_keepalive"] is True
    assert (kwargs["username"], kwargs["password"], kwargs["port"]) == ("user", "secret", 6380)
    assert "socket_keepalive" not in make_client("unix:///run/valkey.sock").connection_pool.connection_kwargs


@pytest.mark.unit
def test_includes_are_replaced_in_place_and_marked_scripts_are_intake() -> None:
    text = join("a", {"a": "-- head\n--!intake\n--!include _b\nreturn 1", "_b": "local b = 1"})
    script = Script.of("a", text)

    assert text == "-- head\n--!intake\nlocal b = 1\nreturn 1\n"
    assert script.intake
    assert not Script.of("a", "return 1").intake


@pytest.mark.unit
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=lambda script: script.name)
def test_scripts_keep_the_house_rules(script: Script) -> None:
    code = [line.split("--")[0] for line in script.text.splitlines()]
    text = "\n".join(code)

    assert script.text.startswith(f"-- {script.name}: "), "the first line says what it does"
    assert "-- KEYS" in script.text
    assert "-- Answers" in script.text
    assert "error_reply" not in text
    if not script.name.startswith(("inbox_", "queue_", "log_", "shard_", "reader_", "lane_")):
        assert "EXPIRE" not in text, "only rubbish may expire, and these keep none"
    assert "cmsgpack" not in text
    assert not any(line.startswith(("function ", "#!")) for line in code)
