"""What a `redis_url` names: one server, a primary that sentinels watch, or a cluster.

`redis://`, `rediss://` (TLS), `valkey://`, `valkeys://` and `unix://` name one server. With `+sentinel` the hosts are
sentinels and the path is the name they know the primary by, then perhaps the database. With `+cluster` they are some
nodes of the cluster. User, password and options, such as TLS files, are those of the servers; sentinels have
`sentinel_username` and `sentinel_password` of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode

EXAMPLES = "redis://, rediss://, unix://, valkey://, redis+sentinel://s1,s2,s3/mymaster or redis+cluster://h1,h2"

_SCHEME = re.compile(r"(?P<base>redis|rediss|valkey|valkeys|unix)(?:\+(?P<kind>sentinel|cluster))?://")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(?::(?P<port>\d{1,5}))?")
_PORTS = {"sentinel": 26379, "cluster": 6379}
_TLS = {"rediss", "valkeys"}
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """A URL taken apart. `one` is the URL itself where it names one server; `hosts` are the others' addresses."""

    kind: Literal["server", "sentinel", "cluster"]
    one: str = ""
    hosts: tuple[Address, ...] = ()
    service: str = ""
    scheme: str = "redis"
    credentials: str = ""
    sentinel_credentials: str = ""
    database: int = 0
    query: str = ""

    def at(self, address: Address) -> str:
        """Return the URL of one server, with the credentials and options of all."""
        return self._of(address, self.credentials, f"/{self.database}")

    def sentinel_at(self, address: Address) -> str:
        """Return the URL of one sentinel."""
        return self._of(address, self.sentinel_credentials, "")

    def _of(self, address: Address, credentials: str, path: str) -> str:
        host, port = address
        bracketed = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{credentials}{bracketed}:{port}{path}{self.query}"


def read_redis_url(text: str) -> RedisUrl:
    """Take a URL apart. Raises ValueError with the rule that it breaks."""
    matched = _SCHEME.match(text)
    if matched is None or (matched["kind"] and matched["base"] == "unix"):
        raise ValueError(f"must be {EXAMPLES}")
    rest = text[matched.end() :]
    scheme = "rediss" if matched["base"] in _TLS else "redis"
    if matched["kind"] is None:
        return RedisUrl(kind="server", one=text if matched["base"] == "unix" else f"{scheme}://{rest}")
    head, _, query = rest.partition("?")
    credentials, at, tail = head.rpartition("@")
    hosts, _, path = tail.partition("/")
    options = parse_qsl(query, keep_blank_values=True)
    sentinel = dict(options)
    kept = [(name, value) for name, value in options if name not in _SENTINEL_OPTIONS]
    many = RedisUrl(
        kind="cluster",
        hosts=tuple(_address(host, _PORTS[matched["kind"]]) for host in hosts.split(",")),
        scheme=scheme,
        credentials=credentials + at,
        query=f"?{urlencode(kept)}" if kept else "",
    )
    if matched["kind"] == "cluster":
        if path not in {"", "0"}:
            raise ValueError("must name no database but 0: a cluster has one")
        return many
    service, _, database = path.partition("/")
    if not service:
        raise ValueError("must end with the name of the primary, such as /mymaster: what the sentinels call it")
    if database and not database.isdigit():
        raise ValueError("must name the database by a number, after the name of the primary")
    user, password = (sentinel.get(name, "") for name in _SENTINEL_OPTIONS)
    return replace(
        many,
        kind="sentinel",
        service=unquote(service),
        database=int(database or 0),
        sentinel_credentials=f"{_quoted(user)}:{_quoted(password)}@" if password else "",
    )


def _address(text: str, port: int) -> Address:
    matched = _HOST.fullmatch(text.strip())
    if matched is None or int(matched["port"] or port) > 65_535:
        raise ValueError(f"must name hosts as host or host:port, separated by commas, not {text!r}")
    return matched["host"].strip("[]"), int(matched["port"] or port)


def _quoted(text: str) -> str:
    return urlencode({"": text})[1:].replace("+", "%20")
