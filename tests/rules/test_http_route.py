"""Routes of HTTP APIs: which one a request takes."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.http_api import HttpRoute
from eventrouter.rules.http_route import RouteKeyError, RouteTable, parse_route_key

pytestmark = pytest.mark.unit

DOCUMENTED = (
    "GET /pets/dog/1",
    "GET /pets/dog/{id}",
    "GET /pets/{proxy+}",
    "ANY /{proxy+}",
    "$default",
)
"""The example of API Gateway's developer guide."""


def a_table(*keys: str) -> RouteTable:
    return RouteTable(HttpRoute(id=f"r{index}", key=key) for index, key in enumerate(keys))


def taken(table: RouteTable, method: str, path: str) -> str | None:
    match = table.find(method, path)
    return None if match is None else match.route.key


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1"),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}"),
        ("POST", "/test/5", "ANY /{proxy+}"),
        ("POST", "/pets/dog/1", "ANY /{proxy+}"),
        ("GET", "/", "$default"),
    ],
)
def test_the_most_specific_route_is_taken(method: str, path: str, expected: str) -> None:
    keys = list(DOCUMENTED)
    random.shuffle(keys)

    assert taken(a_table(*keys), method, path) == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("GET /{proxy+}", "ANY /a/b"), "ANY /a/b"),
        (("ANY /a/b", "GET /a/b"), "GET /a/b"),
        (("GET /{x}/b", "GET /a/{y}"), "GET /a/{y}"),
        (("GET /a/{y}", "ANY /a/b"), "ANY /a/b"),
        (("GET /{rest+}", "GET /a/{rest+}"), "GET /a/{rest+}"),
        (("$default", "POST /a/b"), "$default"),
        (("POST /a/b", "GET /a"), None),
        (("GET /a/b/",), None),
        (("GET /a/b/c",), None),
        (("GET /a/b/{rest+}",), None),
    ],
)
def test_full_goes_before_greedy_literal_before_variable_and_method_before_any(
    keys: tuple[str, ...], expected: str | None
) -> None:
    assert taken(a_table(*keys), "GET", "/a/b") == expected


def test_path_variables_are_decoded() -> None:
    match = a_table("GET /orders/{id}/{rest+}").find("GET", "/orders/a%20b/c/d%2Fe/")

    assert match is not None
    assert match.parameters == {"id": "a b", "rest": "c/d/e/"}


def test_a_variable_is_never_empty_and_a_trailing_slash_makes_another_path() -> None:
    table = a_table("GET /orders/{id}", "GET /{x+}", "GET /pets")

    assert taken(table, "GET", "/orders/") == "GET /{x+}"
    assert taken(table, "GET", "/") is None
    assert taken(table, "GET", "/pets/") == "GET /{x+}"


def test_literals_are_compared_decoded_and_double_slashes_are_kept() -> None:
    table = a_table("GET /caf%C3%A9", "GET /a//b")

    assert taken(table, "GET", "/caf%c3%a9") == "GET /caf%C3%A9"
    assert taken(table, "GET", "/a//b") == "GET /a//b"
    assert taken(table, "GET", "/a/b") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "should be $default, or one of GET, POST"),
        ("GET", "should be $default, or one of GET, POST"),
        ("get /a", "should be $default, or one of GET, POST"),
        ("TRACE /a", "should be $default, or one of GET, POST"),
        ("GET a", "a path that begins with /"),
        ("GET /a b", "a path that begins with /"),
        ("GET /a?x=1", "a path that begins with /"),
        ("$default /a", "should be $default, or one of GET, POST"),
        ("GET /{rest+}/a", "must be its last segment"),
        ("GET /a{id}", "'a{id}' in 'GET /a{id}' must be a literal, or a whole variable"),
        ("GET /{}", "must be a literal, or a whole variable"),
        ("GET /{a}/{a}", "must have different names"),
    ],
)
def test_what_is_no_route_key_is_refused_with_the_rule(text: str, reason: str) -> None:
    with pytest.raises(RouteKeyError, match=re.escape(reason)):
        parse_route_key(text)


def test_a_key_tells_its_resource() -> None:
    assert parse_route_key("GET /a/{id}").resource == "/a/{id}"
    assert parse_route_key("$default").resource == "$default"


SEGMENTS = st.sampled_from(["a", "b", "{x}", "{y}"])
PATHS = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@st.composite
def route_keys(draw: st.DrawFn) -> str:
    method = draw(st.sampled_from(["GET", "POST", "ANY"]))
    segments = draw(st.lists(SEGMENTS, max_size=3, unique_by=lambda text: text if text.startswith("{") else object()))
    greedy = ["{rest+}"] if not segments or draw(st.booleans()) else []
    return f"{method} /{'/'.join([*segments, *greedy])}"


@pytest.mark.property
@given(st.lists(st.one_of(route_keys(), st.just("$default")), unique=True, max_size=6), PATHS, st.randoms())
def test_the_order_of_routes_decides_nothing_and_more_routes_never_lose_a_request(
    keys: list[str], path: str, chance: random.Random
) -> None:
    first = taken(a_table(*keys), "GET", path)
    mixed = chance.sample(keys, len(keys))

    assert taken(a_table(*mixed), "GET", path) == first
    assert (first is None) == all(taken(a_table(key), "GET", path) is None for key in keys)
    assert first != "$default" or all(taken(a_table(key), "GET", path) is None for key in keys if key != "$default")
