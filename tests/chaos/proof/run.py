"""One chaos run, from the machine to the verdict."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.processes import is_alive
from tests.chaos.proof import report
from tests.chaos.proof.auditor import Auditor, keys_by_kind
from tests.chaos.proof.judge import judge, split
from tests.chaos.proof.machine import Machine
from tests.chaos.proof.nemesis import Nemesis
from tests.chaos.proof.recorder import Recorder, merge
from tests.chaos.proof.recovery import measure
from tests.chaos.proof.setting import Setting
from tests.chaos.proof.story import Chronicle, queue_story, read, stream_story
from tests.e2e.accounts import Account

OVERHEAD_S = 45
"""What setting up, coming to rest and judging take of the time."""
REST_S = 60
"""By then everything is resolved, once all faults are healed (G4)."""
COUNTS = [f"ApproximateNumberOfMessages{what}" for what in ("", "NotVisible", "Delayed")]
ALARMS = ("Traceback", "was never retrieved", "unraisable", "loop.turn_crashed", "loop.restarted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run is asked for."""

    minutes: float
    events: int
    kills: int
    seed: int
    is_replicated: bool
    server: str | None
    report: Path


@dataclass(slots=True)
class Result:
    """What a run came to."""

    wanted: Wanted
    versions: dict[str, str] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    seconds: float = 0.0
    rest_s: float = 0.0
    kills: int = 0
    caused: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)


def run(wanted: Wanted) -> int:
    """Run, judge, write the report, and return the exit code."""
    result = Result(wanted)
    kind = "a primary, two replicas, three sentinels" if wanted.is_replicated else "one server"
    print(f"chaos: seed {wanted.seed}, {wanted.minutes:g} minutes, {kind}", flush=True)
    machine = Machine(is_replicated=wanted.is_replicated, binary=wanted.server)
    try:
        result.limits = machine.limits
        chronicle = _live(machine, wanted, result)
        result.broken, result.forgotten = split(judge(chronicle), chronicle)
        report.write(wanted.report, result, chronicle, measure(chronicle))
    finally:
        _keep(machine, wanted.report)
        machine.close()
    print(report.summary(result, chronicle, measure(chronicle)))
    return 1 if result.broken else 0


def _live(machine: Machine, wanted: Wanted, result: Result) -> Chronicle:
    """Let everything happen, and return what did."""
    recorder = Recorder(machine.history / "runner.jsonl")
    machine.start()
    result.versions = dict(machine.versions())
    setting = Setting(Account(machine.nodes[0].url), machine.history, machine.marks)
    setting.build()
    keys_before = keys_by_kind(machine.client())
    auditor = Auditor(machine.url, setting, recorder)
    nemesis = Nemesis(machine, setting, recorder, seed=wanted.seed, kills=wanted.kills)
    seconds = max(wanted.minutes * 60 - OVERHEAD_S, 20)
    addresses = [node.address for node in machine.nodes]
    plan = setting.plan(addresses, seed=wanted.seed, events=wanted.events, seconds=seconds * 0.97)
    (machine.root / "plan.json").write_text(json.dumps(plan))
    recorder.note("facts", **setting.facts(), seed=wanted.seed)
    auditor.start()
    load = subprocess.Popen([sys.executable, "-m", "tests.chaos.proof.load", str(machine.root / "plan.json")])
    began, began_wall = time.monotonic(), time.time()
    try:
        time.sleep(2)
        nemesis.work(seconds=seconds - 2)
    finally:
        load.send_signal(signal.SIGTERM)
        code = load.wait(40)
    assert code == 0, f"the load ended with {code}"
    result.seconds = time.monotonic() - began
    result.kills, result.caused = nemesis.kills, nemesis.caused
    result.limits += [f"there was no time for this fault: {name}" for name in nemesis.left_out]
    due = _due_minutes(max(began_wall, setting.rules_from), time.time())
    print("  coming to rest", flush=True)
    final: dict[str, Any] = {"due": due}
    rested = time.monotonic()
    final["unresolved"] = _rest(machine, setting, auditor, recorder)
    result.rest_s = time.monotonic() - rested
    auditor.stop()
    left = auditor.left()
    final["slots"] = [f"{name}: {count}" for name, count in left.items() if name.startswith("slots")]
    final["keys_before"], final["keys_after"] = dict(keys_before), dict(keys_by_kind(machine.client()))
    final["keys"] = [f"{count} x {kind}" for kind, count in final["keys_after"].items() if ":own:" in kind]
    final["exits"], final["processes"] = _end_nodes(machine)
    final["logs"] = _alarms(machine)
    setting.close()
    recorder.note("final", **final)
    recorder.close()
    return read(merge(machine.history))


def _due_minutes(since: float, until: float) -> list[str]:
    """Return the minutes that came due between two times, with a margin: what was due must have fired by now."""
    first = int(since // 60 + 1) * 60
    return [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t)) for t in range(first, int(until) - 5, 60)]


def _rest(machine: Machine, setting: Setting, auditor: Auditor, recorder: Recorder) -> list[str]:
    """Wait until everything is resolved, collecting dead letters; return what is not, in words."""
    until = time.monotonic() + REST_S
    while True:
        _collect(setting, recorder)
        recorder.flush()
        left = _left(machine, setting, auditor)
        if not left or time.monotonic() >= until:
            return left
        time.sleep(0.5)


def _left(machine: Machine, setting: Setting, auditor: Auditor) -> list[str]:
    """Return what is not resolved; the history is read only once the store says that everything is."""
    left = auditor.left()
    if machine.is_replicated:  # slots that a failover made the servers forget to free are found within two minutes
        left = {name: count for name, count in left.items() if not name.startswith("slots")}
    if left:
        return [f"{name}: {count}" for name, count in left.items()]
    for name, queue in setting.queues.items():
        answer = setting.account.sqs.get_queue_attributes(QueueUrl=queue["url"], AttributeNames=COUNTS)
        if set(answer["Attributes"].values()) != {"0"}:
            return [f"queue {name}: {answer['Attributes']}"]
    chronicle = read(merge(machine.history))
    for feed, checkpoints in auditor.checkpoints().items():
        story = stream_story(chronicle, feed)
        if unresolved := story.unresolved():
            return [f"stream {feed}: {len(unresolved)} records"]
        behind = {record.shard for record in story.put.values() if record.sequence > checkpoints.get(record.shard, 0)}
        if behind:
            return [f"stream {feed}: {sorted(behind)} behind"]
    for feed in ("queue", "fifo"):
        if unresolved := queue_story(chronicle, feed).unresolved():
            return [f"queue {feed}: {len(unresolved)} messages"]
    return []


def _collect(setting: Setting, recorder: Recorder) -> None:
    """Receive and delete all dead letters there are, and note them."""
    sqs = setting.account.sqs
    for queue, feed in {"events-dead": "events", "standard-dead": "queue", "fifo-dead": "fifo"}.items():
        url = setting.queues[queue]["url"]
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                body = json.loads(message["Body"])
                if feed == "events":
                    context = body["requestContext"]
                    recorder.note(
                        "dest",
                        queue=feed,
                        op=body["requestPayload"]["op"],
                        id=context["requestId"],
                        condition=context["condition"],
                        count=context["approximateInvokeCount"],
                    )
                else:
                    group = message["Attributes"].get("MessageGroupId", "")
                    recorder.note("dest", queue=feed, id=body["id"], message=message["MessageId"], group=group)
            entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def _end_nodes(machine: Machine) -> tuple[list[str], list[str]]:
    """End the nodes; return which did not end well, and which of their processes are still there."""
    exits, below = [], []
    for node in machine.nodes:
        if not node.is_running():
            exits.append(f"{node.name} is gone: {node.process.returncode}")
            continue
        below += node.below()
        code = node.end()
        if code not in {0, 143}:
            exits.append(f"{node.name}: {code}")
    until = time.monotonic() + 10
    while time.monotonic() < until and any(is_alive(pid) for pid in below):
        time.sleep(0.1)
    return exits, [str(pid) for pid in below if is_alive(pid)]


def _alarms(machine: Machine) -> list[str]:
    """Return the lines of the nodes' logs that must never be there."""
    found = []
    for node in machine.nodes:
        for line in node.output.read_text(errors="replace").splitlines():
            if any(alarm in line for alarm in ALARMS):
                found.append(f"{node.name}: {line[:3000]}")
    return found[:20]


def _keep(machine: Machine, folder: Path) -> None:
    """Keep the logs, and the history as one file, beside the report."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "history.jsonl").open("w") as file:
        file.writelines(json.dumps(note, separators=(",", ":")) + "\n" for note in merge(machine.history))
    for path in machine.root.glob("*.log"):
        (folder / path.name).write_bytes(path.read_bytes()[-20_000_000:])
