"""An even share for every node, and the same answer on each."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.shares import fair_shares

pytestmark = pytest.mark.property

names = st.sets(st.text(min_size=1, max_size=8), max_size=40)
UNITS = [f"mapping-{number % 5}:shardId-{number:012d}" for number in range(200)]


@given(units=names, nodes=names)
def test_every_unit_has_one_node_and_every_node_its_share(units: set[str], nodes: set[str]) -> None:
    shares = fair_shares(units, nodes)

    assert set(shares) == (units if nodes else set())
    loads = Counter(shares.values())
    if nodes:
        assert all(len(units) // len(nodes) <= loads[node] <= -(-len(units) // len(nodes)) for node in nodes)
    assert set(loads) <= nodes


@given(units=st.permutations(UNITS[:20]), nodes=st.permutations(["a", "b", "c"]))
def test_the_answer_does_not_depend_on_the_order_of_what_is_asked(units: list[str], nodes: list[str]) -> None:
    assert fair_shares(units, nodes) == fair_shares(UNITS[:20], ["a", "b", "c"])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_a_node_that_joins_or_leaves_moves_little_more_than_its_share(count: int) -> None:
    nodes = [f"node-{number}" for number in range(count)]

    fewer, more = fair_shares(UNITS, nodes), fair_shares(UNITS, [*nodes, "one-more"])

    moved = sum(fewer[unit] != more[unit] for unit in UNITS)
    assert len(UNITS) // (count + 1) <= moved <= 2 * len(UNITS) // (count + 1)


def test_without_nodes_nobody_owns_anything() -> None:
    assert fair_shares(UNITS, []) == {}
    assert fair_shares([], ["a"]) == {}
