"""When a node may be declared dead: watched silence and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.witness import FENCE_KILL_S, GAP_S, LOOKS, SILENCE_S, Sighting, is_silent, look


def watch(looks: list[tuple[float, int]]) -> dict[str, Sighting]:
    sightings: dict[str, Sighting] = {}
    for at, counter in looks:
        sightings = look(sightings, {"node": counter}, at)
    return sightings


@pytest.mark.unit
def test_a_node_is_silent_after_ten_looks_over_ten_seconds() -> None:
    assert not is_silent(watch([(float(s), 7) for s in range(10)])["node"])
    assert is_silent(watch([(float(s), 7) for s in range(11)])["node"])


@pytest.mark.unit
def test_one_beat_starts_the_count_again() -> None:
    looks = [(float(s), 7 if s < 10 else 8) for s in range(20)]

    assert not is_silent(watch(looks)["node"])


@pytest.mark.unit
def test_a_gap_between_looks_starts_the_count_again() -> None:
    looks = [(float(s), 7) for s in range(10)] + [(9 + GAP_S + 0.1, 7)]

    assert watch(looks)["node"].looks == 1


@pytest.mark.unit
def test_a_silent_node_has_killed_its_environments_before_it_can_be_buried() -> None:
    assert FENCE_KILL_S < SILENCE_S


@pytest.mark.property
@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.booleans()), min_size=1, max_size=60))
def test_no_node_that_beat_within_ten_seconds_is_silent(steps: list[tuple[float, bool]]) -> None:
    now, counter, beat_at = 0.0, 0, 0.0
    sightings = look({}, {"node": 0}, now)

    for step, beats in steps:
        now += step
        if beats:
            counter, beat_at = counter + 1, now
        sightings = look(sightings, {"node": counter}, now)
        if is_silent(sightings["node"]):
            assert now - beat_at >= SILENCE_S
            assert sightings["node"].looks >= LOOKS
