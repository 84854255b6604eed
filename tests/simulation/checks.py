"""Read the story of a run and say which promises it breaks. Knows the promises only, nothing of how they are kept.

What a server that lost writes may have forgotten is taken back first: what was confirmed in that time is unknown, and
what ended in it may run again.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from tests.chaos import queue_checker, queue_history, stream_checker, stream_history
from tests.chaos.history import Fault
from tests.simulation.functions import value_of
from tests.simulation.load import ENDS, HIDDEN_S, MAX_AGE_S, MOST_RECEIVES, RETRIES
from tests.simulation.plan import Plan
from tests.simulation.story import Ran, Sent, Story, Struck

FINISHING_MS = 2_500
"""So long after its end a fault may still keep a run's result from being stored."""
BURIED_MS = 40_000
WAITED_S = 10
"""So long what was received may have waited for room before its batch began."""
HARMLESS = frozenset({"storm", "full", "node clock", "server clock", "restart"})
"""Faults after which what has ended has ended, if nobody is buried."""
EARLY_MS = 100
LATE_MS = 3_000
STEP_MS = 2_000
RETRIES_OF = {"work": 2, "tight": 2, "old": 1}
STREAMS = ("clicks", "parts", "windows")


def violations(plan: Plan, story: Story) -> list[str]:
    """Return every promise that is broken at the end of a run."""
    found = list(story.breaches)
    found += check_events(plan, story)
    found += check_calls(story)
    found += check_concurrency(plan, story)
    found += check_environments(story)
    for name in STREAMS:
        found += [f"{name}: {each}" for each in check_stream(plan, story, name)]
    found += [f"jobs: {each}" for each in check_queue(plan, story, "jobs", "jobs", "jobs-dead")]
    found += [f"orders: {each}" for each in check_queue(plan, story, "orders.fifo", "orders", "orders-dead.fifo")]
    return found


def faults_of(story: Story) -> list[Fault]:
    """Return the faults as the checkers of chaos know them; a loss of writes reaches back."""
    return [Fault(each.what, each.at, each.until + FINISHING_MS, each.pids) for each in story.struck]


def by_chance(story: Story, earlier: Ran, later: Ran) -> bool:
    """Say whether a fault may have kept a run's end from being stored before a later run began.

    What befalls messages alone does not, unless so many were lost that the node was buried.
    """
    end = later.start if earlier.end is None else earlier.end
    was_buried = story.was_buried(earlier.node, earlier.start, end + BURIED_MS)
    return any(
        (each.pids is None or earlier.pid in each.pids or each.what == "crash")
        and (was_buried or each.what not in HARMLESS)
        and each.at <= later.start
        and (earlier.end is None or earlier.end >= each.at - FINISHING_MS)
        and earlier.start <= each.until + FINISHING_MS
        for each in story.struck
    )


# Events.


def check_events(plan: Plan, story: Story) -> list[str]:
    """A1 to A9."""
    found: list[str] = []
    runs: dict[str, list[Ran]] = defaultdict(list)
    for ran in story.runs:
        if ran.function in RETRIES_OF and ran.event.get("id") == ran.request_id:
            runs[ran.request_id].append(ran)
    records = _records(story)
    dead = {each["Body"]: each for each in story.messages.get("dead", ())}
    told = Counter(json.loads(each["Body"])["id"] for each in story.messages.get("dead", ()))
    assert dead is not None
    sent = {each.id: each for each in story.sent if each.plane == "event"}
    calls = {each.id for each in story.sent if each.plane == "call"}
    for name, each in sent.items():
        mine = runs.get(name, [])
        if each.told == "refused" and mine:
            found.append(f"event {name} was refused and ran")
        if each.told == "ok" and not story.was_lost(each):
            found += _fate(story, each, mine, records.get(name, []), told[name])
        found += _attempts(plan, story, each, mine)
    for name in runs.keys() - sent.keys() - calls:
        found.append(f"ghost: event {name}")
    return found


def _records(story: Story) -> dict[str, list[dict[str, Any]]]:
    """Return the records that came to destinations, by the event they tell of."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for queue in ("done", "failed"):
        for message in story.messages.get(queue, ()):
            record = json.loads(message["Body"])
            found[record["requestContext"]["requestId"]].append(record)
    return found


def _fate(story: Story, sent: Sent, runs: Sequence[Ran], records: Sequence[dict[str, Any]], dead: int) -> list[str]:
    """A1 and A9: an accepted event succeeds, or somebody is told of its end, with what really happened."""
    name = f"event {sent.id} to {sent.where}"
    good = any(ran.outcome == "ok" for ran in runs)
    conditions = Counter(record["requestContext"]["condition"] for record in records)
    lossy = bool(story.lost)
    if any(lost.since - 10_000 <= (ran.end or 0) <= lost.until + 10_000 for ran in runs for lost in story.lost):
        return []  # what was told of its end may be among what is lost
    found = [f"{name}: {n} records of {what}" for what, n in conditions.items() if n > 1 and not lossy]
    if sent.where == "work" and good != bool(conditions["Success"]) and not conditions["EventAgeExceeded"]:
        found.append(f"{name}: {'no' if good else 'a'} record of success, {conditions}, runs {_shown(runs)}")
    if sent.where in {"work", "old"} and not good and not (conditions - Counter({"Success": conditions["Success"]})):
        found.append(f"lost: {name}, runs {_shown(runs)}")
    if sent.where == "tight" and not good and not dead:
        found.append(f"lost: {name}, runs {_shown(runs)}")
    if good and not lossy and conditions["RetriesExhausted"]:
        found.append(f"{name} succeeded and was given up")
    for record in records:
        if record["requestPayload"] != sent.value:
            found.append(f"{name}: a record tells of another payload: {record['requestPayload']}")
        count = record["requestContext"]["approximateInvokeCount"]
        ended = sum(ran.outcome is not None for ran in runs)
        if (count > len(runs) and not lossy) or (count < ended and not story.struck):
            found.append(f"{name}: a record counts {count} invocations of {len(runs)}")
    return found


def _attempts(plan: Plan, story: Story, sent: Sent, runs: Sequence[Ran]) -> list[str]:
    """A3 to A7: how often, when, and never two at once."""
    found: list[str] = []
    name = f"event {sent.id} to {sent.where}"
    errors = excused = 0
    most = RETRIES_OF[sent.where]
    stepped = any(each.what in {"server clock", "crash", "outage", "restart"} for each in story.struck)
    for earlier, later in pairwise(runs):
        if (earlier.end is None or earlier.end > later.start) and not story.lost_between(earlier.start, later.start):
            found.append(f"{name} overlaps itself: {_shown((earlier, later))}")
        chance = by_chance(story, earlier, later)
        if earlier.outcome == "ok" and not chance:
            found.append(f"{name} ran again after it had succeeded: {_shown(runs)}")
        if earlier.outcome is None and not chance and not story.struck:
            found.append(f"{name} was cut short without a cause")
        excused += chance
        if earlier.outcome == "error":
            errors += 1
            gap = later.start - (earlier.end or 0)
            counted = max(1, min(errors - excused, 2))
            least = plan.shape.get("retry_s", 60) * 1_000 * counted - EARLY_MS - (10 * STEP_MS if stepped else 0)
            if gap < least and not chance:
                found.append(f"{name} was retried after {gap} ms: {_shown(runs)}")
    errors = sum(ran.outcome == "error" for ran in runs)
    if errors > 1 + most + excused:
        found.append(f"{name} failed {errors} times with {most} retries: {_shown(runs)}")
    if sent.where == "old" and not story.struck and runs and runs[-1].start - sent.at > MAX_AGE_S * 1_000 + 1_000:
        found.append(f"{name} began {runs[-1].start - sent.at} ms after it was sent")
    return found


def _shown(runs: Iterable[Ran]) -> list[str]:
    return [f"{ran.start}-{ran.end} {ran.outcome} n{ran.node} {ran.why}".strip() for ran in runs]


# Calls.


def check_calls(story: Story) -> list[str]:
    """S1, S2, S3, S7."""
    found: list[str] = []
    runs: dict[str, list[Ran]] = defaultdict(list)
    for ran in story.runs:
        runs[ran.request_id].append(ran)
    for sent in story.sent:
        if sent.plane != "call":
            continue
        mine = runs.get(sent.id, [])
        if len(mine) > 1:
            found.append(f"call {sent.id} ran {len(mine)} times: {_shown(mine)}")
        if sent.told == "refused" and mine:
            found.append(f"call {sent.id} was refused and ran")
        if isinstance(sent.answer, dict) and sent.answer.get("echo") != sent.id:
            found.append(f"call {sent.id} was answered with {sent.answer}")
        if sent.answer == "throttled" and mine:
            found.append(f"call {sent.id} was throttled and ran")
        if sent.answered is None:
            found.append(f"call {sent.id} was never answered")
    return found


# Concurrency.


def check_concurrency(plan: Plan, story: Story) -> list[str]:
    """C1, where no write was lost: never more at once than are reserved."""
    if story.lost:
        return []
    found = []
    for name in ("tight",):
        limits = [plan.shape["reserved"]] + [
            limit for _, what, to, limit in story.changed if (what, to) == ("reserve", name)
        ]
        edges = []
        for ran in story.runs:
            if ran.function == name:
                edges += [(ran.start, 1), (ran.end if ran.end is not None else 2**60, -1)]
        running = most = 0
        for _, step in sorted(edges):
            running += step
            most = max(most, running)
        if most > max(limits):
            found.append(f"{name}: {most} ran at once with {max(limits)} reserved")
    return found


def check_environments(story: Story) -> list[str]:
    """Every run has come to an end."""
    return [f"{ran.function} {ran.token} never ended" for ran in story.runs if ran.end is None]


# Streams.


def check_stream(plan: Plan, story: Story, name: str) -> list[str]:
    """K1 to K10, by the checker of chaos."""
    told = stream_history.Story(faults=faults_of(story))
    batches = []
    for ran in story.runs:
        if ran.function == name and ran.event.get("Records"):
            batches += _batches(name, ran)
    told.batches = batches
    confirmed: dict[str, stream_history.Record] = {}
    for sent in story.sent:
        if sent.plane != "records" or sent.where != name:
            continue
        lost = sent.told == "ok" and story.was_lost(sent)
        for at, (identity, key) in enumerate(sent.value):
            answer = sent.answer[at] if sent.told == "ok" else {}
            if "SequenceNumber" in answer and not lost:
                confirmed[identity] = stream_history.Record(
                    identity, answer["ShardId"], int(answer["SequenceNumber"]), key
                )
            else:
                told.unknown.add(identity)
    told.put = confirmed
    for message in story.messages.get("drops", ()):
        record = json.loads(message["Body"])
        info = record.get("KinesisBatchInfo")
        if info and info["streamArn"].endswith(f"/{name}"):
            told.dropped.append(
                stream_history.Dropped(
                    info["shardId"], int(info["startSequenceNumber"]), int(info["endSequenceNumber"]), info["batchSize"]
                )
            )
    if story.lost:
        told.dropped = sorted(set(told.dropped))
    remaps = [factor for _, what, to, factor in story.changed if (what, to) == ("remap", name)]
    lanes = max([1 if name == "windows" else plan.shape["parallel"], *remaps])
    found = stream_checker.violations(told, lanes=lanes, batch_size=10, finishing=FINISHING_MS)
    if story.lost:
        found = [
            each for each in found if not any(part in each for part in ("not in flight", " records", "began before"))
        ]
    if name == "windows":
        found += check_windows(story)
    return found


def _batches(name: str, ran: Ran) -> list[stream_history.Batch]:
    """Return a run as the checker knows it; one that reports a failed record is two: what succeeded, and the rest."""
    records = tuple(
        stream_history.Record(
            value_of(record)["id"],
            record["eventID"].partition(":")[0],
            int(record["kinesis"]["sequenceNumber"]),
            record["kinesis"]["partitionKey"],
        )
        for record in ran.event["Records"]
    )

    def batch(
        part: str, some: tuple[stream_history.Record, ...], outcome: str | None, start: int = ran.start
    ) -> stream_history.Batch:
        return stream_history.Batch(
            token=ran.token + part, pid=ran.pid, home=ran.node, records=some, start=start, end=ran.end, outcome=outcome
        )

    failures = ran.result.get("batchItemFailures") if isinstance(ran.result, dict) and name == "parts" else None
    if ran.outcome != "ok" or not failures:
        return [batch("", records, ran.outcome)]
    first = int(failures[0]["itemIdentifier"])
    good = tuple(record for record in records if record.sequence < first)
    rest = tuple(record for record in records if record.sequence >= first)
    return [*([batch("a", good, "ok")] if good else []), batch("b", rest, "error", ran.end or 0)]


def check_windows(story: Story) -> list[str]:
    """K12: a window's state passes unchanged from batch to batch: each is given what the one before returned."""
    if story.lost:
        return []
    found = []
    returned: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [{}])
    for ran in story.runs:
        if ran.function != "windows":
            continue
        window = (ran.event["shardId"], ran.event["window"]["start"])
        given = ran.event.get("state") or {}
        if given not in returned[window]:
            found.append(f"{ran.token} of window {window} was given {given}, not {returned[window][-1]}")
        if ran.outcome == "ok" and ran.event.get("Records"):
            returned[window].append(ran.result["state"])
    return found


# Queues.


def check_queue(plan: Plan, story: Story, queue: str, function: str, dead: str) -> list[str]:
    """Q1 to Q9, by the checker of chaos."""
    told = queue_history.Story(faults=[_releasing(story, each) for each in story.struck])
    is_fifo = queue.endswith(".fifo")
    batches = []
    for ran in story.runs:
        if ran.function == function and ran.event.get("Records"):
            batches.append(_queue_batch(ran))
    told.batches = batches
    lost = {sent.id for sent in story.sent if sent.where == queue and story.was_lost(sent)}
    for sent in story.sent:
        if sent.where != queue:
            continue
        if sent.told == "ok" and sent.id not in lost:
            message = _message(
                sent.id, sent.answer["MessageId"], sent.value.get("group", ""), sent.answer.get("SequenceNumber")
            )
            if sent.plane == "fifo again":
                if sent.id in told.sent:
                    told.repeats.append(message)
                else:
                    told.sent[sent.id] = message
            else:
                told.sent[sent.id] = message
        elif sent.id not in told.sent:
            told.unknown.add(sent.id)
    for each in story.messages.get(dead, ()):
        group = each.get("Attributes", {}).get("MessageGroupId", "") if is_fifo else ""
        told.dead.append(queue_history.Dead(json.loads(each["Body"])["id"], each["MessageId"], group))
    found = [f"left over: {each['Body']}" for each in story.messages.get(queue, ())]
    found += queue_checker.violations(
        told,
        batch_size=10,
        hidden=(HIDDEN_S - WAITED_S) * 1_000 if not is_fifo else 0,
        most=MOST_RECEIVES,
        finishing=FINISHING_MS,
    )
    if story.lost:
        found = [
            each
            for each in found
            if not any(part in each for part in ("receive", "without a cause", "twice", "began before"))
        ]
    for sent in story.sent:
        if sent.plane == "message" and sent.value["delay"] and not story.struck:
            first = min(
                (ran.start for ran in story.runs if ran.function == function and sent.id in _names(ran)), default=None
            )
            if first is not None and first < sent.at + sent.value["delay"] * 1_000:
                found.append(
                    f"{sent.id} came {first - sent.at} ms after it was sent with a delay of {sent.value['delay']} s"
                )
    return found


def _releasing(story: Story, struck: Struck) -> Fault:
    """Return a fault that also releases what runs before it had left hidden: messages of a node that is buried."""
    hidden = {
        ran.pid
        for ran in story.runs
        if (struck.node is None or ran.node == struck.node)
        and ran.end is not None
        and struck.at - (HIDDEN_S + 5) * 1_000 <= ran.end
        and ran.start <= struck.until
    }
    return Fault(queue_checker.NODE, struck.at, struck.until + FINISHING_MS, (struck.pids or frozenset()) | hidden)


def _names(ran: Ran) -> list[str]:
    return [value_of(record)["id"] for record in ran.event["Records"]]


def _message(identity: str, message_id: str, group: str, sequence: Any) -> queue_history.Message:
    return queue_history.Message(identity, message_id, group, int(sequence or 0))


def _queue_batch(ran: Ran) -> queue_history.Batch:
    deliveries, failed = [], set()
    failures = ran.result["batchItemFailures"] if isinstance(ran.result, dict) else []
    reported = {each["itemIdentifier"] for each in failures}
    for record in ran.event["Records"]:
        attributes = record["attributes"]
        name = value_of(record)["id"]
        message = _message(
            name, record["messageId"], attributes.get("MessageGroupId", ""), attributes.get("SequenceNumber")
        )
        deliveries.append(queue_history.Delivery(message, int(attributes["ApproximateReceiveCount"])))
        if record["messageId"] in reported or ran.outcome != "ok":
            failed.add(name)
    return queue_history.Batch(
        token=ran.token,
        pid=ran.pid,
        home=ran.node,
        deliveries=tuple(deliveries),
        start=ran.start,
        end=ran.end,
        failed=frozenset(failed),
    )


__all__ = ["ENDS", "LATE_MS", "RETRIES", "violations"]
