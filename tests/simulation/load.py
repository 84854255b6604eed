"""The callers: they make functions, queues, streams and mappings, send work to any node, and change all of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventrouter.errors import EventRouterError, IntakeRefused, Unavailable
from eventrouter.project.api import ACCOUNT, REGION, ApiError, NodeApi
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName, FunctionReference
from eventrouter.rules.outcome import FunctionFailed, Succeeded, Throttled
from eventrouter.testing.life import NodeGone
from tests.simulation.loop import SimLoop
from tests.simulation.plan import NODES, Step
from tests.simulation.story import Sent

if TYPE_CHECKING:
    from tests.simulation.nodes import Host
    from tests.simulation.world import World

CLIENT_PATIENCE_S = 40.0
RETRIES = 2
HIDDEN_S = 30
MOST_RECEIVES = 3
RESERVED = "tight"
SCHEDULE = "rate(2 hours)"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
FUNCTIONS = ("work", "tight", "old", "sync", "clicks", "parts", "windows", "jobs", "orders", "ticks")
ENDS = ("done", "failed", "dead", "drops", "jobs-dead", "orders-dead.fifo")
MAX_AGE_S = 120


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def queue_url(name: str) -> str:
    return f"http://eventrouter.test/{ACCOUNT}/{name}"


def stream_arn(name: str) -> str:
    return f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"


class Load:
    """What callers do."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = Random(world.plan.seed * 7_919 + 11)
        self._loop: SimLoop = world.loop
        self._busy = 0
        self._numbers = 0
        self.mappings: dict[str, str] = {}

    @property
    def is_busy(self) -> bool:
        """Say whether some caller still waits."""
        return self._busy > 0

    def begin(self, step: Step) -> None:
        """Begin a step."""
        self._busy += 1
        _ = self._world.begin(self._do(step))

    async def _do(self, step: Step) -> None:
        try:
            await getattr(self, "_" + step.do)(**step.facts)
        finally:
            self._busy -= 1

    # Making things.

    async def call(self, service: str, operation: str, node: int = 0, **members: Any) -> dict[str, Any]:
        """Call an operation at a node. Raises ApiError, NodeGone, Unavailable, TimeoutError."""
        host = self._world.hosts[node]
        if not host.is_up:
            raise NodeGone("down")
        async with asyncio.timeout(CLIENT_PATIENCE_S):
            answer: dict[str, Any] = await host.inside(
                lambda: NodeApi(host.node).call(service, operation, members)  # type: ignore[arg-type]
            )
        return answer

    async def build(self) -> None:
        """Make everything, before anything goes wrong."""
        shape = self._world.plan.shape
        for name in ENDS:
            attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
            await self.call("sqs", "CreateQueue", QueueName=name, Attributes=attributes)
        for name in ("jobs", "orders.fifo"):
            dead = "orders-dead.fifo" if name.endswith(".fifo") else "jobs-dead"
            attributes = {
                "VisibilityTimeout": str(HIDDEN_S),
                "RedrivePolicy": json.dumps({"deadLetterTargetArn": queue_arn(dead), "maxReceiveCount": MOST_RECEIVES}),
                **({"FifoQueue": "true"} if name.endswith(".fifo") else {}),
            }
            await self.call("sqs", "CreateQueue", QueueName=name, Attributes=attributes)
        for name in FUNCTIONS:
            await self._create_function(name, 0)
        await self._configure_events()
        await self.call(
            "lambda", "PutFunctionConcurrency", FunctionName=RESERVED,
            ReservedConcurrentExecutions=shape["reserved"],
        )  # fmt: skip
        for name in ("clicks", "parts", "windows"):
            await self.call("kinesis", "CreateStream", StreamName=name, ShardCount=shape["shards"])
        await self._create_mappings(shape)
        await self.call("events", "PutRule", Name="ticks", ScheduleExpression=SCHEDULE)
        await self.call(
            "events", "PutTargets", Rule="ticks",
            Targets=[{"Id": "1", "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:ticks"}],
        )  # fmt: skip
        await self._world._tick_until(self._loop.time() + 4)

    async def _create_function(self, name: str, node: int) -> None:
        await self.call(
            "lambda", "CreateFunction", node, FunctionName=name, Role=ROLE, Handler="any.handler",
            Runtime="python3.12", Timeout=20,
            Code={"S3Bucket": "hot-reload", "S3Key": str(self._world.hosts[0].folder)},
        )  # fmt: skip

    async def _configure_events(self) -> None:
        destinations = {
            "OnSuccess": {"Destination": queue_arn("done")},
            "OnFailure": {"Destination": queue_arn("failed")},
        }
        await self.call("lambda", "PutFunctionEventInvokeConfig", FunctionName="work", DestinationConfig=destinations)
        await self.call(
            "lambda", "PutFunctionEventInvokeConfig", FunctionName="old", MaximumEventAgeInSeconds=MAX_AGE_S,
            MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": queue_arn("failed")}},
        )  # fmt: skip
        await self.call(
            "lambda", "UpdateFunctionConfiguration", FunctionName="tight",
            DeadLetterConfig={"TargetArn": queue_arn("dead")},
        )  # fmt: skip

    async def _create_mappings(self, shape: dict[str, Any]) -> None:
        drops = {"OnFailure": {"Destination": queue_arn("drops")}}
        for name in ("clicks", "parts", "windows"):
            members: dict[str, Any] = {
                "StartingPosition": "TRIM_HORIZON", "BatchSize": shape["batch"], "MaximumRetryAttempts": RETRIES,
                "DestinationConfig": drops, "MaximumBatchingWindowInSeconds": shape["batching_s"],
            }  # fmt: skip
            if name == "windows":
                members["TumblingWindowInSeconds"] = shape["window_s"]
            else:
                members["ParallelizationFactor"] = shape["parallel"]
                members["BisectBatchOnFunctionError"] = shape["bisect"]
            if name == "parts":
                members["FunctionResponseTypes"] = ["ReportBatchItemFailures"]
            made = await self.call(
                "lambda", "CreateEventSourceMapping", FunctionName=name, EventSourceArn=stream_arn(name), **members
            )
            self.mappings[name] = made["UUID"]
        for queue, function in (("jobs", "jobs"), ("orders.fifo", "orders")):
            made = await self.call(
                "lambda", "CreateEventSourceMapping", FunctionName=function, EventSourceArn=queue_arn(queue),
                BatchSize=min(shape["batch"], 10), FunctionResponseTypes=["ReportBatchItemFailures"],
            )  # fmt: skip
            self.mappings[queue] = made["UUID"]

    # Sending work.

    def _new(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}{self._numbers}"

    async def _send(self, sent: Sent, work: Callable[[], Awaitable[Any]]) -> None:
        """Send something, and note what its caller was told."""
        world = self._world
        world.story.sent.append(sent)
        try:
            sent.answer = await work()
            sent.told = "ok"
        except (IntakeRefused, _NotSent):
            sent.told = "refused"
        except (ApiError, Unavailable, NodeGone, TimeoutError, EventRouterError) as error:
            sent.told, sent.answer = "unknown", repr(error)
        sent.answered = world.now_ms()
        world.story.counts[f"{sent.plane} {sent.told}"] += 1

    def _host(self, node: int) -> Host:
        """Return the node, or the next one that is up."""
        for step in range(NODES):
            host = self._world.hosts[(node + step) % NODES]
            if host.is_up:
                return host
        raise _NotSent

    def _invocation(self, name: str, request_id: str, value: Any) -> Invocation:
        function = FunctionName(account=ACCOUNT, region=REGION, name=name)
        return Invocation(
            request_id=request_id, reference=FunctionReference(function=function), payload=json.dumps(value).encode()
        )

    async def _event(self, node: int, seconds: float, errors: int, to: str, count: int) -> None:
        for _ in range(count):
            name = str(UUID(int=self._random.getrandbits(128)))
            value = {"id": name, "seconds": seconds, "errors": errors}
            sent = Sent("event", to, name, value, self._world.now_ms())
            await self._send(sent, partial(self._accept, node, to, name, value))

    async def _accept(self, node: int, to: str, name: str, value: Any) -> None:
        host = self._host(node)
        invocation = self._invocation(to, name, value)

        async def accept() -> None:
            assert host.node is not None
            function = host.node.store.functions.runnable(invocation.reference.function)
            if function is None:
                raise _NotSent
            await host.node.events.accept(function, invocation)

        async with asyncio.timeout(CLIENT_PATIENCE_S):
            await host.inside(accept)

    async def _call(self, node: int, seconds: float, errors: int, to: str) -> None:
        name = str(UUID(int=self._random.getrandbits(128)))
        value = {"id": name, "seconds": seconds, "errors": errors}
        sent = Sent("call", to, name, value, self._world.now_ms())

        async def call() -> Any:
            host = self._host(node)
            invocation = self._invocation(to, name, value)

            async def invoke() -> Any:
                assert host.node is not None
                function = host.node.store.functions.runnable(invocation.reference.function)
                if function is None:
                    raise _NotSent
                return await host.node.sync.invoke(function, invocation)

            async with asyncio.timeout(CLIENT_PATIENCE_S):
                run = await host.inside(invoke)
            if isinstance(run, Throttled):
                return "throttled"
            if isinstance(run.outcome, Succeeded):
                return json.loads(run.outcome.payload)
            return "error" if isinstance(run.outcome, FunctionFailed) else "system fault"

        await self._send(sent, call)

    async def _records(self, node: int, seconds: float, errors: int, stream: str, count: int, keys: int) -> None:
        names = [self._new("r") for _ in range(count)]
        values = [{"id": name, "seconds": seconds, "errors": errors if at == 0 else 0} for at, name in enumerate(names)]
        entries = [
            {"Data": json.dumps(value).encode(), "PartitionKey": f"k{at % keys}"} for at, value in enumerate(values)
        ]
        sent = Sent(
            "records",
            stream,
            names[0],
            list(zip(names, [each["PartitionKey"] for each in entries], strict=True)),
            self._world.now_ms(),
        )

        async def put() -> Any:
            host = self._host(node)
            answer = await self.call("kinesis", "PutRecords", host.number, StreamName=stream, Records=entries)
            return answer["Records"]

        await self._send(sent, put)

    async def _message(self, node: int, seconds: float, errors: int, delay: int) -> None:
        name = self._new("m")
        value = {"id": name, "seconds": seconds, "errors": errors}
        sent = Sent("message", "jobs", name, {**value, "delay": delay}, self._world.now_ms())

        async def send() -> Any:
            host = self._host(node)
            return await self.call(
                "sqs", "SendMessage", host.number, QueueUrl=queue_url("jobs"), MessageBody=json.dumps(value),
                DelaySeconds=delay,
            )  # fmt: skip

        await self._send(sent, send)

    async def _fifo(self, node: int, seconds: float, errors: int, group: str, repeats: bool, count: int) -> None:
        for at in range(count):
            name = self._new("f")
            value = {"id": name, "seconds": seconds, "errors": errors if at == 0 else 0}
            for again in range(2 if repeats else 1):
                sent = Sent(
                    "fifo again" if again else "fifo",
                    "orders.fifo",
                    name,
                    {**value, "group": group},
                    self._world.now_ms(),
                )

                async def send(value: Any = value, name: str = name) -> Any:
                    host = self._host(node)
                    return await self.call(
                        "sqs", "SendMessage", host.number, QueueUrl=queue_url("orders.fifo"),
                        MessageBody=json.dumps(value), MessageGroupId=group, MessageDeduplicationId=name,
                    )  # fmt: skip

                await self._send(sent, send)

    # Changing things.

    async def _change(
        self, what: str, service: str, operation: str, node: int, **members: Any
    ) -> dict[str, Any] | None:
        story = self._world.story
        try:
            answer = await self.call(service, operation, self._host(node).number, **members)
        except (ApiError, Unavailable, NodeGone, TimeoutError, EventRouterError, _NotSent) as error:
            story.note("change failed", what, repr(error))
            return None
        story.counts[f"changed {operation}"] += 1
        return answer

    async def _reserve(self, node: int, to: str, limit: int) -> None:
        began = self._world.now_ms()
        await self._change(
            "reserve", "lambda", "PutFunctionConcurrency", node, FunctionName=to, ReservedConcurrentExecutions=limit
        )
        self._world.story.changed.append((began, "reserve", to, limit))

    async def _deploy(self, node: int) -> None:
        await self._change(
            "deploy", "lambda", "UpdateFunctionConfiguration", node,
            FunctionName=self._random.choice(["work", "clicks"]), Description=self._new("version "),
        )  # fmt: skip

    async def _remap(self, node: int, parallel: int, batch: int) -> None:
        name = self._random.choice(["clicks", "parts"])
        self._world.story.changed.append((self._world.now_ms(), "remap", name, parallel))
        await self._change(
            "remap", "lambda", "UpdateEventSourceMapping", node, UUID=self.mappings[name], BatchSize=batch,
            ParallelizationFactor=parallel,
        )  # fmt: skip

    async def _reshard(self, node: int) -> None:
        name = self._random.choice(["clicks", "parts"])
        await self._change(
            "reshard", "kinesis", "UpdateShardCount", node, StreamName=name,
            TargetShardCount=self._random.choice([1, 2, 3, 4]), ScalingType="UNIFORM_SCALING",
        )  # fmt: skip

    async def _recreate(self, node: int) -> None:
        """Delete a function that callers wait for, and make it again."""
        if await self._change("delete", "lambda", "DeleteFunction", node, FunctionName="sync") is not None:
            await asyncio.sleep(self._random.uniform(0, 3))
        try:
            await self._create_function("sync", self._host(node).number)
        except (ApiError, Unavailable, NodeGone, TimeoutError, EventRouterError, _NotSent) as error:
            self._world.story.note("create failed", repr(error))

    # The end.

    async def collect(self) -> None:
        """Read what came to the queues of ends."""
        for name in (*ENDS, "jobs", "orders.fifo"):
            found = self._world.story.messages.setdefault(name, [])
            while True:
                try:
                    answer = await self.call(
                        "sqs", "ReceiveMessage", QueueUrl=queue_url(name), MaxNumberOfMessages=10,
                        MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"], VisibilityTimeout=600,
                    )  # fmt: skip
                except (ApiError, EventRouterError, TimeoutError) as error:
                    self._world.story.breach(f"{name} cannot be read: {error!r}")
                    break
                messages = answer.get("Messages") or []
                if not messages:
                    break
                found += messages
                if name.endswith(".fifo"):
                    for each in messages:
                        await self.call(
                            "sqs", "DeleteMessage", QueueUrl=queue_url(name), ReceiptHandle=each["ReceiptHandle"]
                        )


class _NotSent(EventRouterError):
    """No node was up, or none knew the function: nothing was sent."""
