"""Which route of an HTTP API a request takes: the most specific one whose method fits.

A full match goes before a greedy one (`{proxy+}`), that before `$default`. Among full matches a literal segment goes
before a parameter, from the left; among greedy ones the longer path. A named method goes before `ANY` on the same path.
Paths are matched segment by segment, decoded; a trailing slash makes another path. Source: lambda-semantics §6.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from eventrouter.rules.http_api import HttpRoute

DEFAULT_KEY = "$default"
ANY = "ANY"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", ANY)

_PARAMETER = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}")

Rank = tuple[int, int, tuple[bool, ...], bool]
"""How specific a match is, the most specific first: kind, length, which segments are parameters, whether by `ANY`."""

LAST: Rank = (2, 0, (), True)


class RouteKeyError(ValueError):
    """The text is no route key; the message is the rule that it breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteKey:
    """A route key, read. `segments` are (whether it is a parameter, its name or text); `$default` has no method."""

    text: str
    method: str = ""
    segments: tuple[tuple[bool, str], ...] = ()
    is_greedy: bool = False

    @property
    def resource(self) -> str:
        """Return the path of the key; `$default` is its own."""
        return self.text.partition(" ")[2] or self.text

    @property
    def rank(self) -> Rank:
        if not self.method:
            return LAST
        return (
            int(self.is_greedy),
            -len(self.segments),
            tuple(is_parameter for is_parameter, _ in self.segments),
            self.method == ANY,
        )


def parse_route_key(text: str) -> RouteKey:
    """Read `METHOD /path/{parameter}`, `METHOD /path/{rest+}` or `$default`. Raises RouteKeyError."""
    if text == DEFAULT_KEY:
        return RouteKey(text=text)
    method, space, path = text.partition(" ")
    if not space or method not in METHODS or not path.startswith("/") or re.search(r"[\s?#]", path):
        raise RouteKeyError(
            f"The provided route key {text!r} is not formatted properly for HTTP protocol. It should be $default, or "
            f"one of {', '.join(METHODS)} followed by a blank and a path that begins with /"
        )
    segments: list[tuple[bool, str]] = []
    is_greedy = False
    for text_of in path[1:].split("/"):
        if is_greedy:
            raise RouteKeyError(f"The greedy path variable of {text!r} must be its last segment")
        match = _PARAMETER.fullmatch(text_of)
        if match is None and ("{" in text_of or "}" in text_of):
            raise RouteKeyError(f"{text_of!r} in {text!r} must be a literal, or a whole variable such as {{id}}")
        is_greedy = match is not None and match[2] == "+"
        segments.append((False, unquote(text_of)) if match is None else (True, match[1]))
    names = [name for is_parameter, name in segments if is_parameter]
    if len(set(names)) < len(names):
        raise RouteKeyError(f"The path variables of {text!r} must have different names")
    return RouteKey(text=text, method=method, segments=tuple(segments), is_greedy=is_greedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMatch:
    """The route that a request takes, and the path variables' values, decoded."""

    route: HttpRoute
    key: RouteKey
    parameters: Mapping[str, str]


class RouteTable:
    """The routes of one API, the most specific first."""

    def __init__(self, routes: Iterable[HttpRoute]) -> None:
        keyed = [(parse_route_key(route.key), route) for route in routes]
        self._routes = sorted(keyed, key=lambda pair: (pair[0].rank, pair[0].text))

    def find(self, method: str, path: str) -> RouteMatch | None:
        """Return the route of a request, None if there is none. `path` is percent-encoded. Linear in the routes."""
        given = path.removeprefix("/").split("/")
        for key, route in self._routes:
            parameters = _match(key, method, given)
            if parameters is not None:
                return RouteMatch(route=route, key=key, parameters=parameters)
        return None


def _match(key: RouteKey, method: str, given: list[str]) -> dict[str, str] | None:
    """Return the path variables if the key fits, else None. A variable is never empty."""
    if not key.method:
        return {}
    if key.method not in (method, ANY):
        return None
    wanted = len(key.segments)
    if len(given) < wanted or (len(given) > wanted and not key.is_greedy):
        return None
    parameters: dict[str, str] = {}
    for index, (is_parameter, name) in enumerate(key.segments):
        is_rest = key.is_greedy and index == wanted - 1
        value = unquote("/".join(given[index:]) if is_rest else given[index])
        if not is_parameter:
            if value != name:
                return None
        elif not value:
            return None
        else:
            parameters[name] = value
    return parameters
