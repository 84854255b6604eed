"""Planted bugs: each breaks one promise, and the simulation must find it within some seeds.

A bug is a list of replacements in files of `eventrouter`. They are applied to the sources of modules as these are
imported, and to the joined texts of scripts; nothing on disk changes. A text that is not there any more is an error.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from eventrouter.store.lua import Script


class Change(NamedTuple):
    """Text replaced in a file, named from the package's folder."""

    file: str
    old: str
    new: str


def _script(name: str, old: str, new: str) -> Change:
    return Change(f"store/scripts/{name}.lua", old, new)


MUTANTS: dict[str, list[Change]] = {
    # Section 14 of the design: hosts and events.
    "claim without the register": [
        _script("events_claim", "if redis.call('HGET', KEYS[7], ARGV[1]) ~= '1' then", "if false then"),
    ],
    "finish without the attempt": [
        _script(
            "events_settle",
            "local mark = 'C|' .. inc .. '|' .. item.attempt .. '|'",
            "local mark = 'C|' .. inc .. '|'",
        ),
    ],
    "finish without a fence": [
        _script("events_settle", "string.sub(value, 1, #mark) ~= mark then", "false then"),
    ],
    "put without tombstones": [_script("events_put", "== 1 or buried(id) then", "== 1 then")],
    "requeue without the owner": [
        _script("events_requeue", "if e and e.s == 'C' and e.o == inc then", "if e then"),
    ],
    "retry that forgets to requeue": [
        _script("events_settle", "redis.call('ZADD', queue, string.format('%.0f', e.d), id)", ""),
    ],
    "claim that drops the index": [
        _script("events_claim", "reindex(KEYS[5], KEYS[6], KEYS[10], fn)\nreturn answer\n", "return answer\n"),
    ],
    "reaping without fencing": [
        _script("events_fence", "redis.call('HSET', KEYS[1], ARGV[1], '0')", ""),
        _script("events_requeue", "if redis.call('HGET', KEYS[5], ARGV[1]) == '1' then", "if false then"),
        _script(
            "events_gone", "redis.call('HGET', KEYS[1], ARGV[1]) == '1' or redis.call('HLEN', KEYS[2]) > 0", "false"
        ),
    ],
    "claim that repeats itself": [
        _script("events_claim", "if seq < last then", "if false then"),
        _script("events_claim", "if seq == last then", "if false then"),
    ],
    "settlement that keeps its owner": [
        _script("events_settle", "redis.call('HDEL', KEYS[8], unpack(released))", ""),
    ],
    # Beats, silence, fencing.
    "burial after three seconds": [
        Change("rules/witness.py", "SILENCE_S = 10.0", "SILENCE_S = 3.0"),
        Change("rules/witness.py", "LOOKS = 10", "LOOKS = 3"),
    ],
    "keepers that never kill": [Change("rules/witness.py", "FENCE_KILL_S = 8.0", "FENCE_KILL_S = 80.0")],
    "dead that are never reaped": [
        Change(
            "planes/membership.py",
            "            requeued = await self._hosts.reap(incarnation)\n",
            "            requeued = 0\n",
        ),
    ],
    "strays that are never returned": [
        Change("planes/claims.py", "if strays := [event_id for event_id, _ in unknown & self._suspects]:", "if False:"),
    ],
    # Slots.
    "slots that a failover leaks": [
        Change("store/slots.py", "found = strays & turns.suspects", "found: set[str] = set()"),
    ],
    "drop of slots that counts twice": [
        _script(
            "slots_turn",
            "if fn and redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then",
            "if true then fn = fn or '000000000000:us-east-1:work'",
        ),
    ],
    "one slot more than reserved": [
        _script("slots_turn", "room[bound] = tonumber(reserved) - ", "room[bound] = 1 + tonumber(reserved) - "),
    ],
    "a hold that binds whoever has a slot": [
        _script("events_claim", "if ARGV[6] == '1' or not held or", "if not held or"),
    ],
    # Retries and destinations.
    "retry after six seconds": [
        Change("rules/retry.py", "Retry(policy.retry_base_ms * (", "Retry(policy.retry_base_ms // 10 * (")
    ],
    "one retry too many": [
        Change(
            "rules/retry.py",
            "if tally.errors >= policy.max",
            "if tally.errors > policy.max",
        ),
    ],
    # Streams.
    "save of a lane without its epoch": [
        _script("lane_save", "if lane[1] ~= ARGV[1] or lane[2] ~= ARGV[2] then return {'LOST'} end", ""),
    ],
    "lane taken from the living": [
        _script(
            "lane_take", "if owner ~= '' and owner ~= ARGV[1] and owner ~= ARGV[3] then return {'HELD', owner} end", ""
        ),
    ],
    "lane state that a takeover forgets": [
        _script(
            "lane_take",
            "  redis.call('HDEL', KEYS[1], 'q')",
            "  for _, f in ipairs(redis.call('HKEYS', KEYS[1])) do "
            "if not string.find('o e n c', f, 1, true) then redis.call('HDEL', KEYS[1], f) end end",
        ),
    ],
    "records that are put twice": [
        _script("shard_put", "  if known then\n    local ms", "  if false then\n    local ms")
    ],
    "partial failure off by one": [
        Change(
            "rules/shard.py",
            "rest = Range(batch[index].sequence, current.last)",
            "rest = Range(batch[min(index + 1, len(batch) - 1)].sequence, current.last)",
        ),
    ],
    "bisection that loses its second half": [
        Change("rules/shard.py", "pending=(first, second, *later)", "pending=(first, *later)"),
    ],
    # Queues.
    "delete with a stale receipt": [
        _script(
            "queue_delete",
            "elseif record.n ~= tonumber(ARGV[i + 1]) or record.r ~= ARGV[i + 2] then",
            "elseif false then",
        ),
    ],
    "group that is not locked": [
        _script(
            "queue_receive",
            "if #taken == limit or tonumber(redis.call('ZSCORE', V, id)) > now then break end",
            "if #taken == limit then break end",
        ),
    ],
    "messages received for ever": [_script("queue_receive", "if record.n >= most then", "if false then")],
    "deduplication that forgets": [
        _script("queue_send", "if first and tonumber(redis.call('ZSCORE', FX, key)) > agreed then", "if false then"),
        _script("queue_send", "if stored then return {id, cjson.decode(stored).q or ''} end", ""),
    ],
    "messages of the dead stay hidden": [
        _script(
            "queue_return",
            "if tonumber(redis.call('ZSCORE', V, id)) > now then redis.call('ZADD', V, text(now), id) end",
            "",
        ),
    ],
    # Calls.
    "late starts": [
        _script("inbox_decide", "if what == 'start' and (removed == 0 or", "if what == 'start' and (false or"),
    ],
    # Memory.
    "beats that need memory": [_script("host_beat", "redis.call('HDEL', KEYS[1], '~')", "")],
}


def apply(name: str) -> Mapping[str, Script]:
    """Have modules that are imported from now on, and the scripts that are returned, hold a planted bug."""
    changes = MUTANTS[name]
    modules = [change for change in changes if change.file.endswith(".py")]
    if modules:
        sys.meta_path.insert(0, _Finder(modules))
    return scripts_with([change for change in changes if change.file.endswith(".lua")])


def scripts_with(changes: Sequence[Change]) -> Mapping[str, Script]:
    """Return the scripts with texts replaced."""
    from eventrouter.store.lua import SCRIPTS, Script  # not before the modules that it needs are changed

    scripts = dict(SCRIPTS)
    for change in changes:
        name = Path(change.file).stem
        text = scripts[name].text
        if change.old not in text:
            raise ValueError(f"{name} no longer holds {change.old!r}")
        scripts[name] = Script.of(name, text.replace(change.old, change.new))
    return scripts


class _Finder(importlib.abc.MetaPathFinder):
    """Finds changed modules first."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        file = fullname.removeprefix("eventrouter.").replace(".", "/") + ".py"
        mine = [change for change in self._changes if change.file == file]
        if not mine or not fullname.startswith("eventrouter."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, mine)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, changes: Sequence[Change]) -> None:
        super().__init__(name, path)
        self._changes = changes

    def get_code(self, fullname: str) -> CodeType:
        text = Path(self.path).read_text(encoding="utf-8")
        for change in self._changes:
            if change.old not in text:
                raise ValueError(f"{self.path} no longer holds {change.old!r}")
            text = text.replace(change.old, change.new)
        return compile(text, self.path, "exec")
