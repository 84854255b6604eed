"""The store's conservation law: each event is in exactly one place, with its payload, and indexes show the heads."""

from __future__ import annotations

from collections import Counter

from redis.asyncio import Redis

from eventrouter.store.keys import Keys


async def audit(client: Redis, keys: Keys) -> list[str]:
    """Return every breach of the law, in all partitions; and of the counts of slots."""
    found: list[str] = []
    for partition in range(keys.partitions):
        found += [f"e{partition}: {breach}" for breach in await _audit_partition(client, keys, partition)]
    return found + await _audit_slots(client, keys)


async def _audit_partition(client: Redis, keys: Keys, partition: int) -> list[str]:
    def of(name: str) -> str:
        return keys.events(partition, name)

    found: list[str] = []
    events = {key.decode(): value.decode() for key, value in (await client.hgetall(of("ev"))).items()}
    payloads = {key.decode() for key in await client.hkeys(of("pl"))}
    responses = {key.decode() for key in await client.hkeys(of("lr"))}
    index = {key.decode(): score for key, score in await client.zrange(of("idx"), 0, -1, withscores=True)}
    holds = {key.decode(): score for key, score in await client.zrange(of("hold"), 0, -1, withscores=True)}
    queues = {
        fn: {key.decode(): score for key, score in await client.zrange(of(f"q:{fn}"), 0, -1, withscores=True)}
        for fn in await _suffixes(client, of("q:"))
    }
    owned = {
        inc: {key.decode(): value.decode() for key, value in (await client.hgetall(of(f"own:{inc}"))).items()}
        for inc in await _suffixes(client, of("own:"))
    }
    buried = [await client.smembers(of(f"tomb:{turn}")) for turn in range(3)]

    if payloads != set(events):
        found.append(f"payloads and events differ: {sorted(payloads ^ set(events))}")
    if responses - set(events):
        found.append(f"responses of no event: {sorted(responses - set(events))}")
    places = Counter(event_id for queue in queues.values() for event_id in queue)
    places += Counter(event_id for mine in owned.values() for event_id in mine)
    if set(places) - set(events):
        found.append(f"queued or owned, but no event: {sorted(set(places) - set(events))}")
    for event_id, value in events.items():
        state, owner, attempt, _, _, due, _, fn, _ = value.split("|", 8)
        if places[event_id] != 1:
            found.append(f"{event_id} is in {places[event_id]} places: {value}")
        elif state == "R" and queues.get(fn, {}).get(event_id) != float(due):
            found.append(f"{event_id} is ready but not queued as it says: {value}")
        elif state == "C" and not owned.get(owner, {}).get(event_id, "").startswith(f"{attempt}|"):
            found.append(f"{event_id} is claimed but not owned as it says: {value}")
        if any(event_id.encode() in tomb for tomb in buried):
            found.append(f"{event_id} lives and has a tombstone")
    heads = {fn: max(min(queue.values()), holds.get(fn, 0.0)) for fn, queue in queues.items()}
    if index != heads:
        found.append(f"index {index} differs from heads {heads}")
    return found


async def _audit_slots(client: Redis, keys: Keys) -> list[str]:
    counted = {key.decode(): int(value) for key, value in (await client.hgetall(keys.installation("use"))).items()}
    limits = {key.decode(): int(value) for key, value in (await client.hgetall(keys.installation("lim"))).items()}
    recount: Counter[str] = Counter()
    for inc in await _suffixes(client, keys.installation("held:")):
        for value in await client.hvals(keys.installation(f"held:{inc}")):
            fn = value.decode()
            recount[fn] += 1
            if fn not in limits:
                recount["_u:" + fn.rpartition(":")[0]] += 1
    found = [] if counted == dict(recount) else [f"slots counted {counted}, held {dict(recount)}"]
    sums: Counter[str] = Counter()
    for fn, limit in limits.items():
        if not fn.startswith("_r:"):
            sums["_r:" + fn.rpartition(":")[0]] += limit
    stated = {name: limit for name, limit in limits.items() if name.startswith("_r:")}
    if stated != {name: limit for name, limit in sums.items() if limit}:
        found.append(f"reservations summed {stated}, counted {dict(sums)}")
    return found


async def _suffixes(client: Redis, prefix: str) -> list[str]:
    return [key.decode().removeprefix(prefix) async for key in client.scan_iter(match=f"{prefix}*", count=500)]
