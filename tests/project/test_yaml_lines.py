from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.project.model import ProjectError
from eventrouter.project.yaml_lines import MAX_FILE_BYTES, load, parse

pytestmark = pytest.mark.unit


def test_every_value_knows_the_line_of_its_key() -> None:
    root = parse("a:\n  b:\n    - x\n    - y\n  c: |\n    text\n", "f.yaml")

    assert root.mapping["a"].line == 1
    assert root.mapping["a"].mapping["b"].line == 2
    assert [item.line for item in root.mapping["a"].mapping["b"].items] == [3, 4]
    assert root.mapping["a"].mapping["c"].line == 5
    assert str(root.mapping["a"].mapping["c"].place) == "f.yaml:5"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("0", 0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("off", "off"),
        ("2012-10-17", "2012-10-17"),
        ("000000000000", "000000000000"),
        ("0123", "0123"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ('"1"', "1"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
    ],
)
def test_plain_scalars_are_numbers_truths_nothing_or_text(text: str, value: object) -> None:
    found = parse(f"a: {text}", "f").plain["a"]

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref X", {"Ref": "X"}),
        ("!Condition X", {"Condition": "X"}),
        ("!GetAtt A.B.C", {"Fn::GetAtt": ["A", "B.C"]}),
        ("!GetAtt [A, B]", {"Fn::GetAtt": ["A", "B"]}),
        ("!Sub '${A}'", {"Fn::Sub": "${A}"}),
        ("!Join [',', [a, !Ref B]]", {"Fn::Join": [",", ["a", {"Ref": "B"}]]}),
    ],
)
def test_short_tags_are_read_as_their_long_form(short: str, long: object) -> None:
    assert parse(f"a: {short}", "f").plain == {"a": long}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' stands here twice; first on line 1"),
        ("a: 1\nb: [", 3, "is not valid YAML"),
        ("a:\n\tb: 1", 2, "is not valid YAML"),
        ("a: !Nope x", 1, "the tag !Nope is not one of CloudFormation's"),
        ("a: !GetAtt Queue", 1, "!GetAtt Queue names no attribute"),
        ("a: 1\n? [x]\n: 2", 2, "a key must be text"),
        ("a: &x\n  b: *x", 2, "an alias stands inside of what it names"),
        ("a: 1\n---\nb: 2", 2, "is not valid YAML"),
        ("a:\n  <<: 1", 2, "`<<` merges mappings alone"),
        ("a: !!int x", 1, "'x' is no int"),
        ("a:\n  " + "[" * 200_000, 2, "is nested deeper than 100 levels"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        parse(text, "f.yaml")

    assert message in caught.value.message
    assert caught.value.place.file == "f.yaml"
    assert caught.value.place.line == line


def test_aliases_that_unfold_to_billions_are_refused() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 10):
        text += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"

    with pytest.raises(ProjectError, match="unfolds to more than 200000 values"):
        parse(text, "f.yaml")


def test_aliases_do_not_nest_deeper_than_what_is_written_out() -> None:
    deep = "".join(f"a{i}: &a{i} {'[' * 60}*a{i - 1}{']' * 60}\n" for i in range(1, 60))

    with pytest.raises(ProjectError, match="is nested deeper than 100 levels"):
        parse(f"a0: &a0 x\n{deep}", "f")


def test_merged_keys_give_way_to_own_ones_wherever_they_stand() -> None:
    text = "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\none:\n  b: 9\n  <<: [*base, *other]\n"

    assert parse(text, "f").plain["one"] == {"a": 1, "b": 9, "c": 4}


KEYS = st.text(max_size=80)
"""Not longer than a key may be when every character is escaped."""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    )
)
@pytest.mark.property
def test_json_reads_as_json(value: object) -> None:
    for indent in (None, "\t"):
        text = json.dumps({"value": value}, indent=indent)

        assert parse(text, "f.json").plain == {"value": value}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing, binary, large = tmp_path / "missing.yaml", tmp_path / "binary.yaml", tmp_path / "large.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\n")
    large.write_bytes(b"#" * (MAX_FILE_BYTES + 1))

    for path, message in (
        (missing, "cannot be read: No such file"),
        (binary, ":2: is not UTF-8"),
        (large, "is too large"),
    ):
        with pytest.raises(ProjectError) as caught:
            load(path)
        assert str(caught.value).startswith(str(path))
        assert message in str(caught.value)


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("# a comment\n")

    assert load(path).value is None


def test_a_value_of_another_kind_is_refused_in_words() -> None:
    root = parse("a: 1\nb: [x]\nc: {d: null}", "f")

    for wrong, message in (
        (lambda: root.mapping["a"].mapping, "f:1: expected a mapping, found 1"),
        (lambda: root.mapping["a"].items, "f:1: expected a list, found 1"),
        (lambda: root.mapping["b"].text, "f:2: expected text, found a list"),
        (lambda: root.mapping["c"].text, "f:3: expected text, found a mapping"),
        (lambda: root.mapping["c"].mapping["d"].text, "f:3: expected text, found nothing"),
    ):
        with pytest.raises(ProjectError) as caught:
            wrong()
        assert str(caught.value) == message
