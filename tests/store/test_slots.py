"""Concurrency slots: limits, repeats, deaths, on every server; and beside a model of bounded sets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter.errors import NodeDead
from eventrouter.rules.function import Code, Function, LoggingConfig
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import ThrottleReason
from tests.store.worlds import FN, LIMIT, OTHER, Server, World, fakeredis_server


def a_function(name: FunctionName = FN, *, reserved: int | None = None, revision: int = 0, text: str = "") -> Function:
    return Function(
        name=name,
        runtime="python3.13",
        handler="app.handler",
        role="arn:aws:iam::000000000000:role/r",
        code=Code(sha256="00", size_bytes=1),
        logging=LoggingConfig(group="/aws/lambda/orders"),
        description=text,
        reserved_concurrency=reserved,
        last_modified_ms=1,
        revision_id="1",
        revision=revision,
    )


async def reserve(world: World, name: FunctionName, reserved: int | None) -> None:
    known = world.store.functions.get(name)
    function = a_function(name, reserved=reserved, revision=known.revision if known else 0)
    await world.store.functions.put(function, account_limit=LIMIT, minimum_unreserved=0)


async def take(world: World, inc: str, tokens: Sequence[str], name: FunctionName = FN) -> list[ThrottleReason | None]:
    return list(await asyncio.gather(*(world.store.slots.take(inc, name.key, token) for token in tokens)))


@pytest.mark.integration
def test_the_account_limit_bounds_functions_without_a_reservation(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1", "h2")

        granted = await take(world, "h1", [f"t{n}" for n in range(LIMIT - 1)])
        others = await take(world, "h2", ["u1", "u2"], OTHER)

        assert granted == [None] * (LIMIT - 1)
        assert others == [None, ThrottleReason.ACCOUNT]
        assert await world.store.slots.in_use(FN.key) == LIMIT - 1

    server.run(scenario)


@pytest.mark.integration
def test_a_reservation_bounds_its_function_and_is_kept_from_the_others(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await reserve(world, FN, 3)

        assert await take(world, "h1", ["a", "b", "c", "d"]) == [None, None, None, ThrottleReason.RESERVED]
        others = await take(world, "h1", [f"u{n}" for n in range(LIMIT)], OTHER)
        assert others == [None] * (LIMIT - 3) + [ThrottleReason.ACCOUNT] * 3

    server.run(scenario)


@pytest.mark.integration
def test_a_reservation_of_zero_grants_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await reserve(world, FN, 0)

        assert await take(world, "h1", ["a"]) == [ThrottleReason.RESERVED]

    server.run(scenario)


@pytest.mark.integration
def test_a_reservation_set_and_cleared_during_runs_keeps_the_counts(server: Server) -> None:
    async def scenario(world: World) -> None:
        slots = world.store.slots
        await world.join("h1")
        await take(world, "h1", ["a", "b", "c"])
        await reserve(world, FN, 2)
        assert await world.audit() == []

        assert await take(world, "h1", ["d"]) == [ThrottleReason.RESERVED]
        assert (await take(world, "h1", [f"u{n}" for n in range(9)], OTHER)).count(None) == LIMIT - 2
        slots.drop("h1", FN.key, "a")
        slots.drop("h1", FN.key, "b")
        assert await take(world, "h1", ["d"]) == [None]
        await reserve(world, FN, None)
        assert await world.audit() == []
        for token in ("c", "d"):
            slots.drop("h1", FN.key, token)
        await slots.drained()
        assert await slots.in_use(FN.key) == 0

    server.run(scenario)


@pytest.mark.integration
def test_a_token_counts_once_however_often_it_is_taken_or_dropped(server: Server) -> None:
    async def scenario(world: World) -> None:
        slots = world.store.slots
        await world.join("h1")

        assert await take(world, "h1", ["a", "a"]) == [None, None]
        assert await take(world, "h1", ["a"]) == [None]
        assert await slots.in_use(FN.key) == 1
        for _ in range(3):
            slots.drop("h1", FN.key, "a")
            await slots.drained()
        assert await slots.in_use(FN.key) == 0

    server.run(scenario)


@pytest.mark.integration
def test_a_turn_that_is_repeated_or_late_grants_nothing_new(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        names = ("held:h1", "use", "lim", "hosts", "turns")
        keys = [world.keys.installation(name) for name in names]

        async def turn(seq: int, drops: Sequence[str], takes: Sequence[str]) -> list[bytes]:
            pairs = [part for token in takes for part in (FN.key, token)]
            return await world.store.scripts.call("slots_turn", keys, ("h1", seq, 2, len(drops), *drops, *pairs))

        assert await turn(1, [], ["a", "b", "c"]) == [b"OK", b"11A"]
        assert await turn(1, [], ["a", "b", "c"]) == [b"OK", b"11A"]
        assert await turn(2, ["a"], []) == [b"OK", b""]
        assert await turn(2, ["a"], ["c"]) == [b"OK", b"A"], "a repeated turn must not grant what it refused"
        assert await turn(1, [], ["a", "b", "c"]) == [b"OLD"]
        assert await world.store.slots.in_use(FN.key) == 1

    server.run(scenario)


@pytest.mark.integration
def test_takes_and_drops_of_one_moment_share_a_script(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        freed: list[str] = []
        world.store.slots.on_freed(freed.append)

        await take(world, "h1", [f"t{n}" for n in range(5)])
        taking = [asyncio.create_task(world.store.slots.take("h1", FN.key, token)) for token in ("t5", "t6")]
        world.store.slots.drop("h1", FN.key, "t0")
        world.store.slots.drop("h1", FN.key, "t1")
        await asyncio.gather(*taking)

        assert world.ran["slots_turn"] == 2
        assert freed == [FN.key, FN.key]
        assert await world.store.slots.in_use(FN.key) == 5

    server.run(scenario)


@pytest.mark.integration
def test_a_caller_that_is_cancelled_holds_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        slots = world.store.slots
        await world.join("h1")
        early = asyncio.create_task(slots.take("h1", FN.key, "early"))
        await asyncio.sleep(0)
        early.cancel()
        await slots.drained()
        late = asyncio.create_task(slots.take("h1", FN.key, "late"))
        while world.ran.get("slots_turn", 0) < 1:
            await asyncio.sleep(0)
        late.cancel()

        await slots.drained()

        assert await slots.in_use(FN.key) == 0
        assert early.cancelled()
        assert late.cancelled()

    server.run(scenario)


@pytest.mark.integration
def test_hundreds_of_slots_of_a_dead_host_are_freed(server: Server) -> None:
    async def scenario(world: World) -> None:
        slots = world.store.slots
        slots.account_limit = 1_000
        await world.join("h1")
        assert await take(world, "h1", [f"t{n}" for n in range(250)]) == [None] * 250

        await world.store.hosts.bury("h1", None)

        assert await slots.in_use(FN.key) == 0
        assert not await world.client.exists(world.keys.installation("use"))
        with pytest.raises(NodeDead):
            await slots.take("h1", FN.key, "more")
        slots.drop("h1", FN.key, "t1")
        await slots.drained()

    server.run(scenario)


@pytest.mark.integration
def test_the_audit_reports_and_repairs_wrong_counts(server: Server) -> None:
    async def scenario(world: World) -> None:
        slots = world.store.slots
        await world.join("h1")
        await take(world, "h1", ["a", "b"])
        await world.client.hincrby(world.keys.installation("use"), FN.key, 3)
        await world.client.hdel(world.keys.installation("use"), "_u:000000000000:us-east-1")
        await world.client.hset(world.keys.installation("use"), OTHER.key, 1)

        found = await slots.audit()

        assert found == {FN.key: (5, 2), OTHER.key: (1, 0), "_u:000000000000:us-east-1": (0, 2)}
        assert await slots.audit() == {}

    server.run(scenario)


@pytest.mark.integration
def test_a_slot_whose_drop_a_failover_forgot_is_given_back_by_the_second_audit(server: Server) -> None:
    async def scenario(world: World) -> None:
        slots = world.store.slots
        await world.join("h1")
        await take(world, "h1", ["held", "dropped"])
        slots.drop("h1", FN.key, "dropped")
        await slots.drained()
        await world.client.hset(world.keys.installation("held:h1"), "dropped", FN.key)
        await world.client.hincrby(world.keys.installation("use"), FN.key, 1)
        await world.client.hincrby(world.keys.installation("use"), "_u:000000000000:us-east-1", 1)

        assert await slots.drop_strays("h1") == 0, "a drop may be under way"
        assert await slots.drop_strays("h1") == 1
        await slots.drained()

        assert await slots.in_use(FN.key) == 1
        assert await slots.drop_strays("h1") == 0
        assert await world.client.hkeys(world.keys.installation("held:h1")) == [b"held"]

    server.run(scenario)


@pytest.mark.integration
def test_the_audit_knows_what_is_held_however_it_came_to_be(server: Server) -> None:
    async def scenario(world: World) -> None:
        slots = world.store.slots
        await world.join("h1")
        await take(world, "h1", ["again"])
        slots.drop("h1", FN.key, "again")
        again = asyncio.create_task(slots.take("h1", FN.key, "again"))
        await again

        for _ in range(3):
            assert await slots.drop_strays("h1") == 0
        assert await slots.in_use(FN.key) == 1

    server.run(scenario)


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 1), st.sampled_from([FN, OTHER]), st.integers(0, 20)),
        st.tuples(st.just("drop"), st.integers(0, 1), st.sampled_from([FN, OTHER]), st.integers(0, 20)),
        st.tuples(st.just("reserve"), st.just(0), st.sampled_from([FN, OTHER]), st.none() | st.integers(0, LIMIT // 2)),
    ),
    max_size=40,
)


class BoundedSets:
    """What slots promise: each host's tokens, bounded by the reservation, or by what reservations leave."""

    def __init__(self) -> None:
        self.tokens: dict[tuple[int, str], FunctionName] = {}
        self.reserved: dict[FunctionName, int] = {}

    def running(self, name: FunctionName) -> int:
        return sum(1 for each in self.tokens.values() if each == name)

    def take(self, host: int, name: FunctionName, token: str) -> ThrottleReason | None:
        if (host, token) in self.tokens:
            return None
        if name in self.reserved:
            if self.running(name) >= self.reserved[name]:
                return ThrottleReason.RESERVED
        else:
            unreserved = sum(self.running(each) for each in (FN, OTHER) if each not in self.reserved)
            if unreserved >= LIMIT - sum(self.reserved.values()):
                return ThrottleReason.ACCOUNT
        self.tokens[host, token] = name
        return None

    def reserve(self, name: FunctionName, reserved: int | None) -> None:
        self.reserved.pop(name, None)
        if reserved is not None:
            self.reserved[name] = reserved


@pytest.mark.property
@settings(max_examples=40, deadline=None)
@given(_STEPS)
def test_slots_behave_as_bounded_sets(steps: list[tuple[str, int, FunctionName, int | None]]) -> None:
    async def scenario(world: World) -> None:
        model = BoundedSets()
        await world.join("h0", "h1")
        for kind, host, name, value in steps:
            token = f"{name.name}-{value}"
            if kind == "take":
                assert await world.store.slots.take(f"h{host}", name.key, token) == model.take(host, name, token)
            elif kind == "drop":
                world.store.slots.drop(f"h{host}", name.key, token)
                model.tokens.pop((host, token), None)
            else:
                await world.store.slots.drained()
                await reserve(world, name, value)
                model.reserve(name, value)
        await world.store.slots.drained()
        for name in (FN, OTHER):
            assert await world.store.slots.in_use(name.key) == model.running(name)

    with fakeredis_server() as fake:
        fake.run(scenario)
