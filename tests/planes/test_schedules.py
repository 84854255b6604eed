"""Scheduled rules fire once for each due time, whatever happens to nodes, targets and the server: in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import fakeredis
import pytest

from eventrouter.errors import AdapterError
from eventrouter.journal import Journal
from eventrouter.logging import get_logger
from eventrouter.planes.function_calls import FunctionCalls
from eventrouter.planes.loops import Loops
from eventrouter.planes.schedules import HOLD_MS, PLACE_EVERY_S, SchedulePlane
from eventrouter.ports import Delivery, Target
from eventrouter.ports import FunctionCalls as FunctionCallsPort
from eventrouter.rules.explain import Step
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.scheduled_rule import RuleName, RuleTarget, ScheduledRule
from eventrouter.store import Store, open_store, redis_lanes
from eventrouter.store.timers import CLAIM_LIMIT
from eventrouter.testing.virtual import EPOCH_MS, VirtualClock, run_virtual
from tests.planes.world import ACCOUNT, REGION, World, a_world, queue_arn

pytestmark = pytest.mark.integration

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:orders"
TO_FUNCTION = RuleTarget(id="f", arn=FUNCTION)
TO_QUEUE = RuleTarget(id="q", arn=queue_arn("jobs"))
DEAD = queue_arn("dead")
MINUTE = 60
HOUR = 3_600


@dataclass
class Schedules:
    """Nodes that fire rules, and what came of it."""

    world: World
    store: Store
    planes: list[SchedulePlane] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.world.clock, limit=None)

    def handle(self, event: dict[str, Any], invocation: Invocation) -> None:
        self.events.append(event)
        self.ids.append(invocation.request_id)

    @property
    def times(self) -> list[str]:
        """Return the due times that the function was invoked for, in order of arrival."""
        return [event["time"] for event in self.events]

    async def soon(self, *targets: RuleTarget) -> ScheduledRule:
        """Store a rule that is due in 5 s, and then every hour."""
        anchored_at_ms = self.world.clock.now_ms() - (HOUR - 5) * 1_000
        return await self.rule("rate(1 hour)", *targets, anchored_at_ms=anchored_at_ms)

    async def rule(
        self, expression: str = "rate(1 minute)", *targets: RuleTarget, name: str = "tick", **changes: Any
    ) -> ScheduledRule:
        """Store a rule that counts from now, as a node's API does."""
        rule = ScheduledRule(
            name=RuleName(account=ACCOUNT, region=REGION, name=name),
            expression=expression,
            generation=f"{self.world.clock.now_ms():x}",
            anchored_at_ms=self.world.clock.now_ms(),
            targets=targets or (TO_FUNCTION,),
        )
        return await self.store.schedules.catalogue.put(replace(rule, **changes))

    def plane(
        self, loops: Loops, *, functions: FunctionCallsPort | None = None, store: Store | None = None, **parts: Any
    ) -> SchedulePlane:
        world = self.world
        return SchedulePlane(
            schedules=(store or self.store).schedules,
            functions=functions or self.functions(),
            targets=parts.get("targets", {"sqs": world.target}),
            loops=loops,
            clock=world.clock,
            random=Random(3),
            journal=self.journal,
            log=get_logger(),
            may_take_work=parts.get("may_take_work", lambda: True),
        )

    def functions(self) -> FunctionCalls:
        world = self.world
        return FunctionCalls(functions=world.store.functions, sync=lambda: world.sync, events=lambda: world.events)

    @contextlib.asynccontextmanager
    async def node(self, **parts: Any) -> AsyncIterator[None]:
        """Run a node that fires rules."""
        loops = Loops(clock=self.world.clock, metrics=self.world.metrics, log=get_logger(), give_up=self.hung.append)
        async with loops, self.plane(loops, **parts):
            yield

    @contextlib.asynccontextmanager
    async def another_store(self) -> AsyncIterator[Store]:
        """Open the store as another node does, with a copy of the rules of its own."""
        client = fakeredis.FakeAsyncRedis(server=self.world.server, version=(7, 4), protocol=2, socket_timeout=None)
        store = await open_store(
            redis_lanes(client), prefix="er", partitions=2, clock=self.world.clock, random=Random(9)
        )
        try:
            yield store
        finally:
            await store.close()
            await client.aclose()

    def steps(self) -> Counter[Step]:
        return Counter(decision.step for decision in self.journal.since())


def play(scenario: Callable[[Schedules], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with a_world(**settings) as world:
            schedules = Schedules(world, world.store)
            await world.function(schedules.handle)
            await scenario(schedules)
            assert schedules.hung == []

    run_virtual(main())


def test_a_rule_fires_at_each_due_time_with_the_time_that_was_due() -> None:
    async def scenario(schedules: Schedules) -> None:
        rule = await schedules.rule("rate(5 minutes)")
        async with schedules.node():
            await schedules.world.run(16 * MINUTE)

        assert schedules.times == ["2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z", "2026-01-01T00:15:00Z"]
        assert schedules.events[0] == {
            "version": "0",
            "id": schedules.events[0]["id"],
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT,
            "time": "2026-01-01T00:05:00Z",
            "region": REGION,
            "resources": [rule.name.arn],
            "detail": {},
        }
        starts = [start.at for start in schedules.world.environments.starts]
        assert [round(at, 1) for at in starts] == [300.0, 600.0, 900.0], "and it fired when it was due"

    play(scenario)


def test_several_nodes_make_one_event_of_each_due_time() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.rule("cron(* * * * ? *)")
        async with (
            schedules.another_store() as second,
            schedules.another_store() as third,
            schedules.node(),
            schedules.node(store=second),
            schedules.node(store=third),
        ):
            await schedules.world.run(8 * MINUTE + 1)

        assert len(schedules.times) == len(set(schedules.times)) == 8
        assert len({event["id"] for event in schedules.events}) == 8
        assert schedules.times == sorted(schedules.times)

    play(scenario)


def test_nodes_that_all_do_the_same_work_still_make_one_event() -> None:
    """Every node takes everything, as if none saw that another had: ids alone keep events single."""

    async def scenario(schedules: Schedules) -> None:
        await schedules.rule("rate(1 minute)", TO_FUNCTION, TO_QUEUE)
        firings = schedules.store.schedules.firings

        async def taken_by_nobody() -> None:
            while True:
                await schedules.world.clock.sleep(0.1)
                members = await schedules.store.scripts.command("ZRANGE", firings._keys[1], 0, -1)
                for member in members:
                    value = await firings.read(member.decode())
                    await schedules.store.scripts.command("ZADD", firings._keys[1], value or "0", member)

        meddling = asyncio.create_task(taken_by_nobody())
        async with schedules.node(), schedules.node(), schedules.node():
            await schedules.world.run(3 * MINUTE + 1)
        meddling.cancel()
        await asyncio.wait((meddling,))

        assert len(schedules.events) == 3
        queued = {delivery.id for _, delivery in schedules.world.target.kept}
        assert len(queued) == 3, "and a queue drops what it has by that id"

    play(scenario)


@dataclass
class Dying:
    """Functions of a node that dies right after an event was accepted."""

    inner: FunctionCallsPort
    accepted: int = 0

    def exists(self, arn: str) -> bool:
        return self.inner.exists(arn)

    async def call(self, *arguments: Any, **named: Any) -> Any:
        raise NotImplementedError

    async def accept(self, arn: str, payload: bytes, *, request_id: str, trace: str = "") -> None:
        await self.inner.accept(arn, payload, request_id=request_id, trace=trace)
        self.accepted += 1
        await asyncio.Event().wait()


def test_a_node_that_dies_after_handing_over_leaves_the_rest_to_another() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.rule("rate(5 minutes)")
        dying = Dying(schedules.functions())
        async with schedules.node(functions=dying):
            await schedules.world.run(5 * MINUTE + 1)
        assert dying.accepted == 1
        async with schedules.node():
            await schedules.world.run(10 * MINUTE)

        assert schedules.times == ["2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z", "2026-01-01T00:15:00Z"]
        assert schedules.steps() == {Step.FIRED: 3}, "the other node fired it again, and it was the same event"

    play(scenario)


def test_what_was_taken_by_a_node_that_died_fires_within_the_minute() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.rule("rate(5 minutes)")
        async with schedules.node():
            await schedules.world.run(1)
        await schedules.world.run(5 * MINUTE - 1)
        assert (await schedules.store.schedules.firings.claim(hold_ms=HOLD_MS)).timers
        async with schedules.node():
            await schedules.world.run(HOLD_MS / 1_000 + 2)

        [start] = schedules.world.environments.starts
        assert 5 * MINUTE + 20 <= start.at <= 5 * MINUTE + 22
        assert schedules.times == ["2026-01-01T00:05:00Z"]

    play(scenario)


def test_what_was_due_while_no_node_ran_is_not_made_up() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.rule("rate(5 minutes)")
        async with schedules.node():
            await schedules.world.run(6 * MINUTE)
        await schedules.world.run(12 * MINUTE)  # until 0:18
        async with schedules.node():
            await schedules.world.run(8 * MINUTE)

        assert schedules.times == ["2026-01-01T00:05:00Z", "2026-01-01T00:20:00Z", "2026-01-01T00:25:00Z"]
        [missed] = [decision for decision in schedules.journal.since() if decision.step is Step.MISSED]
        assert missed.facts["due_ms"] == EPOCH_MS + 10 * MINUTE * 1_000

    play(scenario)


def test_a_node_that_was_restarted_still_fires_within_the_minute() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.rule("rate(5 minutes)")
        async with schedules.node():
            await schedules.world.run(4 * MINUTE + 50)
        await schedules.world.run(40)
        async with schedules.node():
            await schedules.world.run(2)

        assert schedules.times == ["2026-01-01T00:05:00Z"]

    play(scenario)


def test_a_new_rule_is_noticed_while_a_node_runs() -> None:
    async def scenario(schedules: Schedules) -> None:
        async with schedules.node():
            await schedules.world.run(7.25)
            await schedules.rule("rate(1 minute)")
            await schedules.world.run(MINUTE + 1)

        assert schedules.times == ["2026-01-01T00:01:07Z"]

    play(scenario)


def test_a_rule_that_begins_anew_fires_only_as_it_counts_now() -> None:
    async def scenario(schedules: Schedules) -> None:
        rule = await schedules.rule("rate(2 minutes)")
        async with schedules.node():
            await schedules.world.run(MINUTE)
            anew = replace(rule, generation="anew", anchored_at_ms=schedules.world.clock.now_ms())
            await schedules.store.schedules.catalogue.put(anew)
            await schedules.world.run(3 * MINUTE)

        assert schedules.times == ["2026-01-01T00:03:00Z"]
        assert await schedules.store.schedules.firings.count() == 1, "what the old one had due was removed"

    play(scenario)


@pytest.mark.parametrize("how", ["disabled", "deleted"])
def test_a_rule_that_is_disabled_or_deleted_on_another_node_fires_no_more(how: str) -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.rule("rate(1 minute)")
        async with schedules.another_store() as elsewhere, schedules.node():
            await schedules.world.run(MINUTE + 1)
            [rule] = elsewhere.schedules.catalogue.all()
            if how == "disabled":
                await elsewhere.schedules.catalogue.put(replace(rule, is_enabled=False))
            else:
                await elsewhere.schedules.catalogue.delete(rule)
            await schedules.store.refresh()  # as every heartbeat does
            await schedules.world.run(5 * MINUTE)

        assert len(schedules.events) == 1
        assert await schedules.store.schedules.firings.count() == 0

    play(scenario)


def test_a_rule_that_this_node_has_not_heard_of_is_asked_for() -> None:
    async def scenario(schedules: Schedules) -> None:
        async with schedules.another_store() as elsewhere, schedules.node():
            await schedules.world.run(1)
            rule = ScheduledRule(
                name=RuleName(account=ACCOUNT, region=REGION, name="new"),
                expression="rate(1 minute)",
                generation="1",
                anchored_at_ms=schedules.world.clock.now_ms(),
                targets=(TO_FUNCTION,),
            )
            stored = await elsewhere.schedules.catalogue.put(rule)
            await elsewhere.schedules.place([stored], schedules.world.clock.now_ms())
            await schedules.world.run(MINUTE + 1)

        assert len(schedules.events) == 1

    play(scenario)


def test_a_schedule_that_is_over_leaves_nothing_behind() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.rule("cron(9 0 1 1 ? 2026)")
        async with schedules.node():
            await schedules.world.run(10 * MINUTE)

        assert schedules.times == ["2026-01-01T00:09:00Z"]
        assert await schedules.store.schedules.firings.count() == 0

    play(scenario)


def test_timers_that_the_server_lost_are_set_again() -> None:
    async def scenario(schedules: Schedules) -> None:
        rule = await schedules.rule("rate(5 minutes)")
        async with schedules.node():
            await schedules.world.run(6 * MINUTE)
            await schedules.store.schedules.firings.forget(rule.timer)
            await schedules.world.run(PLACE_EVERY_S)

        assert schedules.times == ["2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z"]

    play(scenario)


def test_a_node_that_may_take_no_work_fires_nothing() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.rule("rate(1 minute)")
        async with schedules.node(may_take_work=lambda: False):
            await schedules.world.run(5 * MINUTE)

        assert schedules.events == []

    play(scenario)


def test_a_thousand_rules_that_are_due_at_once_fire_in_few_steps() -> None:
    async def scenario(schedules: Schedules) -> None:
        for number in range(1_000):
            await schedules.rule("cron(5 0 * * ? *)", TO_QUEUE, name=f"rule-{number}")
        calls: Counter[str] = Counter()
        scripts = schedules.store.scripts
        call, call_each = scripts.call, scripts.call_each

        async def counted_call(name: str, *arguments: Any, **named: Any) -> Any:
            calls[name] += 1
            return await call(name, *arguments, **named)

        async def counted_call_each(name: str, several: Any, **named: Any) -> Any:
            calls[name] += len(several)
            return await call_each(name, several, **named)

        await schedules.world.run(10)  # so that lacking timers are not looked for just then
        async with schedules.node():
            await schedules.world.run(5 * MINUTE - 12)
            scripts.call, scripts.call_each = counted_call, counted_call_each  # type: ignore[method-assign,assignment]
            await schedules.world.run(3)

        assert len({delivery.id for _, delivery in schedules.world.target.kept}) == 1_000
        assert len(schedules.world.target.kept) == 1_000
        assert calls["timers_move"] <= 12
        assert calls["timers_claim"] <= 24, "looks of two loops included"

    play(scenario)


def test_rules_are_placed_a_few_at_a_time_and_all_at_once() -> None:
    async def scenario(schedules: Schedules) -> None:
        for number in range(2 * CLAIM_LIMIT + 1):
            await schedules.rule("cron(5 0 * * ? *)", TO_QUEUE, name=f"rule-{number}")
        loops = Loops(clock=schedules.world.clock, metrics=schedules.world.metrics, log=get_logger(), give_up=print)
        plane = schedules.plane(loops)

        counts, pauses = [], []
        for _ in range(4):
            pauses.append((await plane.fire_turn()).due_in_s)
            counts.append(await schedules.store.schedules.firings.count())

        assert counts == [CLAIM_LIMIT, 2 * CLAIM_LIMIT, 2 * CLAIM_LIMIT + 1, 2 * CLAIM_LIMIT + 1]
        assert pauses == [0, 0, 5 * MINUTE, 5 * MINUTE]

    play(scenario)


@dataclass
class SlowTarget:
    """A target that needs 5 s to say that it cannot be reached."""

    clock: VirtualClock
    service: str = "sqs"

    async def exists(self, arn: str) -> bool:
        return True

    async def deliver(self, arn: str, delivery: Delivery) -> None:
        await self.clock.sleep(5)
        raise AdapterError("no answer", transient=True)


def test_no_turn_takes_so_long_that_it_is_taken_for_hung() -> None:
    """Working off everything that is due in one turn did: a node gives up on itself after a minute."""

    async def scenario(schedules: Schedules) -> None:
        for number in range(14 * CLAIM_LIMIT):
            await schedules.rule("cron(5 0 * * ? *)", TO_QUEUE, name=f"rule-{number}")
        async with schedules.node(targets={"sqs": SlowTarget(schedules.world.clock)}):
            await schedules.world.run(9 * MINUTE)

        assert schedules.hung == []
        assert await schedules.store.schedules.hand_overs.count() > 12 * CLAIM_LIMIT

    play(scenario)


# Hand-overs that fail.


def test_a_function_that_does_not_exist_is_given_up_at_once() -> None:
    async def scenario(schedules: Schedules) -> None:
        nowhere = RuleTarget(id="gone", arn=FUNCTION.replace("orders", "gone"), input="{}", dead_letter_arn=DEAD)
        rule = await schedules.soon(nowhere, TO_QUEUE)
        async with schedules.node():
            await schedules.world.run(6)

        [letter] = [delivery for arn, delivery in schedules.world.target.kept if arn == DEAD]
        attributes = {name: value for name, (_, value) in letter.attributes.items()}
        assert "Function not found" in attributes.pop("ERROR_MESSAGE")
        assert attributes == {
            "RULE_ARN": rule.name.arn,
            "TARGET_ARN": nowhere.arn,
            "ERROR_CODE": "NO_RESOURCE",
            "RETRY_ATTEMPTS": "0",
        }
        assert json.loads(letter.body)["time"] == "2026-01-01T00:00:05Z", "its body is the event"
        assert len(schedules.world.target.bodies(TO_QUEUE.arn)) == 1, "other targets are not concerned"
        assert await schedules.store.schedules.hand_overs.count() == 0

    play(scenario)


@pytest.mark.parametrize("qualifier", ["", ":$LATEST"])
def test_a_function_that_another_node_has_just_made_is_found(qualifier: str) -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.soon(RuleTarget(id="new", arn=FUNCTION.replace("orders", "new") + qualifier))
        async with schedules.another_store() as elsewhere, schedules.node():
            await schedules.world.run(1)
            [orders] = schedules.store.functions.all()
            new = replace(orders, name=replace(orders.name, name="new"), revision=0)
            await elsewhere.functions.put(new, account_limit=1_000, minimum_unreserved=100)
            schedules.world.environments.install(new.name, schedules.handle)
            await schedules.world.run(6)

        assert schedules.times == ["2026-01-01T00:00:05Z"]

    play(scenario)


@pytest.mark.parametrize("arn", [f"{FUNCTION}:prod", FUNCTION.replace("orders", "o" * 141)])
def test_a_function_that_no_invoke_would_find_is_given_up_too(arn: str) -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.soon(RuleTarget(id="f", arn=arn, dead_letter_arn=DEAD))
        async with schedules.node():
            await schedules.world.run(6)

        assert schedules.events == []
        [letter] = [delivery for at, delivery in schedules.world.target.kept if at == DEAD]
        assert letter.attributes["ERROR_CODE"] == ("String", "NO_RESOURCE")

    play(scenario)


def test_a_queue_that_is_away_is_tried_again_with_growing_pauses() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.soon(TO_QUEUE)
        async with schedules.node():
            await schedules.world.run(3 * MINUTE)

        assert schedules.world.target.tries == 7
        [event] = schedules.world.target.bodies(TO_QUEUE.arn)
        assert event["time"] == "2026-01-01T00:00:05Z"
        assert await schedules.store.schedules.hand_overs.count() == 0

    play(scenario, failures=6)


@dataclass
class Away:
    """A target that is never there, but for dead letters; notes when it was tried."""

    world: World
    service: str = "sqs"
    tried_at: list[float] = field(default_factory=list)
    dead_failures: int = 0

    async def exists(self, arn: str) -> bool:
        return False

    async def deliver(self, arn: str, delivery: Delivery) -> None:
        if arn == DEAD and not self.dead_failures:
            await self.world.target.deliver(arn, delivery)
            return
        if arn == DEAD:
            self.dead_failures -= 1
        else:
            self.tried_at.append(self.world.clock.monotonic())
        raise AdapterError("the queue is away", transient=True)


@pytest.mark.parametrize(
    ("policy", "tries", "condition"),
    [
        ({"maximum_retry_attempts": 0}, 1, "MaximumRetryAttempts"),
        ({"maximum_retry_attempts": 3}, 4, "MaximumRetryAttempts"),
        ({"maximum_event_age_s": 60}, 6, "MaximumEventAgeInSeconds"),
    ],
)
def test_what_fails_to_the_end_of_its_retry_policy_becomes_a_dead_letter(
    policy: dict[str, int], tries: int, condition: str
) -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.soon(replace(TO_QUEUE, dead_letter_arn=DEAD, **policy))
        away = Away(schedules.world)
        targets: dict[str, Target] = {"sqs": away}
        async with schedules.node(targets=targets):
            await schedules.world.run(3 * MINUTE)

        [(arn, letter)] = schedules.world.target.kept
        assert arn == DEAD
        made = len(away.tried_at)
        assert tries - 1 <= made <= tries + 1
        assert letter.attributes["EXHAUSTED_RETRY_CONDITION"] == ("String", condition)
        assert letter.attributes["RETRY_ATTEMPTS"] == ("String", str(made - 1))
        assert letter.attributes["ERROR_CODE"] == ("String", "INTERNAL_ERROR")
        assert await schedules.store.schedules.hand_overs.count() == 0

    play(scenario)


def test_a_dead_letter_that_finds_its_queue_away_is_tried_again() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.soon(replace(TO_QUEUE, dead_letter_arn=DEAD, maximum_retry_attempts=1))
        away = Away(schedules.world, dead_failures=5)
        async with schedules.node(targets={"sqs": away}):
            await schedules.world.run(10 * MINUTE)

        assert len(away.tried_at) == 2, "the target itself is not tried any more"
        [(_, letter)] = schedules.world.target.kept
        assert letter.attributes["RETRY_ATTEMPTS"] == ("String", "1")
        assert away.dead_failures == 0

    play(scenario)


def test_a_missing_target_without_a_queue_for_dead_letters_is_dropped() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.soon(replace(TO_FUNCTION, arn=FUNCTION + "s"))
        async with schedules.node():
            await schedules.world.run(6)

        assert schedules.steps() == {Step.FIRED: 1}
        assert await schedules.store.schedules.hand_overs.count() == 0

    play(scenario)


def test_a_hand_over_ends_when_its_target_is_removed() -> None:
    async def scenario(schedules: Schedules) -> None:
        rule = await schedules.soon(TO_QUEUE)
        async with schedules.node():
            await schedules.world.run(6)
            assert await schedules.store.schedules.hand_overs.count() == 1
            await schedules.store.schedules.catalogue.put(replace(rule, targets=(), revision=rule.revision))
            await schedules.world.run(10 * MINUTE)

        assert await schedules.store.schedules.hand_overs.count() == 0
        assert schedules.world.target.kept == []

    play(scenario, failures=1_000)


def test_a_server_that_is_away_when_a_rule_is_due_delays_it() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.soon()
        async with schedules.node():
            await schedules.world.run(2)
            async with schedules.world.redis_away():
                await schedules.world.run(30)
            await schedules.world.run(MINUTE)

        assert schedules.times == ["2026-01-01T00:00:05Z"]

    play(scenario)


def test_a_full_server_delays_the_event_and_does_not_lose_it() -> None:
    async def scenario(schedules: Schedules) -> None:
        await schedules.soon()
        async with schedules.node():
            await schedules.world.run(2)
            schedules.store.scripts.refuse_intake("memory is full")
            await schedules.world.run(3 * MINUTE)
            assert schedules.events == []
            schedules.store.scripts.refuse_intake(None)
            await schedules.world.run(4 * MINUTE)

        assert schedules.times == ["2026-01-01T00:00:05Z"]

    play(scenario)


def test_a_decision_leads_on_to_the_invocation() -> None:
    async def scenario(schedules: Schedules) -> None:
        rule = await schedules.rule("rate(1 minute)", TO_FUNCTION, TO_QUEUE)
        async with schedules.node():
            await schedules.world.run(MINUTE + 1)

        [fired] = schedules.journal.of(rule.name.arn)
        assert fired.step is Step.FIRED
        assert fired.facts == {"due_ms": EPOCH_MS + 60_000, "event_id": schedules.events[0]["id"]}
        assert schedules.ids[0] in fired.links

    play(scenario)
