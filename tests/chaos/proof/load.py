"""The load of a chaos run, in a process of its own: `python -m tests.chaos.proof.load PLAN`, until SIGTERM.

Every plane has a rate and a few senders. A sender stays with a node for a while and goes to another when that one does
not answer, as a load balancer's clients would. It notes each request before it is sent (`inv`), and afterwards what is
known of it: `ok`, `fail` (certainly refused) or `info` (nobody knows). Nothing is sent again, but messages to FIFO
queues: those are sent, under the same deduplication ids, until it is known that they are stored.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.proof.recorder import Recorder
from tests.chaos.proof.wire import Answer, Connection, NotSent, Unknown

PUT_S = 8.0
CALL_S = 20.0
STAY = 40
"""Requests after which a sender goes to another node."""
BACKLOG = 1_500
"""Accepted and not begun, at which senders wait."""
BAD_S = 1.0
GROUPS = 128
KEYS = 64

_ITEMS = re.compile(rb'"n":(\d+)')

JSON_0 = {"content-type": "application/x-amz-json-1.0"}
JSON_1 = {"content-type": "application/x-amz-json-1.1"}


class Backlog:
    """How much was accepted and has not begun, read off the files that the functions write."""

    def __init__(self, files: list[Path]) -> None:
        self._files = dict.fromkeys(files, 0)
        self.accepted = 0
        self.begun = 0

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            for file, position in self._files.items():
                if not file.exists():
                    continue
                with file.open("rb") as reading:
                    reading.seek(position)
                    data = reading.read(8 << 20)
                end = data.rfind(b"\n") + 1
                self._files[file] = position + end
                self.begun += sum(map(int, _ITEMS.findall(data[:end])))

    @property
    def is_long(self) -> bool:
        return self.accepted - self.begun > BACKLOG


class Load:
    """All senders. `plan` holds addresses, names, rates and the number of events to send."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.plan = plan
        self.recorder = Recorder(Path(plan["history"]) / "load.jsonl")
        self.nodes = [tuple(address) for address in plan["nodes"]]
        self.bad_until = [0.0] * len(self.nodes)
        self.ops = itertools.count()
        self.sent = 0
        self.is_over = asyncio.Event()
        self.backlog = Backlog([Path(file) for file in plan["files"]])

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.is_over.set)
        random = Random(self.plan["seed"])
        planes = {
            "async": (16, lambda sender: sender.send_event(self.plan["functions"]["events"])),
            "sync": (4, lambda sender: sender.call(self.plan["functions"]["calls"])),
            "stream": (3, lambda sender: sender.put_records()),
            "queue": (2, lambda sender: sender.send_messages(self.plan["queues"]["standard"], is_fifo=False)),
            "fifo": (3, lambda sender: sender.send_messages(self.plan["queues"]["fifo"], is_fifo=True)),
        }
        watching = [asyncio.create_task(self.backlog.watch()), asyncio.create_task(self._flush())]
        async with asyncio.TaskGroup() as senders:
            for plane, (count, step) in planes.items():
                turns = itertools.count()
                for number in range(count):
                    sender = Sender(self, Random(random.random()), number=number, of=count)
                    senders.create_task(self._keep_on(sender, step, turns, self.plan["rates"][plane]))
        for task in watching:
            task.cancel()
        self.recorder.close()

    async def _keep_on(
        self, sender: Sender, step: Callable[[Sender], Awaitable[None]], turns: itertools.count[int], rate: float
    ) -> None:
        began = time.monotonic()
        while not self.is_over.is_set() and self.sent < self.plan["events"]:
            wait = began + next(turns) / rate - time.monotonic()
            while wait > 0 or self.backlog.is_long:
                try:
                    async with asyncio.timeout(wait if wait > 0 else 0.05):
                        await self.is_over.wait()
                    break
                except TimeoutError:
                    wait = 0
            else:
                await step(sender)
        await sender.connection.close()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self.recorder.flush()


class Sender:
    """One client, with a connection to one node at a time."""

    def __init__(self, load: Load, random: Random, *, number: int, of: int) -> None:
        self.load = load
        self.random = random
        self.connection = Connection(load.plan["account"], load.plan["region"])
        self._groups = [f"g{group}" for group in range(GROUPS) if group % of == number]
        self._node = random.randrange(len(load.nodes))
        self._left = STAY

    async def connect(self) -> str:
        """Have a connection to a node that answers, and return the node's name."""
        while not self.load.is_over.is_set():
            self._left -= 1
            if self._left <= 0 or self.load.bad_until[self._node] > time.monotonic():
                self._node, self._left = self.random.randrange(len(self.load.nodes)), STAY
                if self.load.bad_until[self._node] > time.monotonic():
                    await asyncio.sleep(0.02)
                    continue
            try:
                await self.connection.open(self.load.nodes[self._node])
                return f"n{self._node}"
            except NotSent:
                self.load.bad_until[self._node] = time.monotonic() + BAD_S
        raise NotSent("the load is over")

    async def send_event(self, function: str) -> None:
        """Send an asynchronous event. One in twenty takes long, one in fifty fails, a few always."""
        chance = self.random.random()
        errors = 99 if chance < 0.004 else self.random.randrange(1, 3) if chance < 0.02 else 0
        seconds = self.random.choice((0.3, 0.6, 1.2)) if chance > 0.95 else 0
        await self._invoke("async", function, {"seconds": seconds, "errors": errors}, hangs_up=chance > 0.995)

    async def call(self, function: str) -> None:
        """Call synchronously. Some callers hang up, before or after they have sent everything."""
        chance = self.random.random()
        body = {"seconds": self.random.choice((0, 0, 0, 0.05, 0.4)), "errors": 1 if chance < 0.02 else 0}
        await self._invoke("sync", function, body, hangs_up=chance > 0.95)

    async def _invoke(self, plane: str, function: str, body: dict[str, Any], *, hangs_up: bool) -> None:
        op = f"{plane[0]}{next(self.load.ops)}"
        data = json.dumps({"op": op, "plane": plane, **body}).encode()
        path = f"/2015-03-31/functions/{function}/invocations"
        headers = {"x-amz-invocation-type": "Event" if plane == "async" else "RequestResponse"}
        note = self.load.recorder.note
        try:
            node = await self.connect()
        except NotSent:
            return
        note("inv", op=op, plane=plane, node=node, **({"errors": body["errors"]} if body["errors"] else {}))
        self.load.sent += 1
        if hangs_up:
            whole = self.random.random() < 0.7
            await self.connection.cut("lambda", path, headers, data, whole=whole)
            note("info" if whole else "fail", op=op, why="hung up" if whole else "half a body")
            return
        answer = await self._ask(op, "lambda", path, headers, data, CALL_S if plane == "sync" else PUT_S)
        if answer is None:
            return
        identity = answer.headers.get(b"x-amzn-requestid", b"").decode()
        if plane == "async":
            self.load.backlog.accepted += 1
            note("ok", op=op, status=answer.status, id=identity)
        else:
            error = answer.headers.get(b"x-amz-function-error", b"").decode()
            echo = None if error else answer.json()["op"]
            kind = answer.json().get("errorType") if error else None
            self.load.backlog.accepted += 1
            note("ok", op=op, status=answer.status, id=identity, echo=echo, error=error, kind=kind)

    async def put_records(self) -> None:
        """Put some records of random keys to one of the streams."""
        feed = self.random.choice(sorted(self.load.plan["streams"]))
        op = f"r{next(self.load.ops)}"
        chance = self.random.random()
        items = [[f"{op}-{at}", f"k{self.random.randrange(KEYS)}"] for at in range(self.load.plan["records"])]
        more = {"s": 0.4} if chance < 0.15 else {"e": 1} if chance < 0.17 else {}
        records = [
            {"Data": base64.b64encode(json.dumps({"id": identity, **more}).encode()).decode(), "PartitionKey": key}
            for identity, key in items
        ]
        body = json.dumps({"StreamName": self.load.plan["streams"][feed], "Records": records}).encode()
        headers = {**JSON_1, "x-amz-target": "Kinesis_20131202.PutRecords"}
        try:
            node = await self.connect()
        except NotSent:
            return
        self.load.recorder.note("inv", op=op, plane="stream", feed=feed, node=node, items=items)
        self.load.sent += len(items)
        answer = await self._ask(op, "kinesis", "/", headers, body, PUT_S)
        if answer is None:
            return
        told = [
            [identity, key, each.get("ShardId"), each.get("SequenceNumber"), each.get("ErrorCode")]
            for (identity, key), each in zip(items, answer.json()["Records"], strict=True)
        ]
        self.load.backlog.accepted += sum(each[4] is None for each in told)
        self.load.recorder.note("ok", op=op, items=told)

    async def send_messages(self, queue: Mapping[str, str], *, is_fifo: bool) -> None:
        """Send ten messages; to a FIFO queue in groups that are this sender's alone."""
        plane = "fifo" if is_fifo else "queue"
        first = f"{plane[0]}{next(self.load.ops)}"
        chance = self.random.random()
        more = {"s": 0.4} if chance < 0.1 else {"e": 99 if chance < 0.105 else 1} if chance < 0.13 else {}
        items = [[f"{first}-{at}", self.random.choice(self._groups) if is_fifo else ""] for at in range(10)]
        entries = [
            {
                "Id": f"m{at}",
                "MessageBody": json.dumps({"id": identity, **(more if at == 0 else {})}),
                **({"MessageGroupId": group, "MessageDeduplicationId": identity} if group else {}),
            }
            for at, (identity, group) in enumerate(items)
        ]
        body = json.dumps({"QueueUrl": queue["url"], "Entries": entries}).encode()
        headers = {**JSON_0, "x-amz-target": "AmazonSQS.SendMessageBatch"}
        is_stored, tries = False, 0
        while not is_stored:
            try:
                node = await self.connect()
            except NotSent:
                return
            op = f"{first}t{tries}"
            self.load.recorder.note("inv", op=op, plane="queue", feed=plane, node=node, items=items)
            self.load.sent += 0 if tries else len(items)
            tries += 1
            answer = await self._ask(op, "sqs", "/", headers, body, PUT_S)
            if answer is not None:
                told = [
                    [*items[int(each["Id"][1:])], each["MessageId"], int(each.get("SequenceNumber", 0))]
                    for each in answer.json().get("Successful", [])
                ]
                refused = [items[int(each["Id"][1:])][0] for each in answer.json().get("Failed", [])]
                if tries == 1:
                    self.load.backlog.accepted += len(told)
                self.load.recorder.note("ok", op=op, items=told, refused=refused)
                is_stored = not refused
            if not is_fifo:
                return
            if not is_stored:
                await asyncio.sleep(0.2)

    async def _ask(
        self, op: str, service: str, path: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer | None:
        """Send a request and return its answer if it is a good one; note it otherwise."""
        note = self.load.recorder.note
        try:
            answer = await self.connection.post(service, path, headers, body, seconds=seconds)
        except Unknown as error:
            self.load.bad_until[self._node] = time.monotonic() + BAD_S
            note("info", op=op, why=str(error))
            return None
        if answer.status in {200, 202}:
            return answer
        certainly = 400 <= answer.status < 500
        note("fail" if certainly else "info", op=op, status=answer.status, why=answer.body[:120].decode("latin-1"))
        self._left = 0
        await asyncio.sleep(0.05)
        return None


def main() -> None:
    import uvloop

    plan = json.loads(Path(sys.argv[1]).read_text())
    uvloop.run(Load(plan).run())


if __name__ == "__main__":
    main()
