"""Whether runs kept an order, and whether any of them overlapped: judged by what handlers were given, and when."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from eventrouter.testing.runs import TestRun

KeyOf = Callable[[Any], Hashable]
"""From a record, a message or an event to what it is ordered by; None leaves it out."""


@dataclass(frozen=True, slots=True)
class Breach:
    """Two runs that should not have been as they were, and why."""

    text: str
    runs: tuple[TestRun, ...]


@dataclass(frozen=True, slots=True)
class _Item:
    run: TestRun
    name: str
    rank: tuple[int, ...]
    is_done: bool


def key_function(by: str | KeyOf) -> KeyOf:
    """Return what takes the key from a record. Raises ValueError for an order that is not known."""
    if callable(by):
        return by
    known: Mapping[str, KeyOf] = {"partitionKey": partition_key, "messageGroupId": message_group}
    if by not in known:
        raise ValueError(f"there is no order by {by!r}: 'partitionKey', 'messageGroupId' and callables are known")
    return known[by]


def partition_key(record: Any) -> Hashable:
    """Return the partition key of a Kinesis record, or the item's key of a DynamoDB one."""
    if "kinesis" in record:
        key: str = record["kinesis"]["partitionKey"]
        return key
    return json.dumps(record["dynamodb"]["Keys"], sort_keys=True) if "dynamodb" in record else None


def message_group(record: Any) -> Hashable:
    """Return the group of a FIFO queue's message."""
    attributes = record.get("attributes", {}) if isinstance(record, dict) else {}
    group: str | None = attributes.get("MessageGroupId") if isinstance(attributes, dict) else None
    return group


def order_breach(runs: Iterable[TestRun], key_of: KeyOf, ranks: Mapping[str, int]) -> Breach | None:
    """Find where something was handed over although an earlier one of its key was neither done nor given up.

    `ranks` orders what has no sequence number: by id, the order in which they were accepted.
    """
    keyed: dict[tuple[str, str, Hashable], list[_Item]] = defaultdict(list)
    for run in runs:
        for item, source, key in _items(run, key_of, ranks):
            keyed[run.function, source, key].append(item)
    for (function, _, key), items in keyed.items():
        found = _breach_in(items)
        if found is not None:
            later, earlier = found
            text = (
                f"order by {key!r} is broken in {function}: {later.name} was handed over "
                f"before {earlier.name}, which was accepted earlier"
            )
            return Breach(text, (later.run, earlier.run))
    return None


def _breach_in(items: list[_Item]) -> tuple[_Item, _Item] | None:
    by_run: dict[int, list[_Item]] = defaultdict(list)
    handed: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        by_run[item.run.began_order].append(item)
        if not any(before.is_done for before in handed[item.name]):
            handed[item.name].append(item)
    for together in by_run.values():
        for one, other in pairwise(together):
            if other.rank < one.rank:
                return one, other
    last_of_run = [(order, together[-1], {item.name for item in together}) for order, together in by_run.items()]
    for tries in handed.values():
        last = tries[-1]
        for order, highest, names in last_of_run:
            if order >= last.run.began_order:
                break
            if highest.rank > last.rank and last.name not in names:
                return highest, last
    return None


def _items(run: TestRun, key_of: KeyOf, ranks: Mapping[str, int]) -> Iterator[tuple[_Item, str, Hashable]]:
    failed = failed_items(run)
    records = run.records
    if not records:
        if (key := key_of(run.event)) is not None:
            yield _Item(run, run.request_id, (ranks.get(run.request_id, -1),), run.outcome == "succeeded"), "", key
        return
    for record in records:
        key = key_of(record)
        if key is None:
            continue
        name = name_of(record)
        sequence = sequence_of(record)
        rank = (ranks.get(name, -1),) if sequence is None else (sequence,)
        yield (
            _Item(run, name, rank, run.outcome == "succeeded" and name not in failed),
            record.get("eventSourceARN", ""),
            key,
        )


def name_of(record: Any) -> str:
    """Return the id of a message, or `<shard>:<sequence>` of a record."""
    if "messageId" in record:
        message_id: str = record["messageId"]
        return message_id
    event_id: str = record.get("eventID", "")
    return event_id


def sequence_of(record: Any) -> int | None:
    """Return the sequence number of a record, or of a FIFO queue's message."""
    text = (
        record.get("kinesis", {}).get("sequenceNumber")
        or record.get("dynamodb", {}).get("SequenceNumber")
        or record.get("attributes", {}).get("SequenceNumber")
    )
    return None if text is None else int(text)


def failed_items(run: TestRun) -> set[str]:
    """Return the names of what a run that succeeded has reported as failed: of a stream, what follows as well."""
    if run.outcome != "succeeded" or not run.records:
        return set()
    result = run.result
    reported = result.get("batchItemFailures") if isinstance(result, dict) else None
    if not isinstance(reported, list):
        return set()
    named = {str(each.get("itemIdentifier")) for each in reported if isinstance(each, dict)}
    records = run.records
    if "messageId" in records[0]:
        return named
    first = next((at for at, each in enumerate(records) if str(sequence_of(each)) in named), len(records))
    return {name_of(each) for each in records[first:]}


def overlap(runs: Iterable[TestRun], lanes_of: Callable[[TestRun], Iterable[Hashable]]) -> Breach | None:
    """Find two runs that share a lane and run at the same time."""
    latest: dict[Hashable, TestRun] = {}
    for run in runs:
        for lane in lanes_of(run):
            before = latest.get(lane)
            if before is not None and (before.ended_order is None or before.ended_order > run.began_order):
                ended = "still runs" if before.ended_s is None else f"ended at {before.ended_s:g} s"
                text = f"two runs overlap in {lane}: the first {ended}, the second began at {run.began_s:g} s"
                return Breach(text, (before, run))
            latest[lane] = run
    return None
