"""The life of an asynchronous event in the store, on both servers."""

from __future__ import annotations

import pytest

from eventrouter.errors import NodeDead
from eventrouter.store import DESTINATIONS, Claim, OutboxRecord, Settlement
from tests.store.worlds import FN, OTHER, Server, World, an_event

pytestmark = pytest.mark.integration


def done(claim: Claim, *records: OutboxRecord) -> Settlement:
    return Settlement(claim=claim, action="done", records=records)


def retry(claim: Claim, delay_ms: int = 60_000, response: bytes | None = None) -> Settlement:
    return Settlement(claim=claim, action="retry", delay_ms=delay_ms, last_response=response)


def back(claim: Claim, delay_ms: int = 0) -> Settlement:
    return Settlement(claim=claim, action="back", delay_ms=delay_ms)


def aged(claim: Claim, attempt: int) -> Claim:
    """The same claim, but of another attempt."""
    return Claim(**{name: getattr(claim, name) for name in claim.__struct_fields__} | {"attempt": attempt})


async def settle(world: World, inc: str, *settlements: Settlement) -> list[bool]:
    return await world.store.events.settle(inc, world.partition, settlements)


def test_an_event_is_put_claimed_and_done(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        event = an_event("e1", payload=b'{"a": "\xc3\xa9\x00"}')
        assert await world.store.events.put(event)

        assert (await world.store.events.due(world.partition)).functions == (FN.key,)
        [claim] = await world.claim("h1")

        assert claim.payload == event.payload
        assert (claim.id, claim.function_key, claim.trace, claim.qualifier) == ("e1", FN.key, "Root=1", None)
        assert (claim.attempt, claim.errors, claim.deaths, claim.last_response) == (1, 0, 0, None)
        assert await world.store.events.owned("h1", world.partition) == {"e1": 1}
        assert await settle(world, "h1", done(claim)) == [True]
        assert await world.store.events.owned("h1", world.partition) == {}
        assert await world.store.events.counts() == {}
        assert (await world.store.events.due(world.partition)).functions == ()

    server.run(scenario)


def test_events_of_a_function_are_claimed_oldest_first(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("b", "c", "a", "d")

        assert await world.claim_ids("h1", limit=3) == ["b", "c", "a"]
        assert await world.store.events.depth(FN.key) == 1
        assert await world.claim_ids("h1") == ["d"]

    server.run(scenario)


def test_the_same_id_is_stored_once_also_after_it_is_done(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        assert await world.store.events.put(an_event("e1"))
        assert not await world.store.events.put(an_event("e1"))
        [claim] = await world.claim("h1")
        assert not await world.store.events.put(an_event("e1"))
        await settle(world, "h1", done(claim))

        assert not await world.store.events.put(an_event("e1"))
        await world.pass_ms(119_000)
        assert not await world.store.events.put(an_event("e1"))
        assert await world.claim_ids("h1") == []

        await world.pass_ms(125_000)
        assert await world.store.events.put(an_event("e1")), "the tombstone was not dropped"

    server.run(scenario)


def test_a_put_that_arrives_a_minute_late_stores_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        part = world.store.events._parts[world.partition]
        await world.store.events.due_all()
        issued = part.lease
        await world.pass_ms(60_100)
        keys = (part.clock, part.ev, part.pl, part.idx, part.hold, part.queue(FN.key), *part.tombs)

        answer = await world.store.scripts.call("events_put", keys, ("late", FN.key, "", "", b"{}", 0, issued))

        assert answer[0] == b"STALE"
        assert await world.store.events.counts() == {}

    server.run(scenario)


def test_a_node_that_has_not_looked_for_long_can_still_put(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.store.events.due_all()
        lease = world.store.events._parts[world.partition].lease
        await world.pass_ms(90_000)
        world.store.events._parts[world.partition].lease = lease

        assert await world.store.events.put(an_event("e1"))
        assert await world.store.events.depth(FN.key) == 1

    server.run(scenario)


def test_who_is_not_registered_claims_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        with pytest.raises(NodeDead):
            await world.claim("stranger")
        assert await world.store.hosts.bury("h1", None)
        await world.store.hosts.reap("h1")
        with pytest.raises(NodeDead):
            await world.claim("h1")

    server.run(scenario)


def test_a_finish_with_another_attempt_or_owner_changes_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1", "h2")
        await world.put("e1")
        [first] = await world.claim("h1")
        await settle(world, "h1", back(first))
        [second] = await world.claim("h2")

        for settlement in (
            done(first),
            retry(first),
            back(first, 1_000),
            done(first, OutboxRecord(id="r", payload=b"")),
        ):
            assert await settle(world, "h1", settlement) == [False]
        assert await settle(world, "h1", done(second)) == [False]
        assert await settle(world, "h2", done(aged(second, attempt=3))) == [False]

        assert await world.store.events.owned("h2", world.partition) == {"e1": 2}
        assert await world.store.events.depth(DESTINATIONS) == 0
        assert await settle(world, "h2", done(second)) == [True]

    server.run(scenario)


def test_a_settlement_that_is_repeated_answers_the_same_and_changes_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1", "e2", "e3")
        claims = await world.claim("h1")
        settlements = [done(claims[0], OutboxRecord(id="r1", payload=b"x")), retry(claims[1]), back(claims[2], 5_000)]

        assert await settle(world, "h1", *settlements) == [True, True, True]
        assert await settle(world, "h1", *settlements) == [True, True, True]

        await world.pass_ms(61_000)
        again = {claim.id: claim for claim in await world.claim("h1")}
        assert again["e2"].errors == 1
        assert again["e3"].errors == 0
        assert await world.store.events.depth(DESTINATIONS) == 1
        assert await settle(world, "h1", *settlements[1:]) == [False, False]

    server.run(scenario)


def test_one_claim_settled_twice_in_a_batch_counts_once(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        [claim] = await world.claim("h1")

        assert await settle(world, "h1", done(claim), retry(claim)) == [True, False]
        assert await world.store.events.counts() == {}

    server.run(scenario)


def test_a_retry_is_due_after_its_delay_and_remembers_the_response(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        [claim] = await world.claim("h1")
        await settle(world, "h1", retry(claim, 60_000, b'{"errorType": "E"}'))

        await world.pass_ms(59_000)
        due = await world.store.events.due(world.partition)
        assert due.functions == ()
        assert due.next_in_ms is not None
        assert 0 < due.next_in_ms <= 1_000
        assert await world.claim_ids("h1") == []

        await world.pass_ms(1_000)
        [again] = await world.claim("h1")
        assert (again.attempt, again.errors, again.last_response) == (2, 1, b'{"errorType": "E"}')

    server.run(scenario)


def test_a_step_of_the_servers_clock_brings_a_retry_forward_by_two_seconds_at_most(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        [claim] = await world.claim("h1")
        await settle(world, "h1", retry(claim, 60_000))
        before = (await world.store.events.due(world.partition)).next_in_ms

        await world.step_wall(3_600_000)
        ahead = (await world.store.events.due(world.partition)).next_in_ms
        await world.step_wall(-3_600_000)
        behind = (await world.store.events.due(world.partition)).next_in_ms

        assert before is not None
        assert ahead is not None
        assert behind is not None
        assert before - ahead <= 2_000 + 1_000
        assert behind <= ahead

    server.run(scenario)


def test_an_event_that_is_handed_back_keeps_its_place_and_its_retries(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1", "e2")
        [first] = await world.claim("h1", limit=1)
        await world.pass_ms(5_000)

        await settle(world, "h1", back(first))

        claims = await world.claim("h1")
        assert [claim.id for claim in claims] == ["e1", "e2"]
        assert (claims[0].attempt, claims[0].errors) == (2, 0)

    server.run(scenario)


def test_records_are_stored_with_the_end_of_their_event_and_only_once(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1", "e2")
        claims = await world.claim("h1")
        records = (OutboxRecord(id="e1:Success", payload=b"one"), OutboxRecord(id="e1:dlq", payload=b"two"))

        assert await settle(world, "h1", done(claims[0], *records), done(claims[1], records[0])) == [True, True]

        assert DESTINATIONS in (await world.store.events.due(world.partition)).functions
        delivered = await world.store.events.claim("h1", world.partition, DESTINATIONS, 10)
        assert sorted((claim.id, claim.payload) for claim in delivered) == [("e1:Success", b"one"), ("e1:dlq", b"two")]
        assert {claim.trace for claim in delivered} == {"Root=1"}
        await settle(world, "h1", *(done(claim) for claim in delivered))
        assert await world.store.events.counts() == {}

    server.run(scenario)


def test_a_hold_keeps_events_from_being_claimed_until_it_ends(server: Server) -> None:
    async def scenario(world: World) -> None:
        events = world.store.events
        await world.join("h1")
        await world.put("e1")
        await events.hold(FN.key, 10_000)
        await world.put("e2")

        due = await events.due(world.partition)
        assert FN.key not in due.functions
        assert due.next_in_ms is not None
        assert 0 < due.next_in_ms <= 10_000
        assert await world.claim_ids("h1") == []
        await world.pass_ms(10_000)
        assert await world.claim_ids("h1") == ["e1", "e2"]

    server.run(scenario)


def test_a_hold_is_ended_by_whoever_has_a_slot(server: Server) -> None:
    async def scenario(world: World) -> None:
        events = world.store.events
        await world.join("h1")
        await world.join("h2")
        for name in ("e1", "e2", "e3"):
            await world.put(name)
        await events.hold(FN.key, 300_000)

        assert await world.claim_ids("h1", limit=1) == []
        [claim] = await events.claim("h2", world.partition, FN.key, 1, has_slot=True)
        assert claim.id == "e1"
        assert FN.key in (await events.due(world.partition)).functions
        assert await world.claim_ids("h1", limit=1) == ["e2"]

    server.run(scenario)


def test_a_hold_can_be_ended_early_and_leaves_nothing_behind(server: Server) -> None:
    async def scenario(world: World) -> None:
        events = world.store.events
        await world.join("h1")
        await world.put("e1")
        await events.hold(FN.key, 300_000)
        await events.unhold(FN.key)
        [claim] = await world.claim("h1")
        await settle(world, "h1", done(claim))
        await events.hold(FN.key, 1_000)
        await events.hold(DESTINATIONS, 1_000, partition=world.partition)

        await world.pass_ms(2_000)

        assert not await world.client.exists(world.keys.events(world.partition, "hold"))

    server.run(scenario)


def test_a_claim_that_is_repeated_answers_the_same_events_and_an_overtaken_one_none(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1", "e2", "e3")
        part = world.store.events._parts[world.partition]
        names = (part.clock, part.ev, part.pl, part.lr, part.idx, part.hold, part.reg)
        keys = (*names, part.own("h1"), part.seq("h1"), part.queue(FN.key))

        async def claim(seq: int) -> list[bytes]:
            answer = await world.store.scripts.call("events_claim", keys, ("h1", FN.key, seq, 1, world.clock.now_ms()))
            return answer[2::10] if answer[0] == b"OK" else answer

        assert await claim(5) == [b"e1"]
        assert await claim(5) == [b"e1"]
        assert await claim(6) == [b"e2"]
        assert await claim(5) == [b"OLD"]
        assert await claim(6) == [b"e2"]
        assert await world.store.events.owned("h1", world.partition) == {"e1": 1, "e2": 1}

    server.run(scenario)


def test_what_is_owned_can_be_recalled(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1", "h2")
        await world.put("e1", "e2", "e3")
        claims = await world.claim("h1", limit=2)
        await world.claim("h2")

        recalled = await world.store.events.recall("h1", world.partition, ["e1", "e2", "e3", "nothing"])

        assert [aged(claim, 1).id for claim in recalled] == ["e1", "e2"]
        assert [claim.payload for claim in recalled] == [claim.payload for claim in claims]
        assert await settle(world, "h1", *(back(claim) for claim in recalled)) == [True, True]

    server.run(scenario)


def test_due_names_sixteen_functions_at_most_longest_due_first(server: Server) -> None:
    async def scenario(world: World) -> None:
        events = world.store.events
        names = [OTHER.__class__(account="000000000000", region="us-east-1", name=f"f{n}") for n in range(60)]
        here = [name for name in names if events.partition_of(name.key) == world.partition][:20]
        for name in here:
            await world.put(f"e-{name.name}", function=name)

        due = (await events.due_all())[world.partition]

        assert due.functions == tuple(name.key for name in here[:16])
        assert await events.counts() == {name.key: 1 for name in here}

    server.run(scenario)


def test_settling_hundreds_takes_them_all(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        for n in range(120):
            await world.store.events.put(an_event(f"e{n}"))
        claims = await world.claim("h1", limit=500)
        assert len(claims) == 100
        claims += await world.claim("h1")
        settlements = [done(c, *(OutboxRecord(id=f"{c.id}-{i}", payload=b"") for i in range(2))) for c in claims[:80]]
        settlements += [done(claim) for claim in claims[80:]]

        assert await settle(world, "h1", *settlements) == [True] * 120
        assert await world.store.events.counts() == {DESTINATIONS: 160}

    server.run(scenario)


def test_a_caller_whose_clock_is_ahead_cannot_age_an_event(server: Server) -> None:
    class Ahead:
        def __init__(self, world: World) -> None:
            self._clock = world.clock

        def now_ms(self) -> int:
            return self._clock.now_ms() + 3_600_000

        monotonic = property(lambda self: self._clock.monotonic)
        sleep = property(lambda self: self._clock.sleep)

    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        world.store.events._clock = Ahead(world)
        [claim] = await world.claim("h1")
        assert claim.age_ms < 60_000

        world.store.events._clock = world.clock
        await settle(world, "h1", done(claim))
        world.store.events._clock = Ahead(world)
        await world.put("e2")
        world.store.events._clock = world.clock
        [claim] = await world.claim("h1")
        assert claim.age_ms == 0

    server.run(scenario)
