"""What is set up before the load: functions, streams, queues, mappings, rules; and the numbers the judge must know."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.proof import functions
from tests.chaos.proof.machine import RETRY_BASE_S
from tests.e2e.accounts import REGION, Account
from tests.e2e.streams import Stream

HEARD_S = 1.5
"""By then every node has heard of what was made on one."""
RETRIES = 2
RESERVED = {"events": 24, "calls": 3}
RULES = 10
BATCH = 10
RECORDS_BATCH = 50
VISIBILITY_S = 6
MOST = 4
"""Receives after which a message is given up."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    shards: int
    lanes: int


STREAMS = {"plain": StreamPlan(4, 1), "lanes": StreamPlan(2, 3)}


@dataclass
class Setting:
    """Everything that lives on the nodes during a run."""

    account: Account
    history: Path
    marks: Path
    functions: dict[str, str] = field(default_factory=dict)
    streams: dict[str, str] = field(default_factory=dict)
    mappings: dict[str, str] = field(default_factory=dict)
    queues: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    rules_from: float = 0.0

    def build(self) -> None:
        """Make everything, on one node, and wait until the others have heard of it."""
        self._make_functions()
        self._make_queues()
        self._make_streams()
        self._make_rules()
        time.sleep(HEARD_S)

    def _make_functions(self) -> None:
        for name, body in {"events": functions.EVENTS, "calls": functions.EVENTS, "firings": functions.FIRINGS}.items():
            self._function(name, body)
            if name in RESERVED:
                self.account.reserve(self.functions[name], RESERVED[name])
        self._queue("events-dead")
        self.account.on_failure(self.functions["events"], self.queues["events-dead"]["arn"], retries=RETRIES)

    def _make_queues(self) -> None:
        for feed, name, fifo in (("queue", "standard", {}), ("fifo", "fifo", {"FifoQueue": "true"})):
            self._queue(f"{name}-dead", **fifo)
            redrive = {"deadLetterTargetArn": self.queues[f"{name}-dead"]["arn"], "maxReceiveCount": MOST}
            self._queue(name, VisibilityTimeout=str(VISIBILITY_S), RedrivePolicy=json.dumps(redrive), **fifo)
            self._function(f"queue-{feed}", functions.MESSAGES, feed=feed)
            self._map(
                feed,
                self.queues[name]["arn"],
                f"queue-{feed}",
                BatchSize=BATCH,
                FunctionResponseTypes=["ReportBatchItemFailures"],
                ScalingConfig={"MaximumConcurrency": 6},
            )

    def _make_streams(self) -> None:
        kinesis = self.account.client("kinesis")
        for feed, plan in STREAMS.items():
            name = self.streams[feed] = f"chaos-{feed}"
            kinesis.create_stream(StreamName=name, ShardCount=plan.shards)
            stream = Stream(kinesis, name, f"arn:aws:kinesis:{REGION}:{self.account.id}:stream/{name}")
            stream.wait_active()
            self._function(f"stream-{feed}", functions.RECORDS, feed=feed)
            self._map(
                feed,
                stream.arn,
                f"stream-{feed}",
                StartingPosition="TRIM_HORIZON",
                BatchSize=RECORDS_BATCH,
                ParallelizationFactor=plan.lanes,
            )
        kinesis.close()

    def _make_rules(self) -> None:
        events = self.account.client("events")
        arn = f"arn:aws:lambda:{REGION}:{self.account.id}:function:{self.functions['firings']}"
        for number in range(RULES):
            rule = f"every-minute-{number}"
            events.put_rule(Name=rule, ScheduleExpression="cron(* * * * ? *)")
            events.put_targets(Rule=rule, Targets=[{"Id": "f", "Arn": arn}])
        events.close()
        self.rules_from = time.time()

    def facts(self) -> dict[str, Any]:
        """Return what the judge must know of the rules of this run."""
        return {
            "retries": RETRIES,
            "retry_base_s": RETRY_BASE_S,
            "reserved": RESERVED,
            "lanes": {feed: plan.lanes for feed, plan in STREAMS.items()},
            "records_batch": RECORDS_BATCH,
            "batch": BATCH,
            "visibility_s": VISIBILITY_S,
            "most": MOST,
            "rules": RULES,
            "rules_from": self.rules_from,
        }

    def plan(self, nodes: list[tuple[str, int]], *, seed: int, events: int, seconds: float) -> dict[str, Any]:
        """Return what the load does: `events` in about so many seconds, by these shares."""
        records = 25
        each = events / seconds
        rates = {
            "async": 0.40 * each,
            "sync": 0.06 * each,
            "stream": 0.30 * each / records,
            "queue": 0.13 * each / 10,
            "fifo": 0.11 * each / 10,
        }
        return {
            "account": self.account.id,
            "region": REGION,
            "nodes": nodes,
            "seed": seed,
            "events": events,
            "rates": rates,
            "records": records,
            "functions": self.functions,
            "streams": self.streams,
            "queues": self.queues,
            "history": str(self.history),
            "files": [str(self.history / f"{name}.jsonl") for name in self.functions],
        }

    def deploy(self, name: str) -> int:
        """Give a function new code, which says so in its notes, and wait until the update is done."""
        self.versions[name] += 1
        self.account.update(self.functions[name], functions.source(functions.EVENTS, version=self.versions[name]))
        return self.versions[name]

    def close(self) -> None:
        self.account.close()

    def _function(self, name: str, body: str, *, feed: str = "") -> None:
        variables = {"HISTORY": str(self.history / f"{name}.jsonl"), "MARKS": str(self.marks)}
        self.versions[name] = 1
        self.functions[name] = self.account.function(
            functions.source(body, feed=feed), Timeout=5, Environment={"Variables": variables}
        )

    def _queue(self, name: str, **attributes: str) -> None:
        full = f"chaos-{name}{'.fifo' if 'FifoQueue' in attributes else ''}"
        url = self.account.sqs.create_queue(QueueName=full, Attributes=attributes)["QueueUrl"]
        self.queues[name] = {"url": url, "arn": f"arn:aws:sqs:{REGION}:{self.account.id}:{full}"}

    def _map(self, feed: str, source: str, function: str, **settings: Any) -> None:
        answer = self.account.lambda_.create_event_source_mapping(
            EventSourceArn=source, FunctionName=self.functions[function], **settings
        )
        self.mappings[feed] = answer["UUID"]
