"""Intake is refused near the memory limit, and does not flap."""

from __future__ import annotations

import pytest

from eventrouter.rules.intake import refuses_intake

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("used", "refusing", "refuses"),
    [(79, False, False), (80, False, True), (79, True, True), (75, True, True), (74, True, False)],
)
def test_intake_closes_at_80_percent_and_opens_below_75(used: int, refusing: bool, refuses: bool) -> None:
    assert refuses_intake(used, 100, refusing=refusing) is refuses


def test_a_server_without_a_limit_is_never_full() -> None:
    assert not refuses_intake(10**12, 0, refusing=False)
