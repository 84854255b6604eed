"""Lines of keys in TOML files."""

import string
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.project.toml_lines import key_lines, line_of

pytestmark = pytest.mark.unit

TEXT = '''\
# a comment = "with [brackets]"
port = 4566
a.b."c.d" = 1

[functions.orders]   # [[not a table]]
handler = "app.handler"
text = """
[not.a.table]
key = "\\"""
"""
quotes = """""two inside"""""
literal = \'\'\'
x = 1
\'\'\'
environment = { A = "1", "B" = { C = ["]", \'}\'] } }

[functions."or.ders"]
list = [
  1,  # one
  { key = "}" },
]

[[mappings]]
source = "q"
[mappings.tags]
team = "a"

[[mappings]]
source = "r"
[[mappings.deep]]
x = 1
[[mappings.deep]]
x = 2026-01-31T12:00:00Z
'''


def test_every_kind_of_key_is_found_on_its_line():
    lines = key_lines(TEXT)

    assert {path: line for path, line in lines.items() if path in WANTED} == WANTED


WANTED = {
    ("port",): 2,
    ("a", "b", "c.d"): 3,
    ("functions", "orders"): 5,
    ("functions", "orders", "handler"): 6,
    ("functions", "orders", "text"): 7,
    ("functions", "orders", "quotes"): 11,
    ("functions", "orders", "literal"): 12,
    ("functions", "orders", "environment", "B", "C", 1): 15,
    ("functions", "or.ders"): 17,
    ("functions", "or.ders", "list", 0): 19,
    ("functions", "or.ders", "list", 1, "key"): 20,
    ("mappings",): 23,
    ("mappings", 0): 23,
    ("mappings", 0, "source"): 24,
    ("mappings", 0, "tags"): 25,
    ("mappings", 0, "tags", "team"): 26,
    ("mappings", 1): 28,
    ("mappings", 1, "source"): 29,
    ("mappings", 1, "deep", 0, "x"): 31,
    ("mappings", 1, "deep", 1): 32,
    ("mappings", 1, "deep", 1, "x"): 33,
}


def test_what_stands_nowhere_has_the_line_of_what_is_around_it():
    lines = key_lines(TEXT)

    assert line_of(lines, ("mappings", 1, "function")) == 28
    assert line_of(lines, ("nothing", "of", "this")) == 0


def paths(value, path=()):
    """Yield the path of everything in a parsed document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, found in inner:
        yield (*path, key)
        yield from paths(found, (*path, key))


def test_all_that_the_parser_finds_has_a_line_and_nothing_else_has():
    assert set(key_lines(TEXT)) == set(paths(tomllib.loads(TEXT)))


TEXTS = st.text(st.sampled_from(string.ascii_letters + "\"'[]{}=,#. "), max_size=12)


def toml_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def toml_value(value):
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return toml_string(value)
        case list():
            return "[\n" + "".join(f"  {toml_value(item)}, # ]\n" for item in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{toml_string(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    raise AssertionError(value)


VALUES = st.recursive(
    st.booleans() | st.integers(-9, 99) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.property
@given(st.lists(st.tuples(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=4)), max_size=4, unique_by=lambda t: t[0]))
def test_any_document_s_keys_are_found_where_they_were_written(tables):
    text = ""
    written = {}
    for name, table in tables:
        text += f"# table\n[{toml_string(name)}]\n"
        written[name,] = text.count("\n")
        for key, value in table.items():
            written[name, key] = text.count("\n") + 1
            text += f"{toml_string(key)} = {toml_value(value)}\n"

    lines = key_lines(text)

    assert set(lines) == set(paths(tomllib.loads(text)))
    assert {path: lines[path] for path in written} == written
