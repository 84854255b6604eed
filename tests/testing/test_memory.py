"""The in-memory server answers as a real one does, or says that it cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from eventrouter.store.connect import Lane, make_client, pack, redis_lanes
from eventrouter.store.embedded import EmbeddedValkey
from eventrouter.store.lua import Script
from eventrouter.testing.memory import MemoryServer
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import run_virtual
from tests.testing.memory_commands import HISTORIES, KEYS, Command

NOW = 1_767_225_600.25
UNORDERED = {"SMEMBERS", "KEYS", "SCAN", "HRANDFIELD", "HSCAN"}

CALL = """
local reply = redis.pcall(unpack(ARGV))
if type(reply) == 'table' and reply.err then return 'error ' .. string.match(reply.err, '^%S+') end
local function told(value)
  if type(value) ~= 'table' then return type(value) .. ':' .. tostring(value) end
  if value.ok then return 'ok:' .. value.ok end
  local parts = {}
  for i = 1, #value do parts[i] = told(value[i]) end
  return '[' .. table.concat(parts, ' ') .. ']'
end
return {told(reply), reply}
"""


@dataclass
class Valkey:
    """A real server, with a loop and a lane of its own."""

    runner: asyncio.Runner
    lane: Lane


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One embedded server; tests flush it."""
    with asyncio.Runner() as runner:
        server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"), "memory", maxmemory=64 * 1024 * 1024)
        runner.run(server.__aenter__())
        client = make_client(server.url)
        lane = redis_lanes(client)()
        try:
            yield Valkey(runner, lane)
        finally:
            runner.run(lane.close())
            runner.run(client.aclose())
            runner.run(server.__aexit__(None, None, None))


async def run(lane: Lane, *commands: Sequence[Any]) -> list[Any]:
    return await lane.execute([pack(tuple(command)) for command in commands])


async def run_script(lane: Lane, text: str, *arguments: Any) -> Any:
    """Run a script without keys."""
    script = Script.of("script", text)
    return (await run(lane, ("SCRIPT", "LOAD", script.text), ("EVALSHA", script.sha, 0, *arguments)))[1]


def in_script(command: Command) -> tuple[Any, ...]:
    return ("EVALSHA", Script.of("call", CALL).sha, 0, *command)


def code(error: Exception) -> str:
    """Return an error's code, which redis-py cuts off if it is ERR."""
    word = str(error).split(" ", 1)[0]
    return word if word.isupper() else "ERR"


def seen(command: Command, reply: Any) -> Any:
    """What of a reply must be the same everywhere: the code of an error, and no order where there is none."""
    if isinstance(reply, Exception):
        text = str(reply)
        assert "not implemented" not in text, (command, text)
        return type(reply), code(reply)
    name = command[0].upper().decode()
    if name in UNORDERED and isinstance(reply, list):
        if name in {"SCAN", "HSCAN"}:
            reply = reply[1]
        step = 2 if name == "HSCAN" or command[-1].upper() == b"WITHVALUES" else 1
        return sorted(tuple(reply[at : at + step]) for at in range(0, len(reply), step))
    if name in {"PTTL", "TTL"} and isinstance(reply, int) and reply > 0:
        return "alive"
    return reply


async def compare(lane: Lane, commands: Sequence[Command], *, scripted: bool) -> None:
    memory = MemoryServer(lambda: NOW).lane()
    before = [("FLUSHALL",), ("SCRIPT", "LOAD", CALL)]
    await run(memory, *before)
    await run(lane, *before)
    sent = [in_script(command) if scripted and may_be_scripted(command) else command for command in commands]
    for command, ours, theirs in zip(commands, await run(memory, *sent), await run(lane, *sent), strict=True):
        assert seen(command, ours) == seen(command, theirs), command
    for key in KEYS:
        [kind] = await run(lane, ("TYPE", key))
        assert await run(memory, ("TYPE", key)) == [kind]
        look = LOOKS.get(kind)
        if look is not None:
            command = (look[0], key, *look[1:])
            [ours], [theirs] = await run(memory, command), await run(lane, command)
            assert seen(command, ours) == seen(command, theirs), command


LOOKS = {
    b"hash": (b"HGETALL",),
    b"zset": (b"ZRANGE", b"0", b"-1", b"WITHSCORES"),
    b"set": (b"SMEMBERS",),
    b"list": (b"LRANGE", b"0", b"-1"),
    b"stream": (b"XRANGE", b"-", b"+"),
    b"string": (b"GET",),
}


def may_be_scripted(command: Command) -> bool:
    return command[0].upper().decode() not in UNORDERED | {"PTTL", "TTL"}


@pytest.mark.property
@pytest.mark.parametrize("scripted", [False, True], ids=["plain", "in a script"])
@settings(max_examples=150, deadline=None)
@given(commands=HISTORIES)
def test_random_commands_are_answered_as_by_valkey(valkey: Valkey, scripted: bool, commands: list[Command]) -> None:
    valkey.runner.run(compare(valkey.lane, commands, scripted=scripted))


# Time


TIMED: list[tuple[Any, ...]] = [
    ("TIME",),
    ("HSET", "h", "a", "1"),
    ("PEXPIRE", "h", 700),
    ("PEXPIRE", "x", 1_300),
    ("PEXPIRE", "none", 5),
    ("EXPIRE", "h", 1),
    ("PERSIST", "h"),
    ("PTTL", "h"),
    ("TTL", "x"),
    ("EXISTS", "h", "x"),
    ("HGETALL", "h"),
    ("HDEL", "h", "a"),
    ("XADD", "x", "*", "f", "v"),
    ("XADD", "x", "MAXLEN", "2", "*", "f", "v"),
    ("XRANGE", "x", "-", "+"),
    ("TYPE", "h"),
    ("SET", "h", "text"),
    ("UNLINK", "h"),
]


@pytest.mark.property
@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(TIMED), st.sampled_from([0, 0, 1, 350, 1_000, 5_000])), max_size=40))
def test_time_passes_as_in_fakeredis(steps: list[tuple[tuple[Any, ...], int]]) -> None:
    now_ms = [1_767_225_600_250]

    def now() -> float:
        return now_ms[0] / 1_000

    async def scenario() -> None:
        with virtual_redis(now) as connect:
            client = connect()
            fake, memory = redis_lanes(client)(), MemoryServer(now).lane()
            for command, passing_ms in steps:
                ours, theirs = await run(memory, command), await run(fake, command)
                shown = tuple(str(part).encode() for part in command)
                assert seen(shown, ours[0]) == seen(shown, theirs[0]), command
                now_ms[0] += passing_ms
            await fake.close()
            await client.aclose()

    asyncio.run(scenario())


# Scripts


SCRIPTS = {
    "numbers lose their fraction": "return {1, 1.9, -1.9, 2^40, '1.9'}",
    "an array ends at its first nil": "return {1, 2, nil, 4}",
    "false is nil and true is 1": "return {true, false, {}}",
    "nothing is nil": "local nothing = 1",
    "a status": "return redis.status_reply('FINE')",
    "an error": "return redis.error_reply('MINE oh')",
    "an error of one word": "return redis.error_reply('oh')",
    "an error in an array": "return {1, {err = 'MINE oh'}}",
    "a failing command": "return redis.call('HGET', 'absent')",
    "a failing command that is caught": "return redis.pcall('LRANGE', 'a', 'b', 'c').err ~= nil",
    "a mistake": "return nothing.at.all",
    "a new global": "leaked = 1 return leaked",
    "a raised text": "error('oh')",
    "numbers as arguments": "redis.call('HSET', 'h', 1, 2.5, 'big', 1767225600000, 'e', 1e15) "
    "return redis.call('HGETALL', 'h')",
    "a table as an argument": "return redis.call('GET', {})",
    "a nil reply": "return tostring(redis.call('GET', 'absent'))",
    "no command": "return redis.call()",
    "a list of arguments": "return {#KEYS, #ARGV, ARGV[1]}",
    "json of nothing": "return cjson.encode({})",
    "json of null": "return {cjson.encode({a = cjson.null}), tostring(cjson.decode('null') == cjson.null)}",
    "json of holes": "return cjson.encode({1, nil, 3})",
    "json of far holes": "return cjson.encode({[20] = 1})",
    "json of infinity": "return cjson.encode({1/0})",
    "json of a function": "return cjson.encode({print})",
    "json of numbers": "return cjson.encode({1, 1.5, 1e100, 1/3, 12345678901234567890, -0.1})",
    "json of letters": "return cjson.encode('\\1\\31\\127/\\255\\\\\"')",
    "json of keys": "return cjson.encode({[1.5] = 'x'})",
}


@pytest.mark.integration
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_answer_as_on_valkey(valkey: Valkey, name: str) -> None:
    async def scenario() -> None:
        await run(valkey.lane, ("FLUSHALL",))
        ours = await run_script(MemoryServer(lambda: NOW).lane(), SCRIPTS[name], "a\x00")
        theirs = await run_script(valkey.lane, SCRIPTS[name], "a\x00")
        assert type(ours) is type(theirs), (ours, theirs)
        if isinstance(ours, Exception):
            assert code(ours) == code(theirs)
        elif isinstance(ours, list):
            assert list(map(repr, ours)) == list(map(repr, theirs))
        else:
            assert ours == theirs

    valkey.runner.run(scenario())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(-1e6, 1e6) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=4),
    max_leaves=20,
)
BROKEN = st.sampled_from(
    [
        "",
        " ",
        "{",
        "[1,]",
        "[1 2]",
        '{"a"}',
        '{"a":}',
        "{1:2}",
        "tru",
        '"\\x"',
        '"\\u12"',
        '"\\ud800"',
        '"a',
        "[1]]",
        "-",
        "01",
        "1.",
        "1e5",
        "-0",
        '"\x00"',
        '"\x7f\x01"',
        '"\n"',
    ]
)


@pytest.mark.property
@settings(max_examples=100, deadline=None)
@given(text=JSON.map(json.dumps) | JSON.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)) | BROKEN)
def test_json_is_read_and_written_as_on_valkey(valkey: Valkey, text: str) -> None:
    again = "return cjson.encode(cjson.decode(ARGV[1]))"

    async def scenario() -> None:
        ours = await run_script(MemoryServer(lambda: NOW).lane(), again, text)
        theirs = await run_script(valkey.lane, again, text)
        assert isinstance(ours, Exception) == isinstance(theirs, Exception), (ours, theirs)
        if not isinstance(ours, Exception):
            assert len(ours) == len(theirs)
            assert json.loads(ours) == json.loads(theirs)

    valkey.runner.run(scenario())


@pytest.mark.unit
def test_json_keeps_bytes_that_are_no_text() -> None:
    lane = MemoryServer(lambda: NOW).lane()
    text = b'{"k":"\xff\xfe\\u0000"}'
    assert asyncio.run(run_script(lane, "return cjson.decode(ARGV[1]).k", text)) == b"\xff\xfe\x00"
    assert asyncio.run(run_script(lane, "return cjson.encode(cjson.decode(ARGV[1]))", text)) == text


@pytest.mark.unit
def test_tables_are_walked_in_one_order_in_every_server() -> None:
    script = """
    local found, marks = {}, {}
    for i = 1, 50 do marks['key' .. i * 7919 % 101] = i end
    for name in pairs(marks) do found[#found + 1] = name end
    return table.concat(found, ' ') .. cjson.encode(marks)
    """
    answers = {asyncio.run(run_script(MemoryServer(lambda: NOW).lane(), script)) for _ in range(4)}
    assert len(answers) == 1


@pytest.mark.unit
def test_scripts_are_known_until_they_are_flushed() -> None:
    script = Script.of("one", "return 1")

    async def scenario() -> list[Any]:
        lane = MemoryServer(lambda: NOW).lane()
        return await run(
            lane,
            ("EVALSHA", script.sha, 0),
            ("SCRIPT", "LOAD", script.text),
            ("SCRIPT", "EXISTS", script.sha, "0" * 40),
            ("EVALSHA", script.sha, 0),
            ("EVALSHA", script.sha, 1),
            ("EVALSHA", script.sha, -1),
            ("SCRIPT", "FLUSH"),
            ("EVALSHA", script.sha, 0),
            ("SCRIPT", "LOAD", "return ("),
        )

    first, sha, known, answer, short, negative, flushed, last, broken = asyncio.run(scenario())
    assert isinstance(first, NoScriptError)
    assert isinstance(last, NoScriptError)
    assert (sha, known, answer, flushed) == (script.sha.encode(), [1, 0], 1, b"OK")
    assert "greater than number of args" in str(short)
    assert "negative" in str(negative)
    assert "Error compiling script" in str(broken)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("GEOADD a 1 2 b", "GEOADD"),
        ("SET a b EX 5", "SET with options"),
        ("PEXPIRE a 5 NX", "PEXPIRE with options"),
        ("ZADD a INCR 1 b", "ZADD INCR"),
        ("ZRANGE a 0 1 BYSCORE", "ZRANGE BYSCORE"),
        ("HRANDFIELD a -5", "HRANDFIELD with a negative count"),
        ("XADD a NOMKSTREAM * b c", "XADD NOMKSTREAM"),
        ("XADD a 5-* b c", "5-*"),
        ("XREAD BLOCK 5 STREAMS a $", "XREAD after $"),
        ("SCAN 7", "a cursor other than 0"),
        ("SCAN 0 TYPE hash", "SCAN with TYPE"),
        ("SCRIPT KILL", "SCRIPT KILL"),
        ("INFO stats", "INFO stats"),
        ("INCRBY a 9007199254740993", "integers beyond 2^53"),
        ("XADD a 9007199254740993-1 b c", "stream ids beyond 2^53"),
    ],
)
def test_what_is_not_there_is_refused_by_name(command: str, named: str) -> None:
    [reply] = asyncio.run(run(MemoryServer(lambda: NOW).lane(), command.split(" ")))
    assert isinstance(reply, ResponseError)
    assert str(reply).startswith("not implemented by the in-memory server: ")
    assert named in str(reply)


# Waiting, changes, and being away


async def read(lane: Lane, *keys: str, after: str = "0-0", block_ms: int = 5_000) -> Any:
    [reply] = await run(lane, ("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", *keys, *[after] * len(keys)))
    return reply


@pytest.mark.unit
def test_a_blocked_read_ends_when_an_entry_comes_and_not_for_other_changes() -> None:
    async def scenario() -> None:
        server = MemoryServer(lambda: NOW)
        reading = asyncio.create_task(read(server.lane(), "a", "b", "a"))
        for command in (("XADD", "c", "1-1", "f", "v"), ("XTRIM", "c", "MAXLEN", 0), ("UNLINK", "c")):
            await run(server.lane(), command)
            await asyncio.sleep(1)
            assert not reading.done()
        await run(server.lane(), ("XADD", "b", "1-1", "f", "v"))
        assert await reading == [[b"b", [[b"1-1", [b"f", b"v"]]]]]
        assert asyncio.get_running_loop().time() == 3

    run_virtual(scenario())


@pytest.mark.unit
def test_a_blocked_read_gives_up_in_time_though_its_keys_change() -> None:
    async def scenario() -> None:
        server = MemoryServer(lambda: NOW)
        lane = server.lane()
        await run(lane, ("XADD", "a", "5-0", "f", "v"))
        reading = asyncio.create_task(read(server.lane(), "a", after="9-9"))
        for n in range(4):
            await asyncio.sleep(1)
            await run(lane, ("XADD", "a", f"6-{n}", "f", "v"))
        assert await reading is None
        assert asyncio.get_running_loop().time() == 5

    run_virtual(scenario())


@pytest.mark.unit
def test_commands_around_a_blocked_read_keep_their_order() -> None:
    async def scenario() -> None:
        lane = MemoryServer(lambda: NOW).lane()
        wait = ("XREAD", "BLOCK", 1_000, "STREAMS", "a", "0-0")
        replies = await run(lane, ("ECHO", "1"), wait, ("ECHO", "2"), wait, ("XADD", "a", "1-1", "f", "v"), wait)
        assert replies == [b"1", None, b"2", None, b"1-1", [[b"a", [[b"1-1", [b"f", b"v"]]]]]]
        assert asyncio.get_running_loop().time() == 2

    run_virtual(scenario())


@pytest.mark.unit
def test_a_blocked_read_without_a_limit_can_be_cancelled() -> None:
    async def scenario() -> None:
        server = MemoryServer(lambda: NOW)
        reading = asyncio.create_task(read(server.lane(), "a", block_ms=0))
        await asyncio.sleep(86_400)
        reading.cancel()
        await asyncio.wait([reading])
        await run(server.lane(), ("XADD", "a", "1-1", "f", "v"))
        assert await read(server.lane(), "a") is not None

    run_virtual(scenario())


@pytest.mark.unit
def test_a_server_that_is_away_runs_nothing_and_cuts_off_who_waits() -> None:
    async def scenario() -> None:
        server = MemoryServer(lambda: NOW)
        lane = server.lane()
        reading = asyncio.create_task(read(server.lane(), "a"))
        await asyncio.sleep(1)
        server.connected = False
        replies = await run(lane, ("SET", "k", "v"), ("GET", "k"))
        assert [type(reply) for reply in replies] == [RedisConnectionError] * 2
        assert isinstance(await reading, RedisConnectionError)
        assert asyncio.get_running_loop().time() == 1
        server.connected = True
        assert await run(lane, ("GET", "k")) == [None]

    run_virtual(scenario())


@pytest.mark.unit
@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("HSET h a 1", []),
        ("HSET h a 2", [b"h"]),
        ("HDEL h none", []),
        ("HDEL h a", [b"h"]),
        ("ZADD z 1 a", []),
        ("ZADD z GT 0 a", []),
        ("ZADD z 3 a", [b"z"]),
        ("SADD s a", []),
        ("SADD s b", [b"s"]),
        ("PEXPIRE h 500", []),
        ("XTRIM x MAXLEN 5", []),
        ("XADD x 2-1 f v", [b"x"]),
        ("UNLINK none z s", [b"z", b"s"]),
        ("HSET s a b", []),
        ("FLUSHALL", [b"h", b"s", b"x", b"z"]),
    ],
)
def test_only_what_has_changed_is_told(command: str, changed: list[bytes]) -> None:
    told: list[bytes] = []
    lane = MemoryServer(lambda: NOW, on_change=told.append).lane()
    asyncio.run(run(lane, *map(str.split, ["HSET h a 1", "ZADD z 1 a", "SADD s a", "XADD x 1-1 f v"])))
    assert told == [b"h", b"z", b"s", b"x"]
    told.clear()

    asyncio.run(run(lane, command.split()))

    assert (sorted(told) if command == "FLUSHALL" else told) == changed


@pytest.mark.unit
def test_a_large_sorted_set_stays_in_order_at_both_ends_and_between() -> None:
    random = Random(5)
    model = {f"m{n}".encode(): random.randrange(5_000) for n in range(20_000)}

    async def scenario() -> None:
        lane = MemoryServer(lambda: NOW).lane()
        await run(lane, *(("ZADD", "z", score, member) for member, score in model.items()))
        for _ in range(30):
            [popped] = await run(lane, ("ZPOPMIN", "z", 300))
            assert popped[::2] == sorted(model, key=lambda member: (model[member], member))[:300]
            for member in popped[::2]:
                del model[member]
            gone = random.sample(sorted(model), 100)
            await run(lane, ("ZREM", "z", *gone), *(("ZADD", "z", 0, member) for member in gone[:50]))
            model.update(dict.fromkeys(gone, 0))
            for member in gone[50:]:
                del model[member]
        [members] = await run(lane, ("ZRANGE", "z", 0, -1))
        assert members == sorted(model, key=lambda member: (model[member], member))

    asyncio.run(scenario())


@pytest.mark.unit
def test_random_fields_are_some_of_the_fields_each_once() -> None:
    async def scenario() -> None:
        lane = MemoryServer(lambda: NOW).lane()
        await run(lane, ("HSET", "h", *(part for n in range(50) for part in (f"f{n}", n))))
        [one, some, pairs] = await run(
            lane, ("HRANDFIELD", "h"), ("HRANDFIELD", "h", 20), ("HRANDFIELD", "h", 20, "WITHVALUES")
        )
        [fields] = await run(lane, ("HGETALL", "h"))
        known = dict(zip(fields[::2], fields[1::2], strict=True))
        assert one in known
        assert set(some) != set(list(known)[:20])
        assert len(set(some)) == 20
        assert set(some) <= set(known)
        drawn = dict(zip(pairs[::2], pairs[1::2], strict=True))
        assert len(drawn) == 20
        assert drawn.items() <= known.items()

    asyncio.run(scenario())
