"""The checker itself: it must object to each kind of broken promise, and to nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from tests.chaos.checker import violations
from tests.chaos.history import Fault, History


def a_history(path: Path, *lines: tuple[str, str, int, str, int], accepted: set[str]) -> History:
    """Write (id, token, pid, what, t) lines."""
    keys = ("id", "token", "pid", "what", "t")
    path.write_text("".join(json.dumps(dict(zip(keys, line, strict=True))) + "\n" for line in lines))
    return History(path, accepted=accepted)


def check(history: History) -> list[str]:
    return violations(history, retries=2, reserved=1)


def test_a_clean_history_breaks_nothing(tmp_path: Path) -> None:
    history = a_history(
        tmp_path / "h",
        ("a", "1", 7, "start", 10),
        ("a", "1", 7, "error", 20),
        ("a", "2", 7, "start", 30),
        ("a", "2", 7, "ok", 40),
        accepted={"a"},
    )

    assert check(history) == []


def test_an_accepted_event_that_never_ended_well_is_lost(tmp_path: Path) -> None:
    history = a_history(tmp_path / "h", ("a", "1", 7, "start", 1), ("a", "1", 7, "error", 2), accepted={"a", "b"})

    assert check(history) == ["lost: a", "lost: b"]


def test_an_event_that_nobody_was_told_of_is_a_ghost(tmp_path: Path) -> None:
    history = a_history(tmp_path / "h", ("a", "1", 7, "start", 1), ("a", "1", 7, "ok", 2), accepted=set())

    assert "1 events ran" in check(history)[0]


def test_a_second_run_without_a_crash_is_one_too_many(tmp_path: Path) -> None:
    lines = [("a", "1", 7, "start", 1), ("a", "1", 7, "ok", 2), ("a", "2", 7, "start", 3), ("a", "2", 7, "ok", 4)]
    history = a_history(tmp_path / "h", *lines, accepted={"a"})

    assert "began 2 times" in check(history)[0]

    history.faults.append(Fault("node", 2, 2))
    assert check(history) == []


def test_runs_that_overlap_are_found_also_after_a_kill(tmp_path: Path) -> None:
    lines = [("a", "1", 7, "start", 10), ("a", "2", 8, "start", 30), ("a", "2", 8, "ok", 40)]
    history = a_history(tmp_path / "h", *lines, accepted={"a"})
    history.faults.append(Fault("environment", 50, 50, frozenset({7})))

    assert any("began before" in text for text in check(history))
    assert any("ran at once" in text for text in check(history))

    history.faults[:] = [Fault("environment", 15, 20, frozenset({7}))]
    assert check(history) == []


def test_more_function_errors_than_the_policy_allows_are_found(tmp_path: Path) -> None:
    lines = []
    for number in range(4):
        lines += [("a", str(number), 7, "start", 10 * number), ("a", str(number), 7, "error", 10 * number + 5)]
    history = a_history(tmp_path / "h", *lines, ("a", "9", 7, "start", 90), ("a", "9", 7, "ok", 95), accepted={"a"})

    assert any("failed 4 times" in text for text in check(history))
