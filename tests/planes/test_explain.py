"""Explanations: the past of all nodes, the present and the future from the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from eventrouter.journal import Journal
from eventrouter.planes.explain import Explainer, Explanation, History
from eventrouter.planes.standing import FILTERED, RESOLVED, Standings
from eventrouter.rules.explain import Rule
from eventrouter.rules.function import EventInvokeConfig
from eventrouter.rules.scheduled_rule import RuleName, ScheduledRule
from eventrouter.store.queues import NewMessage, QueueName, QueueSettings
from eventrouter.testing.virtual import run_virtual
from tests.planes.queue_world import a_queue_world
from tests.planes.stream_world import ARN, StreamWorld, a_stream_world
from tests.planes.test_events import failing
from tests.planes.world import ACCOUNT, INCARNATION, REGION, World, a_world, queue_arn

pytestmark = pytest.mark.integration

SHARD = "shardId-000000000000"
AUDIT = queue_arn("audit")


class Nodes:
    """The other nodes of an installation, by what they know."""

    def __init__(self, *explainers: Explainer, silent: Sequence[str] = ()) -> None:
        self.explainers = explainers
        self.silent = silent

    async def ask(self, subjects: Sequence[str]) -> tuple[list[History], Sequence[str]]:
        return [explainer.history(subjects) for explainer in self.explainers], self.silent


def an_explainer(
    world: World, *, sources: Any = None, others: Nodes | None = None, journal: Journal | None = None
) -> Explainer:
    standings = Standings(
        store=world.store, sources=sources or {}, clock=world.clock, region=REGION, retry_base_ms=60_000
    )
    return Explainer(
        journal=journal or world.journal,
        node=lambda: INCARNATION if journal is None else "host-2",
        standings=standings,
        ask=(others or Nodes()).ask,
    )


async def explained(explainer: Explainer, subject: str) -> Explanation:
    explanation = await explainer.explain(subject)
    assert explanation is not None
    return explanation


def steps(explanation: Explanation) -> list[str]:
    return [each.step.value for each in explanation.history]


def ahead(explanation: Explanation, world: World) -> list[tuple[int | None, str]]:
    """Return what is to come, in seconds from now."""
    now = world.clock.now_ms()
    return [
        (None if each.at_ms is None else round((each.at_ms - now) / 1_000), each.text) for each in explanation.ahead
    ]


def test_an_event_that_waits_for_its_retry_tells_past_present_and_future() -> None:
    async def scenario() -> None:
        async with a_world() as world:
            config = EventInvokeConfig(on_failure=AUDIT)
            request_id = await world.send(await world.function(failing(9), config=config))
            await world.run(10)

            told = await explained(an_explainer(world), request_id)

            assert (told.kind, told.now) == ("event", "waits for attempt 2 of 3 of orders")
            assert steps(told) == ["accepted", "invoked", "failed", "scheduled"]
            assert ahead(told, world) == [
                (50, "attempt 2 of 3 is due"),
                (None, "if attempt 2 fails, attempt 3 of 3 follows 120 s later"),
                (21_590, "given up, unless it has succeeded by then"),
                (None, f"given up, it goes to {AUDIT}"),
            ]
            assert told.notes == ["Counted by the store: claims by nodes 1, function errors 1."]

    run_virtual(scenario())


def test_an_event_is_explained_from_the_store_when_every_node_has_forgotten_it() -> None:
    async def scenario() -> None:
        async with a_world() as world:
            request_id = await world.send(await world.function(failing(9)))
            await world.run(10)

            told = await explained(an_explainer(world, journal=Journal(world.clock, limit=None)), request_id)

            assert told.history == []
            assert told.now == "waits for attempt 2 of 3 of orders"
            assert "function errors 1" in told.notes[0]

    run_virtual(scenario())


def test_an_event_that_runs_says_where() -> None:
    async def scenario() -> None:
        async with a_world() as world:

            async def handler(event: Any, invocation: Any) -> None:
                await world.clock.sleep(20)

            request_id = await world.send(await world.function(handler, timeout_s=60))
            await world.run(10)

            told = await explained(an_explainer(world), request_id)

            assert told.now == f"attempt 1 of 3 of orders runs, or is about to, on node {INCARNATION}"
            assert told.ahead[0].text == "if attempt 1 fails, attempt 2 of 3 follows 60 s later"

    run_virtual(scenario())


def test_an_event_that_is_over_tells_its_history_and_that_nothing_is_stored() -> None:
    async def scenario() -> None:
        async with a_world() as world:
            request_id = await world.send(await world.function(failing(0)))
            await world.run(10)

            told = await explained(an_explainer(world), request_id)

            assert told.kind == "invocation"
            assert told.now.endswith("succeeded is the last that is known")
            assert told.ahead == ()

    run_virtual(scenario())


def test_an_event_whose_record_cannot_be_delivered_yet_tells_when_it_is_tried() -> None:
    async def scenario() -> None:
        async with a_world(failures=3) as world:
            config = EventInvokeConfig(on_success=AUDIT)
            request_id = await world.send(await world.function(failing(0), config=config))
            await world.run(1.5)

            told = await explained(an_explainer(world), request_id)

            assert told.now == "over; what tells of its end is on its way"
            assert [text for _, text in ahead(told, world)] == ["delivered to its target, after 2 tries so far"]

    run_virtual(scenario())


def test_a_throttled_function_tells_until_when_it_is_held_back() -> None:
    async def scenario() -> None:
        async with a_world() as world:

            async def handler(event: Any, invocation: Any) -> None:
                await world.clock.sleep(30)

            function = await world.function(handler, reserved_concurrency=1, timeout_s=60)
            running = await world.sync_in_background(function)
            request_id = await world.send(function)
            await world.run(0.5)

            for subject in ("orders", function.name.key, function.name.arn()):
                told = await explained(an_explainer(world), subject)
                assert told.kind == "function"
                assert told.now == "throttled: no concurrency slot was free; 1 asynchronous events wait"
                assert [each.step.value for each in told.history] == ["scheduled"]
                [(seconds, _)] = ahead(told, world)
                assert seconds in {0, 1}
            told = await explained(an_explainer(world), request_id)
            assert "the function is held back until then" in told.ahead[0].text
            await running

    run_virtual(scenario())


def test_nobody_knows_what_never_was() -> None:
    async def scenario() -> None:
        async with a_world() as world:
            for subject in ("nothing", "shard-0:12", "uuid/shard-0:12", "arn:aws:sqs:us-east-1:1:q", "a:b:c", "::"):
                assert await an_explainer(world).explain(subject) is None

    run_virtual(scenario())


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_schedule_tells_when_it_fires_next_if_it_does(is_enabled: bool) -> None:
    async def scenario() -> None:
        async with a_world() as world:
            name = RuleName(account=ACCOUNT, region=REGION, name="nightly")
            rule = ScheduledRule(
                name=name,
                expression="rate(5 minutes)",
                generation="g",
                anchored_at_ms=world.clock.now_ms(),
                is_enabled=is_enabled,
            )
            await world.store.schedules.catalogue.put(rule)
            await world.run(60)

            told = await explained(an_explainer(world), name.arn)

            assert (told.kind, told.now) == ("schedule", f"{'en' if is_enabled else 'dis'}abled: rate(5 minutes)")
            assert ahead(told, world) == ([(240, "fires, for 0 targets")] if is_enabled else [])

    run_virtual(scenario())


# Several nodes.


def test_histories_of_all_nodes_are_merged_in_order_and_what_one_knows_leads_to_another() -> None:
    async def scenario() -> None:
        async with a_world() as world:
            here, there = Journal(world.clock, limit=None), Journal(world.clock, limit=None)
            here.note("mapping/shard-0", Rule.SHARD_RETRIES_EXHAUSTED, {}, ("parcel",), ("shard-0:7",))
            await world.run(1)
            there.note("parcel", Rule.ON_FAILURE_SENT)
            await world.run(1)
            here.note("mapping/shard-0", Rule.SKIPPED, {}, (), ("shard-0:7",))
            other = Explainer(journal=there, node=lambda: "host-9", standings=None, ask=Nodes().ask)  # type: ignore[arg-type]

            told = await explained(an_explainer(world, journal=here, others=Nodes(other)), "mapping/shard-0:7")

            assert [(each.node, each.step.value) for each in told.history] == [
                ("host-2", "gave_up"),
                ("host-9", "on_failure_sent"),
                ("host-2", "skipped"),
            ]

    run_virtual(scenario())


def test_nodes_that_do_not_answer_and_decisions_that_are_forgotten_are_said() -> None:
    async def scenario() -> None:
        async with a_world() as world:
            journal = Journal(world.clock, limit=2)
            for _ in range(5):
                journal.note("e1", Rule.ACCEPTED)

            told = await explained(
                an_explainer(world, journal=journal, others=Nodes(silent=["http://10.0.0.7:4566"])), "e1"
            )

            assert len(told.history) == 2
            assert told.notes == [
                "Node http://10.0.0.7:4566 did not answer: what it did is missing here.",
                "Nodes remember their newest decisions only: 3 earlier ones are forgotten.",
            ]

    run_virtual(scenario())


# Streams.


async def a_blocked_shard(world: StreamWorld, **settings: Any) -> tuple[Any, list[str]]:
    def behave(values: list[Any]) -> None:
        if "poison" in values:
            raise ValueError("poison")

    _, function = await world.recorder(behave)
    mapping = await world.mapping(function, batch_size=1, **settings)
    sequences = world.streams.put(ARN, "good", "poison", "behind")
    await world.run(20)
    return mapping, sequences


def test_a_blocked_shard_tells_its_next_try_and_its_limits() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            mapping, _ = await a_blocked_shard(
                world, maximum_retry_attempts=9, maximum_record_age_s=600, on_failure=AUDIT
            )
            explainer = an_explainer(world.base, sources=world.sources)

            told = await explained(explainer, f"{mapping.uuid}/{SHARD}")

            assert told.kind == "shard"
            assert told.now.startswith("blocked: Function call failed")
            assert [text for _, text in ahead(told, world.base)] == [
                "the batch that blocks the shard is tried again",
                "4 of 9 retries left, then its records are given up",
                "its first record is too old, and is given up",
                f"what tells of given-up records goes to {AUDIT}",
            ]
            [(next_try_s, _), _, (expires_s, _), _] = ahead(told, world.base)
            assert next_try_s is not None
            assert 0 < next_try_s <= 12
            assert expires_s == 580
            whole = await explained(explainer, mapping.uuid)
            assert whole.now.endswith("1 of 1 shards are blocked")

    run_virtual(scenario())


def test_each_record_of_a_blocked_shard_tells_where_it_is() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            mapping, [good, poison, behind] = await a_blocked_shard(world)
            explainer = an_explainer(world.base, sources=world.sources)

            async def now(subject: str) -> str:
                return (await explained(explainer, subject)).now

            assert (await now(f"{SHARD}:{good}")).startswith(RESOLVED)
            assert (await now(f"{SHARD}:{poison}")).startswith("in a batch that is to be tried again, tried 5 times")
            told = await explained(explainer, f"{mapping.uuid}/{SHARD}:{behind}")
            assert told.now.startswith(f"waits behind the checkpoint {good}")
            assert told.ahead[0].text == "the batch that blocks the shard is tried again"
            later = str(int(behind) + 1)
            assert (await now(f"{SHARD}:{later}")).startswith("not in the shard")

    run_virtual(scenario())


def test_a_record_that_was_filtered_says_so_also_when_the_journal_has_forgotten() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder()
            await world.mapping(function, filters=('{"data": {"n": [1]}}',))
            [kept, left] = world.streams.put(ARN, {"n": 1}, {"n": 2})
            await world.run(5)
            explainer = an_explainer(world.base, sources=world.sources, journal=Journal(world.base.clock, limit=None))

            assert (await explained(explainer, f"{SHARD}:{kept}")).now.startswith(RESOLVED)
            assert (await explained(explainer, f"{SHARD}:{left}")).now.startswith(FILTERED)

    run_virtual(scenario())


# Messages.


def test_a_message_tells_when_it_comes_back_and_how_many_receives_are_left() -> None:
    async def scenario() -> None:
        async with a_world() as world:
            name = QueueName(account=ACCOUNT, region=REGION, name="work")
            settings = QueueSettings(max_receive_count=3, dead_letter_target=AUDIT, visibility_ms=30_000)
            await world.store.queues.create(name, settings)
            message = NewMessage(id=world.store.queues.new_id(), body=b"{}", size_bytes=2, sender="me")
            await world.store.queues.send(name, message)
            explainer = an_explainer(world)

            assert (await explained(explainer, message.id)).now == "visible in work"
            await world.store.queues.receive(name, limit=1)
            told = await explained(explainer, message.id)

            assert (told.kind, told.now) == ("message", "hidden in work")
            assert ahead(told, world)[:2] == [
                (30, "visible again, unless it is deleted or hidden anew before"),
                (None, f"received 1 times, 2 more allowed; then it goes to {AUDIT}"),
            ]
            assert told.notes == ["Counted by the store: receives 1."]

    run_virtual(scenario())


def test_a_mapping_of_a_queue_tells_what_it_feeds() -> None:
    async def scenario() -> None:
        async with a_queue_world() as world:
            _, function = await world.worked()
            mapping = await world.mapping(function)

            told = await explained(an_explainer(world.base), mapping.uuid)

            assert told.now == f"Enabled: {mapping.source_arn} feeds orders"

    run_virtual(scenario())


def test_an_event_of_a_deleted_function_says_that_it_will_be_dropped() -> None:
    async def scenario() -> None:
        async with a_world() as world:
            function = await world.function(failing(9))
            request_id = await world.send(function)
            await world.run(1)
            await world.store.functions.delete(function.name)

            assert "does not exist" in (await explained(an_explainer(world), request_id)).now

    run_virtual(scenario())
