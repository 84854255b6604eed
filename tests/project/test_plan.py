"""Plans as people and programs read them."""

import json

import pytest

from eventrouter.project.model import NotApplied, Place
from eventrouter.project.plan import Action, Change, Plan, Step

pytestmark = pytest.mark.unit

PLAN = Plan(
    project="shop",
    steps=(
        Step(action=Action.CREATE, kind="queue", name="orders", place=Place("app.py", 3)),
        Step(
            action=Action.UPDATE,
            kind="function",
            name="take",
            place=Place("app.py", 7),
            changes=(Change(member="Timeout", before=3, after=10), Change(member="Role", before=None, after="r" * 80)),
        ),
        Step(action=Action.KEEP, kind="stream", name="clicks", place=Place("app.py", 9)),
        Step(action=Action.LEAVE, kind="queue", name="old", note="holds messages"),
        Step(action=Action.DELETE, kind="mapping", name="sqs old -> take"),
    ),
    not_applied=(NotApplied(what="VpcConfig", place=Place("app.py", 7), why="no network of its own"),),
)


def test_a_plan_is_read_line_by_line():
    assert PLAN.as_text().splitlines() == [
        "  + create  queue          orders   (app.py:3)",
        "  ~ update  function       take   (app.py:7)",
        "      Timeout: 3 -> 10",
        f"      Role: none -> {'r' * 59}…",
        "  = keep    stream         clicks   (app.py:9)",
        "  ! leave   queue          old   holds messages",
        "  - delete  mapping        sqs old -> take",
        "  not applied: VpcConfig: no network of its own   (app.py:7)",
        "shop: 1 to create, 1 to update, 0 to replace, 1 to delete, 1 unchanged",
    ]


def test_a_plan_is_read_as_json():
    document = json.loads(PLAN.as_json())

    assert document["project"] == "shop"
    assert document["summary"] == {"create": 1, "update": 1, "replace": 0, "delete": 1, "keep": 1, "leave": 1}
    assert document["steps"][1] == {
        "action": "update",
        "kind": "function",
        "name": "take",
        "place": "app.py:7",
        "changes": [
            {"member": "Timeout", "before": 3, "after": 10},
            {"member": "Role", "before": None, "after": "r" * 80},
        ],
        "note": "",
    }
    assert document["not_applied"] == [{"what": "VpcConfig", "place": "app.py:7", "why": "no network of its own"}]


def test_what_stays_is_nothing_to_do():
    still = Plan(project="shop", steps=tuple(step for step in PLAN.steps if step.action in {Action.KEEP, Action.LEAVE}))

    assert still.is_empty
    assert not PLAN.is_empty
    assert [step.name for step in PLAN.due] == ["orders", "take", "sqs old -> take"]


def test_variables_are_shown_without_their_values():
    change = Change(member="Environment", before=None, after={"Variables": {"KEY": "secret"}})

    assert str(change) == 'Environment: none -> {"Variables": {"KEY": "…"}}'
    assert change.document() == {"member": "Environment", "before": None, "after": {"Variables": {"KEY": "…"}}}
