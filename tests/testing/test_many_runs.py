"""One seed, one history, however often: 200 runs in two processes, which hash strings in different ways."""

from __future__ import annotations

import pytest

from bench.determinism import in_workers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

RUNS = 200


def test_200_runs_of_one_seed_give_one_history() -> None:
    [count] = in_workers(RUNS, 2).values()
    assert count == RUNS
