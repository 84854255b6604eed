"""Changing an event by paths."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.errors import EventRouterError
from eventrouter.samples import edited

pytestmark = pytest.mark.unit

EVENT = {
    "Records": [{"body": '{"id": 1}', "size": 1, "flag": False, "none": None, "more": {"a.b": 1}}, {"body": "two"}],
    "detail": {},
}


def changed(*changes: str) -> dict:
    return edited(EVENT, changes)


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("Records[0].size=2048", ("Records", 0, "size"), 2048),
        ('Records[0].body={"id": 7}', ("Records", 0, "body"), '{"id": 7}'),
        ("Records[1].body=", ("Records", 1, "body"), ""),
        ("Records[1].body=a=b=c", ("Records", 1, "body"), "a=b=c"),
        ("Records[0].flag=true", ("Records", 0, "flag"), True),
        ("Records[0].none=text", ("Records", 0, "none"), "text"),
        ('Records[0].none={"a":1}', ("Records", 0, "none"), {"a": 1}),
        ('Records[0].more["a.b"]=3', ("Records", 0, "more", "a.b"), 3),
        ('Records[0].more["x=[y]"]=3', ("Records", 0, "more", "x=[y]"), 3),
        ("detail.order=[1, 2]", ("detail", "order"), [1, 2]),
        ("detail.order-id=order-7", ("detail", "order-id"), "order-7"),
        ("Records[1]={}", ("Records", 1), {}),
        ('["detail"]=null', ("detail",), None),
    ],
)
def test_a_member_is_replaced_or_added(change, path, value):
    event = changed(change)

    found = event
    for step in path:
        found = found[step]
    assert found == value
    assert type(found) is type(value)


def test_changes_apply_in_their_order_and_the_event_itself_stays():
    before = copy.deepcopy(EVENT)

    assert changed("detail.a={}", "detail.a.b=1")["detail"] == {"a": {"b": 1}}
    assert before == EVENT


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("", "'' is not PATH=VALUE"),
        ("Records", "'Records' is not PATH=VALUE"),
        ("=1", "'=1' is not PATH=VALUE"),
        (".Records=1", "the path cannot be read from '.Records=1' on"),
        ("Records[0]body=1", "the path cannot be read from 'body=1' on"),
        ("Records..body=1", "the path cannot be read from '..body=1' on"),
        ("Records[x].body=1", "the path cannot be read from '[x].body=1' on"),
        ("Records[-1].body=1", "the path cannot be read from '[-1].body=1' on"),
        ('Records["x.body=1', "the path cannot be read from"),
        (r'["\q"]=1', r'"\q" is not a JSON string'),
        (r'detail.a="\ud800"', "is not text: it has halves of characters"),
        ("Records[1].body=\udcff", "is not text: it has halves of characters"),
        ("Records[0].size=" + "[" * 100_000, "the member is a number, and the value is not JSON"),
        ("Records[2].body=1", "Records has 2 elements, counted from 0"),
        ("Records[2]=1", "Records has 2 elements, counted from 0"),
        ("detail[0]=1", "detail is an object, which has no positions"),
        ("Records.body=1", "Records is a list, which has no member 'body'"),
        ("Records[0].body.id=1", "Records[0].body is text, which has no member 'id'"),
        ("Records[0].size.id=1", "Records[0].size is a number, which has no member 'id'"),
        ("Records[0].none.id=1", "Records[0].none is null, which has no member 'id'"),
        ("Records[0].flag.id=1", "Records[0].flag is a boolean, which has no member 'id'"),
        ("record[0].body=1", "the event has no member 'record', but Records, detail"),
        ("detail.a.b=1", "detail has no member 'a', but none"),
        ("Records[0].size=many", "the member is a number, and the value is not JSON"),
        ("Records[0].size=NaN", "the member is a number, and the value is not JSON"),
        ("Records[0].size=", "the member is a number, and the value is not JSON"),
    ],
)
def test_what_leads_nowhere_is_refused_by_name(change, told):
    with pytest.raises(EventRouterError) as refusal:
        changed(change)

    assert repr(change) in str(refusal.value)
    assert told in str(refusal.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.property
@given(event=st.dictionaries(st.text(max_size=5), JSON, min_size=1), data=st.data(), value=JSON)
def test_every_member_can_be_reached_and_only_it_changes(event, data, value):
    path, here = "", event
    while True:
        step = data.draw(st.sampled_from(list(here) if isinstance(here, dict) else range(len(here))))
        path += f"[{json.dumps(step)}]"
        parent, here = here, here[step]
        if not isinstance(here, dict | list) or not here or data.draw(st.booleans()):
            break

    result = edited(event, [f"{path}={json.dumps(value)}"])

    parent[step] = json.dumps(value) if isinstance(here, str) else value
    assert result == event
