"""Whatever a function does to its batches: no message is lost, groups keep their order, and nobody holds a thing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventrouter.testing.virtual import run_virtual
from tests.planes.queue_world import ARN, HOST, a_queue_world
from tests.planes.world import INCARNATION

pytestmark = pytest.mark.property


@dataclass
class Moody:
    """A function that fails, reports and runs as long as its dice say; it notes what it has accepted."""

    random: Random
    ids: dict[str, str] = field(default_factory=dict)
    failing: float = 0.5
    accepted: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def behave(self, bodies: list[Any]) -> Any:
        throw = self.random.random()
        if throw < self.failing / 2:
            raise ValueError("a bad day")
        refused: set[str] = set()
        reported = []
        for body in bodies:
            group, number = body.split("-")
            if group in refused or self.random.random() < self.failing / 2:
                refused.add(group)  # as a function of a FIFO queue must: nothing behind a failure of its group
                reported.append({"itemIdentifier": self.ids[body]})
            else:
                self.accepted[group].append(int(number))
        return {"batchItemFailures": reported}


@settings(max_examples=20, deadline=None)
@example(seed=3, messages=50, groups=1, batch_size=1, nodes=1, maximum_concurrency=None, is_fifo=True)
@given(
    seed=st.integers(0, 2**32),
    messages=st.integers(1, 60),
    groups=st.integers(1, 5),
    batch_size=st.integers(1, 10),
    nodes=st.integers(1, 3),
    maximum_concurrency=st.none() | st.integers(2, 6),
    is_fifo=st.booleans(),
)
def test_every_message_is_accepted_once_and_in_the_order_of_its_group(
    seed: int,
    messages: int,
    groups: int,
    batch_size: int,
    nodes: int,
    maximum_concurrency: int | None,
    is_fifo: bool,
):
    async def scenario() -> None:
        async with a_queue_world(is_fifo=is_fifo, visibility_s=30) as world:
            moody = Moody(Random(seed))
            seconds = seed % 4
            worked, function = await world.worked(moody.behave, seconds=seconds)
            names = [INCARNATION, *(f"host-{number}" for number in range(2, nodes + 1))]
            for name in names[1:]:
                await world.node(name)
            for name in names:
                world.planes[name].see({other: HOST for other in names if other != name})
            mapping = await world.mapping(
                function,
                batch_size=batch_size,
                reports_item_failures=True,
                maximum_concurrency=maximum_concurrency,
            )
            for number in range(messages):
                group = f"g{moody.random.randrange(groups)}"
                body = f"{group}-{number}"
                [moody.ids[body]] = world.queues.send(ARN, body, group=group if is_fifo else "")
                if moody.random.random() < 0.2:
                    await world.run(moody.random.random() * 5)
            await world.run(300)
            moody.failing = 0.0
            await world.run(100 + messages * (seconds + 1))  # one group of single messages is the slowest way

            accepted = moody.accepted.values()
            assert sorted(number for group in accepted for number in group) == [*range(messages)]
            assert world.queues.bodies(ARN) == []
            if is_fifo:
                assert all(group == sorted(group) for group in accepted)
                assert worked.most_at_once <= groups
            if maximum_concurrency is not None:
                assert worked.most_at_once <= maximum_concurrency
            for name in names:
                worker = world.planes[name].worker(mapping.uuid)
                assert worker is None or (worker.parts.held_bytes, worker.pollers) == (0, 1)

    run_virtual(scenario())
