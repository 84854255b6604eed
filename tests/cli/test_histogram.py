from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.cli.histogram import Bucket, buckets, draw, percentile

pytestmark = pytest.mark.unit

LATENCIES = st.lists(st.floats(0.001, 1e6, allow_nan=False), min_size=1, max_size=50).map(sorted)


def test_a_percentile_is_the_smallest_latency_that_covers_its_share():
    ordered = [float(n) for n in range(1, 101)]

    assert [percentile(ordered, share) for share in (0.5, 0.9, 0.99, 1.0)] == [50, 90, 99, 100]
    assert percentile([7.0], 0.5) == 7
    assert percentile([], 0.5) == 0


def test_buckets_grow_with_the_latency_and_span_all_of_it():
    assert buckets([0.9, 1.0, 1.2, 4.0]) == [
        Bucket(from_ms=0.7, to_ms=1.0, count=1),
        Bucket(from_ms=1.0, to_ms=1.5, count=2),
        Bucket(from_ms=1.5, to_ms=2.0, count=0),
        Bucket(from_ms=2.0, to_ms=3.0, count=0),
        Bucket(from_ms=3.0, to_ms=5.0, count=1),
    ]
    assert buckets([]) == []


def test_a_bar_is_as_long_as_its_share_and_one_call_is_seen():
    found = [Bucket(from_ms=1, to_ms=1.5, count=1000), Bucket(from_ms=1.5, to_ms=2, count=1)]

    assert list(draw(found, width=10)) == [
        "       1 -     1.5 ms  ##########  1000",
        "     1.5 -       2 ms  #           1",
    ]


@pytest.mark.property
@given(LATENCIES)
def test_every_latency_is_in_the_bucket_that_holds_it(ordered):
    found = buckets(ordered)

    assert sum(bucket.count for bucket in found) == len(ordered)
    assert all(before.to_ms == after.from_ms for before, after in pairwise(found))
    for bucket in found:
        assert bucket.count == sum(bucket.from_ms <= latency < bucket.to_ms for latency in ordered)
    assert found[0].count
    assert found[-1].count
