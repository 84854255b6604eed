"""Hypothesis strategies: what goes wrong and what comes in, as JSON-like data that shrinks to little.

@given(plan=fault_plans(functions=["orders"]), events=event_streams())
def test_nothing_is_lost(plan, events):
    with Router() as router:
        ...
        router.apply(plan)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

ERRORS = ("ValueError", "TimeoutError", "timeout", "exit")
MISHAPS = ("drop_reply", "late_reply", "redis_outage", "kill_node")


def fault_plans(
    *,
    functions: Sequence[str] = (),
    mishaps: Sequence[str] = MISHAPS,
    within: float = 600.0,
    most_failures: int = 2,
) -> SearchStrategy[dict[str, Any]]:
    """Draw fault plans for `Router.apply`: the faults of these functions, and mishaps of these kinds.

    Mishaps happen `within` so many virtual seconds; a function fails at most `most_failures` times in a row by plan
    (2 is what the default retries of an event outlive). The simplest plan is that nothing goes wrong.
    """
    by_function = st.fixed_dictionaries({}, optional={name: _function_plans(most_failures) for name in functions})
    return st.fixed_dictionaries(
        {
            "functions": by_function,
            "mishaps": st.lists(_mishaps(mishaps, within), max_size=4) if mishaps else st.just([]),
        }
    )


def event_streams(
    *, keys: Sequence[str] = ("a", "b", "c"), min_size: int = 0, max_size: int = 20
) -> SearchStrategy[list[tuple[str, Any]]]:
    """Draw lists of (key, data): records for `stream.put_many`, or groups and bodies of a FIFO queue's messages.

    The data is `{"n": 0}`, `{"n": 1}`…, so that each event is told from all others, and order can be seen.
    """
    drawn = st.lists(st.sampled_from(list(keys)), min_size=min_size, max_size=max_size)
    return drawn.map(lambda chosen: [(key, {"n": number}) for number, key in enumerate(chosen)])


def _function_plans(most_failures: int) -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "fail": st.lists(st.sampled_from([None, *ERRORS]), max_size=most_failures),
            "crash_every": st.integers(2, 9),
            "throttle": st.sampled_from([0.25, 0.5, 0.75]),
            "latency": st.sampled_from([[0.0, 0.5], [0.0, 2.0], [1.0, 1.0]]),
        },
    )


def _mishaps(kinds: Sequence[str], within: float) -> SearchStrategy[dict[str, Any]]:
    at = st.integers(0, round(within * 10)).map(lambda tenths: tenths / 10)
    shapes: dict[str, dict[str, SearchStrategy[Any]]] = {
        "drop_reply": {"n": st.integers(1, 3)},
        "late_reply": {"n": st.integers(1, 3), "seconds": st.sampled_from([0.5, 3.0])},
        "redis_outage": {"seconds": st.integers(1, 90)},
        "kill_node": {"seconds": st.integers(0, 30)},
    }
    return st.one_of([st.fixed_dictionaries({"at": at, "do": st.just(kind), **shapes[kind]}) for kind in kinds])
