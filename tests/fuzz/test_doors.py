"""Tens of thousands of requests, right, nearly right and hostile, at every operation of every door of one node.

EVENTROUTER_TEST_FUZZ_REQUESTS says how many (`make fuzz`: 50,000), EVENTROUTER_TEST_FUZZ_SEED which.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from eventrouter.api.applied import served_apis
from eventrouter.api.auth import DEFAULT_ACCOUNT
from tests.e2e.accounts import RUNTIME, Account
from tests.e2e.nodes import wait_until
from tests.fuzz.fire import Tally, fire
from tests.fuzz.grammar import ACCOUNT, FUNCTION_ARN, QUEUE_ARN, ROLE, STREAM_ARN, Grammar, Known
from tests.fuzz.size import IS_ALL, REQUESTS, SEED
from tests.fuzz.under_fire import ECHO, RUDE, Held, NodeUnderFire, Probed
from tests.fuzz.wire import Calls, Paths, Sent
from tests.fuzz.zips import PACKAGES

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

OPERATIONS = [(api.service, operation) for api in served_apis() for operation in sorted(api.members)]
WEB_SHARE = 0.12
FURNITURE_SHARE = 0.04
RUINOUS = (
    "DeleteApi",
    "DeleteIntegration",
    "DeleteRoute",
    "DeleteFunction",
    "DeleteQueue",
    "DeleteStream",
    "PurgeQueue",
)
FURNITURE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    *(
        ("lambda", "CreateFunction", {"FunctionName": name, "Role": ROLE, "Runtime": RUNTIME, "Handler": "app.handler",
                                      "Code": {"ZipFile": PACKAGES[0]}})
        for name in ("f", "g", "h")
    ),
    ("sqs", "CreateQueue", {"QueueName": "q"}),
    ("sqs", "CreateQueue", {"QueueName": "q.fifo", "Attributes": {"FifoQueue": "true"}}),
    ("kinesis", "CreateStream", {"StreamName": "s", "ShardCount": 2}),
    ("apigatewayv2", "CreateApi", {"Name": "api", "ProtocolType": "HTTP", "Target": FUNCTION_ARN}),
    ("sqs", "CreateQueue", {"QueueName": "p", "Attributes": {"RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": QUEUE_ARN, "maxReceiveCount": 1})}}),
    ("lambda", "CreateEventSourceMapping", {"FunctionName": "f", "EventSourceArn": QUEUE_ARN}),
    ("lambda", "CreateEventSourceMapping",
     {"FunctionName": "g", "EventSourceArn": STREAM_ARN, "StartingPosition": "TRIM_HORIZON"}),
    ("lambda", "PutFunctionEventInvokeConfig", {"FunctionName": "f", "MaximumRetryAttempts": 1}),
    ("kinesis", "RegisterStreamConsumer", {"StreamARN": STREAM_ARN, "ConsumerName": "c"}),
    ("sqs", "AddPermission", {"QueueUrl": f"http://127.0.0.1/{ACCOUNT}/q", "Label": "l", "AWSAccountIds": [ACCOUNT],
                              "Actions": ["SendMessage"]}),
    ("events", "PutRule", {"Name": "r", "ScheduleExpression": "rate(1 day)", "State": "DISABLED"}),
)  # fmt: skip
"""What requests speak of, made again and again, since requests take it away."""

ROUNDS = 4
SPITE = (0, 0, 0.03, 0.2)
"""The chance of something odd at each place of an input; each request draws one of these."""

PROBE_P99_S = 2.0


def drawer(seed: int, known: Known) -> Callable[[], Sent]:
    """Return what draws one request after the other: every operation in turn, and what is for none."""
    random = Random(seed)
    turns = itertools.cycle(random.sample(OPERATIONS, len(OPERATIONS)))
    kinds = [(Calls(grammar), Paths(grammar)) for grammar in (Grammar(random, known, spite=s) for s in SPITE)]

    def draw() -> Sent:
        calls, paths = random.choice(kinds)
        chance = random.random()
        if chance < WEB_SHARE:
            return paths.request()
        if chance < WEB_SHARE + FURNITURE_SHARE:
            return calls.plain(*random.choice(FURNITURE))
        service, operation = next(turns)
        if operation in RUINOUS and random.random() < 0.95:
            service, operation = next(turns)
        return calls.call(service, operation)

    return draw


def furnish(url: str) -> None:
    """Make what requests speak of."""
    account = Account(url, account_id=ACCOUNT)
    account.function(ECHO, FunctionName="f")
    account.function(ECHO, FunctionName="g")
    account.sqs.create_queue(QueueName="q")
    account.sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})
    account.client("kinesis").create_stream(StreamName="s", ShardCount=2)
    account.close()
    account = Account(url, account_id=DEFAULT_ACCOUNT)  # whose routes answer what names no API
    account.create(RUDE, FunctionName="rude")
    target = f"arn:aws:lambda:us-east-1:{DEFAULT_ACCOUNT}:function:rude"
    http = account.client("apigatewayv2")
    api = http.create_api(Name="rude", ProtocolType="HTTP", RouteKey="ANY /rude/{proxy+}", Target=target)["ApiId"]
    integration = http.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=target, PayloadFormatVersion="1.0"
    )["IntegrationId"]
    http.create_route(ApiId=api, RouteKey="ANY /rude-1/{proxy+}", Target=f"integrations/{integration}")
    account.wait_active("rude")
    account.close()


def empty(node: NodeUnderFire) -> None:
    """Take away what the requests have made."""
    with urllib.request.urlopen(urllib.request.Request(f"{node.url}/_eventrouter/reset", method="POST"), timeout=60):
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How one round went, how others fared meanwhile, what the log says, and what is left once the node is empty."""

    tally: Tally
    probed: Probed
    held: Held
    complaints: list[str]


def one_round(node: NodeUnderFire, seed: int, count: int) -> Round:
    """Fire at a furnished node, and empty it."""
    known = Known()
    furnish(node.url)
    with node.probed() as probed:
        tally = asyncio.run(fire(node.port, drawer(seed, known), known, count=count))
    complaints = node.complaints()
    empty(node)
    node.complaints()  # a node whose store was emptied finds itself forgotten, and says so
    return Round(tally=tally, probed=probed, held=node.held(), complaints=complaints)


def test_no_request_harms_the_node_or_its_other_callers(tmp_path: Path) -> None:
    node = NodeUnderFire(tmp_path / "data")
    rounds: list[Round] = []
    try:
        node.start()
        one_round(node, SEED - 1, 300)  # what is made once and kept: models, threads, the first environments
        baseline = node.held()
        for at in range(ROUNDS):
            done = one_round(node, SEED + at, REQUESTS // ROUNDS)
            rounds.append(done)
            print(told(SEED + at, done), flush=True)
            assert not done.tally.failures, "\n".join(map(str, done.tally.failures))
            assert not done.probed.failed, done.probed.failed[:5]
            assert done.probed.percentile(0.99) < PROBE_P99_S
            assert done.complaints == []
        wait_until("the node to be ready", node.is_ready)
        assert not node.leaks(baseline)
    finally:
        node.stop()
    succeeded = {label.split()[0] for done in rounds for label in done.tally.succeeded}
    never = {f"{service}.{operation}" for service, operation in OPERATIONS} - succeeded
    print("never succeeded:", sorted(never))
    assert len(never) < len(OPERATIONS) / 5 or not IS_ALL, "the requests have lost their depth"
    assert rounds[-1].held.rss_mb < rounds[0].held.rss_mb * 1.2 + 40


def told(seed: int, done: Round) -> str:
    """Describe a round in a line."""
    tally, probed, held = done.tally, done.probed, done.held
    return (
        f"seed {seed}: {tally.sent} requests, {tally.sent / tally.seconds:.0f} a second, "
        f"{dict(sorted(tally.statuses.items()))}, slowest {tally.slowest_s:.2f} s ({tally.slowest}), "
        f"probe p50 {probed.percentile(0.5) * 1_000:.0f} ms p99 {probed.percentile(0.99) * 1_000:.0f} ms, "
        f"{held.rss_mb:.0f} MB, {held.files} files, {held.threads} threads, {held.tasks.total()} tasks"
    )
