"""Random commands for the in-memory server: every command it has, in every form, right and wrong."""

from __future__ import annotations

from itertools import chain
from typing import Any

from hypothesis import strategies as st

Command = tuple[bytes, ...]
Strategy = st.SearchStrategy[Command]

OWN = {"hash": b"h", "zset": b"z", "set": b"s", "list": b"l", "stream": b"x", "string": b"t"}
KEYS = [*OWN.values(), b"other\x00\xff"]

NAMES = st.sampled_from([b"a", b"b", b"c", b"a\x00", b"\xff\r\n", b"", b"k:1", b"B"])
SHORT = st.one_of(NAMES, st.sampled_from([b"0", b"1", b"-7", b"3.5", b" 1", b"01", b"+1", b"x" * 60]))
"""Hashes of short values are in order on a real server too."""
VALUES = st.one_of(SHORT, st.just(b"x" * 1_500))
INTEGERS = st.sampled_from([b"0", b"1", b"2", b"-1", b"-2", b"5", b"100", b"-100", b"one", b"1.5", b"", b"007", b"-0"])
COUNTS = st.sampled_from([b"0", b"1", b"2", b"3", b"100"])
SCORES = st.sampled_from(
    [b"0", b"1", b"2", b"-3", b"1.5", b"0.25", b"1e3", b"1767225600000", b"inf", b"-inf", b"+inf", b"nan", b"x", b""]
)
BOUNDS = st.one_of(SCORES, st.sampled_from([b"(1", b"(2", b"(-inf", b"(1767225600000", b"(x", b"(0.25"]))
LEX = st.one_of(st.sampled_from([b"-", b"+", b"a", b""]), NAMES.map(b"[".__add__), NAMES.map(b"(".__add__))
IDS = st.sampled_from([b"1-1", b"1-2", b"2", b"2-0", b"2-7", b"3-1", b"10-0", b"0-0", b"0-1", b"x", b"1-x", b"-1"])
RANGE_IDS = st.one_of(IDS, st.sampled_from([b"-", b"+", b"(1-1", b"(2-0", b"(3", b"(x"]))
PATTERNS = st.sampled_from([b"*", b"?", b"a*", b"[ab]", b"[^a]", b"k:*", b"*\\*", b"other*", b"\xff*", b""])


def _key(kind: str) -> st.SearchStrategy[bytes]:
    """Mostly the key that holds this kind of value."""
    return st.sampled_from([OWN[kind]] * 8 + KEYS)


def _form(name: str, *parts: st.SearchStrategy[Any] | bytes) -> Strategy:
    """A command of parts: each gives one argument, or a sequence of them."""
    strategies = [st.just(part) if isinstance(part, bytes) else part for part in parts]

    def join(values: tuple[Any, ...]) -> Command:
        flat: list[bytes] = []
        for value in values:
            flat += [value] if isinstance(value, bytes) else value
        return (name.encode(), *flat)

    return st.tuples(*strategies).map(join)


def _some(*parts: st.SearchStrategy[bytes], most: int = 4) -> st.SearchStrategy[list[bytes]]:
    return st.lists(st.tuples(*parts), max_size=most).map(lambda found: [part for each in found for part in each])


def _maybe(*parts: st.SearchStrategy[bytes] | bytes) -> st.SearchStrategy[list[bytes]]:
    strategies = [st.just(part) if isinstance(part, bytes) else part for part in parts]
    return st.one_of(st.just([]), st.tuples(*strategies).map(list))


def _hashes() -> list[Strategy]:
    key = _key("hash")
    return [
        _form("HSET", key, _some(NAMES, SHORT)),
        _form("HSET", key, NAMES, SHORT),
        _form("hset", key, NAMES, SHORT, NAMES),
        _form("HSETNX", key, NAMES, SHORT),
        _form("HGET", key, NAMES),
        _form("HMGET", key, _some(NAMES)),
        _form("HDEL", key, _some(NAMES)),
        _form("HEXISTS", key, NAMES),
        _form("HLEN", key),
        _form("HINCRBY", key, NAMES, INTEGERS),
        _form("HGETALL", key),
        _form("HKEYS", key),
        _form("HVALS", key),
        _form("HSCAN", key, b"0", _maybe(b"MATCH", PATTERNS), _maybe(b"COUNT", COUNTS)),
        _form("HRANDFIELD", key, b"100", _maybe(b"WITHVALUES")),
        _form("HRANDFIELD", key, b"0"),
    ]


def _zsets() -> list[Strategy]:
    key = _key("zset")
    options = st.lists(st.sampled_from([b"NX", b"XX", b"GT", b"LT", b"CH", b"nx"]), max_size=2)
    limit = _maybe(b"LIMIT", INTEGERS, INTEGERS)
    scores = st.lists(st.just(b"WITHSCORES"), max_size=1)
    return [
        _form("ZADD", key, options, _some(SCORES, NAMES)),
        _form("ZADD", key, SCORES, NAMES),
        _form("ZADD", key, SCORES, NAMES, SCORES, NAMES, SCORES, NAMES),
        _form("ZREM", key, _some(NAMES)),
        _form("ZSCORE", key, NAMES),
        _form("ZCARD", key),
        _form("ZCOUNT", key, BOUNDS, BOUNDS),
        _form("ZRANGE", key, INTEGERS, INTEGERS, _maybe(b"REV"), scores),
        _form("ZRANGEBYSCORE", key, BOUNDS, BOUNDS, scores, limit),
        _form("ZRANGEBYSCORE", key, BOUNDS, BOUNDS, limit, scores),
        _form("ZPOPMIN", key, _maybe(INTEGERS)),
        _form("ZRANGEBYLEX", st.just(b"lex"), LEX, LEX, limit),
        _form("ZADD", st.just(b"lex"), b"0", NAMES),
        _form("ZREM", st.just(b"lex"), NAMES),
    ]


def _streams() -> list[Strategy]:
    key = _key("stream")
    fields = st.one_of(_some(NAMES, VALUES), st.just([b"f"]), st.just([b"f", b"v"]))
    exact = st.sampled_from([[b"MAXLEN"], [b"MAXLEN", b"="]]).flatmap(lambda part: INTEGERS.map(lambda n: [*part, n]))
    oldest = st.sampled_from([[b"MINID"], [b"MINID", b"="]]).flatmap(lambda part: IDS.map(lambda i: [*part, i]))
    trim = st.one_of(exact, oldest)
    count = _maybe(b"COUNT", COUNTS)
    return [
        _form("XADD", key, IDS, fields),
        _form("XADD", key, st.integers(1, 60).map(lambda n: b"%d-%d" % (n // 6 + 1, n % 6)), b"f", VALUES),
        _form("XADD", key, trim, IDS, fields),
        _form("XLEN", key),
        _form("XDEL", key, _some(IDS)),
        _form("XTRIM", key, trim),
        _form("XTRIM", key, st.lists(st.sampled_from([b"MAXLEN", b"~", b"LIMIT", b"9"]), max_size=4)),
        _form("XRANGE", key, RANGE_IDS, RANGE_IDS, count),
        _form("XREVRANGE", key, RANGE_IDS, RANGE_IDS, count),
        _form("XREAD", count, b"STREAMS", key, IDS),
        _form("XREAD", count, b"STREAMS", key, b"absent", IDS, IDS),
        _form("XREAD", b"STREAMS", key, key, IDS),
    ]


def _others() -> list[Strategy]:
    every = st.sampled_from(KEYS)
    strings, sets, lists = _key("string"), _key("set"), _key("list")
    return [
        _form("EXISTS", _some(every)),
        _form("DEL", every),
        _form("UNLINK", _some(every, most=2)),
        _form("TYPE", every),
        _form("KEYS", PATTERNS),
        _form("SCAN", b"0", _maybe(b"MATCH", PATTERNS), _maybe(b"COUNT", COUNTS)),
        _form("PERSIST", every),
        _form("PTTL", every),
        _form("TTL", every),
        _form("PEXPIRE", every, st.sampled_from([b"3600000", b"0", b"-5", b"x"])),
        _form("PING"),
        _form("ECHO", VALUES),
        _form("GET", strings),
        _form("SET", strings, VALUES),
        _form("INCR", strings),
        _form("INCRBY", strings, INTEGERS),
        _form("SADD", sets, _some(NAMES)),
        _form("SREM", sets, _some(NAMES)),
        _form("SISMEMBER", sets, NAMES),
        _form("SMEMBERS", sets),
        _form("RPUSH", lists, _some(VALUES)),
        _form("LRANGE", lists, INTEGERS, INTEGERS),
        _form("LTRIM", lists, INTEGERS, INTEGERS),
        _form("LLEN", lists),
    ]


_FAMILIES = [_hashes(), _zsets(), _streams(), _others()]

HISTORIES: st.SearchStrategy[list[Command]] = st.one_of(
    *(st.lists(st.one_of(*family), min_size=5, max_size=40) for family in [*_FAMILIES, list(chain(*_FAMILIES))])
)
"""Of one family, so that its values grow fuller, or of all."""
