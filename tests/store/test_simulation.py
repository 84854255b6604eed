"""Nothing is lost, doubled or stuck, whatever happens on the way to Redis; and the checker would notice."""

from __future__ import annotations

import pytest

from tests.store.simulation import simulate, with_mutant

MUTANTS = {
    "a claim that repeats itself": [
        ("events_claim", "if seq < last then", "if false then"),
        ("events_claim", "if seq == last then", "if false then"),
    ],
    "a claim that drops the index": [
        ("events_claim", "reindex(KEYS[5], KEYS[6], KEYS[10], fn)\nreturn answer\n", "return answer\n"),
    ],
    "a finish that does not compare the attempt": [
        ("events_settle", "local mark = 'C|' .. inc .. '|' .. item.attempt .. '|'", "local mark = 'C|' .. inc .. '|'"),
    ],
    "a finish without any fence": [
        ("events_settle", "string.sub(value, 1, #mark) ~= mark then", "false then"),
    ],
    "a put without tombstones": [
        ("events_put", "== 1 or buried(id) then", "== 1 then"),
    ],
    "an end that leaves no tombstone": [
        ("events_settle", "redis.call('SADD', tomb, unpack(ended))", ""),
    ],
    "a put that may be any age, with tombstones that live briefly": [
        ("events_put", "> 60000 then", "> 1e15 then"),
        ("events_put", "now / 120000", "now / 10000"),
        ("events_settle", "now / 120000", "now / 10000"),
        ("events_due", "now / 120000", "now / 10000"),
    ],
    "a retry that forgets to requeue": [
        ("events_settle", "redis.call('ZADD', queue, string.format('%.0f', e.d), id)", ""),
    ],
    "a settlement that keeps its owner": [
        ("events_settle", "redis.call('HDEL', KEYS[8], unpack(released))", ""),
    ],
    "a requeue that does not compare the owner": [
        ("events_requeue", "if e and e.s == 'C' and e.o == inc then", "if e then"),
    ],
    "a turn of slots that may come late": [
        ("slots_turn", "if seq < last then", "if false then"),
        ("slots_turn", "and seq > last then", "then"),
    ],
    "a drop of slots that counts twice": [
        (
            "slots_turn",
            "if fn and redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then",
            "if true then fn = fn or '000000000000:us-east-1:orders'",
        ),
    ],
}
SEEDS = range(100, 112)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(6))
def test_every_accepted_event_ends_exactly_once(seed: int) -> None:
    assert simulate(seed) == []


@pytest.mark.chaos
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_script_that_breaks_a_promise_is_caught(mutant: str) -> None:
    scripts = with_mutant(*MUTANTS[mutant])

    assert any(simulate(seed, scripts) for seed in SEEDS)
