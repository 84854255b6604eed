"""Read the story of a mapping and say which promises to streams it breaks. Knows the promises only.

An *order* is what must stay in order: the records of a partition key always, over all shards; and, while a shard has
one lane, the records of a shard.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.history import Fault, Timed
from tests.chaos.stream_history import Batch, Probe, Record, Story

FINISHING_NS = 2_000_000_000
"""How long a fault may come after a batch's end and still keep its result from being stored."""


def violations(story: Story, *, lanes: int, batch_size: int, finishing: int = FINISHING_NS) -> list[str]:
    """Return every promise broken at quiescence, in words; an empty list when all hold.

    `lanes` is the largest ParallelizationFactor that the mapping had, `batch_size` its largest BatchSize.
    """
    given_up = story.given_up()
    found = [f"lost: {identity}" for identity in sorted(story.unresolved())]
    found += _strangers(story)
    found += _drops(story)
    found += [
        f"{batch.token} has {len(batch.records)} records" for batch in story.batches if len(batch.records) > batch_size
    ]
    for what, parts in _orders(story.batches, lanes):
        found += _overlaps(what, parts, story.faults)
        found += _order_of_success(what, parts)
        found += _blocking(what, parts, story, given_up)
        found += _repeats(what, parts, story.faults, finishing)
    return found + _parallel(story, lanes) + _probes(story, given_up)


def ended_at(batch: Timed, faults: Iterable[Fault]) -> int | None:
    """Return when a batch was over: its own last statement, else the end of the first fault that hit it, else None."""
    if batch.end is not None:
        return batch.end
    return min((fault.until for fault in faults if fault.hits(batch)), default=None)


class _Part(NamedTuple):
    """A batch, and those of its records that belong to one order."""

    batch: Batch
    records: tuple[Record, ...]


def _orders(batches: Sequence[Batch], lanes: int) -> Iterator[tuple[str, list[_Part]]]:
    """Spread the batches, which are in order of start, over the orders they have part in."""
    found: dict[str, list[_Part]] = defaultdict(list)
    for batch in batches:
        mine: dict[str, list[Record]] = defaultdict(list)
        for record in batch.records:
            mine[f"key {record.key}"].append(record)
            if lanes == 1:
                mine[f"shard {record.shard}"].append(record)
        for name, records in mine.items():
            found[name].append(_Part(batch, tuple(records)))
    yield from found.items()


def _strangers(story: Story) -> list[str]:
    """Nothing runs that nobody put, nor under another number than its putter was told."""
    found = []
    for record in {record for batch in story.batches for record in batch.records}:
        told = story.put.get(record.id)
        if told is None and record.id not in story.unknown:
            found.append(f"ghost: {record.id}")
        elif told is not None and told != record:
            found.append(f"{record.id} was put as {told} and came as {record}")
    return found


def _drops(story: Story) -> list[str]:
    """An on-failure record counts what it tells of, and nothing is given up twice."""
    found = []
    seen: set[str] = set()
    for drop in sorted(set(story.dropped)):
        covered = story.covered(drop)
        if len(covered) != drop.size:
            found.append(f"{drop} tells of {len(covered)} records")
        found += [f"{identity} was given up twice" for identity in sorted(covered & seen)]
        seen |= covered
    return found


def _overlaps(what: str, parts: Sequence[_Part], faults: Sequence[Fault]) -> list[str]:
    """K4: batches of one lane never overlap in time."""
    found = []
    for earlier, later in pairwise(parts):
        end = ended_at(earlier.batch, faults)
        if end is None or end > later.batch.start:
            found.append(f"{what}: {later.batch.token} began before {earlier.batch.token} was over")
    return found


def _order_of_success(what: str, parts: Sequence[_Part]) -> list[str]:
    """K1: first successful processing is in strictly increasing sequence order."""
    found: list[str] = []
    done: set[int] = set()
    highest = 0
    for part in parts:
        sequences = [record.sequence for record in part.records]
        if any(one >= other for one, other in pairwise(sequences)):
            found.append(f"{what}: {part.batch.token} is not in order")
        if part.batch.outcome == "ok":
            if any(sequence < highest and sequence not in done for sequence in sequences):
                found.append(f"{what}: {part.batch.token} succeeded with a record older than {highest}")
            done.update(sequences)
            highest = max(done)
    return found


def _blocking(what: str, parts: Sequence[_Part], story: Story, given_up: set[str]) -> list[str]:
    """K5: nothing begins before all that precedes it in its order is resolved."""
    kind, _, name = what.partition(" ")
    put = [record for record in story.put.values() if (record.key if kind == "key" else record.shard) == name]
    wanted = {record for part in parts for record in part.records} | set(put)
    numbers = sorted({record.sequence for record in wanted if record.id not in given_up})
    success: dict[int, int] = {}
    for part in parts:
        if part.batch.outcome == "ok" and part.batch.end is not None:
            for record in part.records:
                success.setdefault(record.sequence, part.batch.end)
    found, resolved = [], 0
    for part in parts:
        start, first = part.batch.start, part.records[0].sequence
        while resolved < len(numbers) and success.get(numbers[resolved], start + 1) <= start:
            resolved += 1
        if resolved < bisect_left(numbers, first):
            found.append(f"{what}: {part.batch.token} began at {first} before {numbers[resolved]} was resolved")
    return found


def _repeats(what: str, parts: Sequence[_Part], faults: Sequence[Fault], finishing: int) -> list[str]:
    """A record runs again only after an error or a fault; and of what succeeded, only the last batch (K10)."""
    found = []
    last: dict[int, int] = {}
    for at, part in enumerate(parts):
        for record in part.records:
            before = last.get(record.sequence)
            last[record.sequence] = at
            if before is None:
                continue
            earlier = parts[before].batch
            if earlier.outcome != "error" and not explained(earlier, part.batch, faults, finishing):
                found.append(f"{what}: {part.batch.token} repeats {record.sequence} of {earlier.token} without a cause")
            if earlier.outcome == "ok" and before != at - 1:
                found.append(f"{what}: {part.batch.token} repeats {record.sequence}, which was not in flight")
    return found


def explained(earlier: Timed, later: Timed, faults: Sequence[Fault], finishing: int) -> bool:
    """Say whether a fault may have kept the earlier batch from its end, or its result from being stored."""
    return any(
        fault.hits(earlier) and fault.t <= later.start and (earlier.end is None or earlier.end >= fault.t - finishing)
        for fault in faults
    )


def _parallel(story: Story, lanes: int) -> list[str]:
    """No shard has more batches at once than lanes. At one instant ends come first."""
    found = []
    edges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for batch in story.batches:
        end = ended_at(batch, story.faults)
        edges[batch.records[0].shard] += [(batch.start, 1), *([(end, -1)] if end is not None else [])]
    for shard, steps in edges.items():
        running = most = 0
        for _, step in sorted(steps):
            running += step
            most = max(most, running)
        if most > lanes:
            found.append(f"shard {shard}: {most} batches at once with {lanes} lanes")
    return found


def _probes(story: Story, given_up: set[str]) -> list[str]:
    """K2 and K3: epochs and checkpoints never go back, and everything up to a checkpoint is resolved."""
    found = []
    by_shard: dict[str, list[Probe]] = defaultdict(list)
    for probe in sorted(story.probes):
        by_shard[probe.shard].append(probe)
    first_ok: dict[str, int] = {}
    for batch in story.batches:
        if batch.outcome == "ok" and batch.end is not None:
            for record in batch.records:
                first_ok[record.id] = min(batch.end, first_ok.get(record.id, batch.end))
    for shard, probes in by_shard.items():
        for one, other in pairwise(probes):
            if other.epoch < one.epoch or other.checkpoint < one.checkpoint:
                found.append(f"shard {shard}: {one} went back to {other}")
        for record in story.put.values():
            if record.shard != shard or record.id in given_up:
                continue
            early = [
                probe.t
                for probe in probes
                if probe.checkpoint >= record.sequence and probe.t < first_ok.get(record.id, probe.t + 1)
            ]
            if early:
                found.append(f"shard {shard}: the checkpoint passed {record} before it was processed")
    return found
