"""How queue mappings scale, and how their concurrency is shared out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.names import FunctionName
from eventrouter.rules.pollers import REST_S, Pace, Scaling, next_pace, share_of

pytestmark = pytest.mark.unit

PLAIN = Scaling()


def a_mapping(**settings: object) -> EventSourceMapping:
    return EventSourceMapping(
        uuid="u",
        account="000000000000",
        region="us-east-1",
        source_arn="arn:aws:sqs:us-east-1:000000000000:q",
        is_queue=True,
        function=FunctionName(account="000000000000", region="us-east-1", name="f"),
        **settings,  # type: ignore[arg-type]
    )


def after(pace: Pace, scaling: Scaling = PLAIN, **second: object) -> Pace:
    given_ = {"is_saturated": True, "succeeded": 0, "failed": 0, "idle_s": 0, **second}
    return next_pace(pace, scaling, **given_)  # type: ignore[arg-type]


def test_a_mapping_starts_with_five_batches_and_gains_three_hundred_a_minute():
    pace = Pace(Scaling.of(a_mapping()).first)
    assert pace.allowed == 5
    for _ in range(60):
        pace = after(pace, succeeded=1)
    assert pace.allowed == 305


def test_maximum_concurrency_is_the_limit():
    scaling = Scaling.of(a_mapping(maximum_concurrency=7))
    assert after(Pace(5), scaling) == Pace(7)


def test_provisioned_pollers_run_ten_batches_each():
    scaling = Scaling.of(a_mapping(provisioned_pollers=(2, 200)))
    assert (scaling.first, scaling.limit) == (20, 2_000)


def test_nothing_is_gained_without_a_backlog():
    assert after(Pace(5), is_saturated=False) == Pace(5)


def test_failures_halve_the_concurrency_and_hold_it_down_until_something_succeeds():
    failing = after(Pace(20), failed=3)
    assert failing == Pace(10, is_failing=True)
    assert after(failing) == failing
    assert after(failing, succeeded=5, failed=1) == Pace(15)
    assert after(Pace(1), failed=1) == Pace(1, is_failing=True)


def test_a_rest_begins_anew():
    assert after(Pace(100), is_saturated=False, idle_s=REST_S) == Pace(5)


@pytest.mark.property
@given(
    limit=st.integers(2, 20_000),
    nodes=st.sets(st.text("abc-0123456789", min_size=1, max_size=8), min_size=1, max_size=12),
    uuid=st.uuids().map(str),
)
def test_the_parts_of_all_nodes_make_up_the_limit(limit: int, nodes: set[str], uuid: str):
    parts = [share_of(limit, uuid, node, nodes) for node in nodes]
    assert sum(parts) == limit
    assert max(parts) - min(parts) <= 1
