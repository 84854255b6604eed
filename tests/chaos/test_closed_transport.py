"""A connection that is cut while a command is about to be sent fails as a connection does, under uvloop too."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from eventrouter.store.connect import RedisLane, make_client, pack
from tests.chaos.servers import ValkeyProcess


@pytest.mark.parametrize("turns", range(8))
def test_a_lane_that_is_cut_at_any_moment_answers_with_an_error(valkey: ValkeyProcess, turns: int) -> None:
    async def scenario() -> object:
        client = make_client(valkey.url)
        lane = RedisLane(client.connection_pool)
        await lane.execute([pack(("PING",))])
        asking = asyncio.create_task(lane.execute([pack(("BLPOP", "nothing", 0.2))]))
        for _ in range(turns):
            await asyncio.sleep(0)
        lane.cut()
        [answer] = await asking
        await lane.close()
        await client.aclose()
        return answer

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer = runner.run(scenario())

    assert answer is None or isinstance(answer, RedisConnectionError | OSError)
