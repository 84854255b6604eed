"""Whatever a file says, it is read or refused with its place: nothing else comes out."""

import copy
import json
import string
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter.project.model import ProjectError
from eventrouter.project.serverless import read_serverless
from eventrouter.project.toml import read_toml
from eventrouter.project.yaml_lines import parse
from tests.project.test_serverless import SHOP
from tests.project.test_toml import EVERYTHING
from tests.project.test_toml_lines import toml_string, toml_value

pytestmark = pytest.mark.property

SERVICE = parse(SHOP, "serverless.yml").plain
DOCUMENT = json.loads(json.dumps(tomllib.loads(EVERYTHING), default=str))
TEXTS = st.sampled_from(
    [
        "",
        "x",
        "${self:}",
        "${self:custom}",
        "${opt:a}",
        "${opt:stage, 'x'}",
        "${ssm:x}",
        "${",
        "*",
        "30s",
        "arn:aws:sqs:a",
    ]
) | st.text(string.ascii_letters, max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats(0, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)


def places(value, path=()):
    """Return the path of everything in a tree."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, child in inner for found in [(*path, key), *places(child, (*path, key))]]


@st.composite
def changed(draw, tree):
    """A tree in which one to three things are something else, or gone."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        *path, key = draw(st.sampled_from(places(tree)))
        holder = tree
        for step in path:
            holder = holder[step]
        if draw(st.booleans()):
            holder[key] = draw(VALUES)
        else:
            del holder[key]
        if not tree:
            break
    return tree


def without_nothing(value):
    """Return a tree without what TOML cannot say."""
    match value:
        case dict():
            return {key: without_nothing(child) for key, child in value.items() if child is not None}
        case list():
            return [without_nothing(child) for child in value if child is not None]
        case float():
            return int(value)
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("project")
    (path / "src").mkdir()
    return path


def refusal(read, path):
    """Return the text of the error of reading a file; its own path if it is read."""
    try:
        assert read(path).region
    except ProjectError as error:
        return str(error)
    return str(path)


@given(tree=changed(SERVICE))
@settings(max_examples=300, deadline=None)
def test_any_service_is_read_or_refused(folder, tree):
    path = folder / "serverless.yml"
    path.write_text(json.dumps(tree))

    assert refusal(lambda path: read_serverless(path, environ={}), path).startswith(str(path))


@given(tree=changed(DOCUMENT))
@settings(max_examples=300, deadline=None)
def test_any_settings_file_is_read_or_refused(folder, tree):
    pairs = without_nothing(tree).items()
    path = folder / "eventrouter.toml"
    path.write_text("\n".join(f"{toml_string(key)} = {toml_value(value)}" for key, value in pairs))

    assert refusal(read_toml, path).startswith(str(path))
