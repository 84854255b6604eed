"""Whatever a template says, it is read or refused with its line: nothing else comes out."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter.project.model import ProjectError
from eventrouter.project.template import read_template
from eventrouter.project.yaml_lines import load, parse

pytestmark = pytest.mark.property

HERE = Path(__file__).parent / "templates"
TEMPLATES = [load(path).plain for path in sorted(HERE.glob("*.yaml"))]
TEXTS = st.sampled_from(
    ["", "x", "Ref", "Fn::Sub", "Fn::If", "${Stage}", "${A.B}", "AWS::NoValue", "Orders", "*", "arn:aws:sqs:a", "true"]
) | st.text(max_size=3)
EXPRESSIONS = st.builds(
    lambda name, argument: {name: argument},
    st.sampled_from(["Ref", "Fn::GetAtt", "Fn::Sub", "Fn::Join", "Fn::If", "Fn::Select", "Fn::FindInMap", "Condition"]),
    TEXTS | st.lists(TEXTS, max_size=3),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats(0, 9) | TEXTS | EXPRESSIONS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything in a tree."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, child in inner for found in [(*path, key), *places(child, (*path, key))]]


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """A template in which one to three things are something else, or gone."""
    tree = copy.deepcopy(draw(st.sampled_from(TEMPLATES)))
    for _ in range(draw(st.integers(1, 3))):
        *path, key = draw(st.sampled_from(places(tree)))
        holder = tree
        for step in path:
            holder = holder[step]
        if draw(st.booleans()):
            holder[key] = draw(VALUES)
        else:
            del holder[key]
    return tree


def refused(read: Callable[[], object]) -> ProjectError | None:
    """Return why nothing was read; None if something was."""
    try:
        read()
    except ProjectError as error:
        return error
    return None


@given(changed())
@settings(max_examples=300, deadline=None)
def test_a_template_that_was_changed_anywhere_is_read_or_refused_with_its_place(tree: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.json")
        path.write_text(json.dumps(tree, indent=1))
        Path(folder, "code").mkdir()

        refusal = refused(lambda: read_template(path))

        assert refusal is None or refusal.place.file == str(path)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"\\ \n\t#,?%@`<=1.~", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_tree_or_refused(text: str) -> None:
    refusal = refused(lambda: parse(text, "f.yaml"))

    assert refusal is None or refusal.place.file == "f.yaml"
