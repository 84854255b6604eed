"""HTTP APIs over an in-memory store, in virtual time: functions are Python callables that the test gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from eventrouter.api.http import Request, Response, WebRequest
from eventrouter.errors import AdapterError
from eventrouter.ports import AdapterContext, Caller, WebDoor
from eventrouter.rules.outcome import FunctionFailed, Run, RunStatus, Succeeded, SystemFault, Throttled
from eventrouter.settings import Settings
from eventrouter.store import Store, open_store, redis_lanes
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import VirtualClock, run_virtual, virtual_clock
from eventrouter_adapters import http
from tests.adapters.world import CALLER

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:{CALLER.region}:{CALLER.account}:function:{name}"


def a_run(outcome: Succeeded | FunctionFailed | SystemFault) -> Run:
    return Run(
        outcome=outcome,
        status=RunStatus.SUCCESS,
        version="$LATEST",
        log_group="",
        log_stream="",
        started_at_ms=0,
        duration_ms=1.0,
        memory_mb=128,
        max_memory_mb=64,
    )


@dataclass
class Functions:
    """Functions by name: each takes the event, and returns a result or a run's outcome, or raises."""

    handlers: dict[str, Handler] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    finished: int = 0

    def exists(self, arn: str) -> bool:
        return arn.rpartition(":")[2] in self.handlers

    async def call(self, arn: str, payload: bytes, *, request_id: str, trace: str = "") -> Run | Throttled:
        UUID(request_id)
        handler = self.handlers.get(arn.rpartition(":")[2])
        if handler is None:
            raise AdapterError(f"Function not found: {arn}", transient=False)
        event = json.loads(payload)
        self.events.append(event)
        self.traces.append(trace)
        result = await handler(event)
        self.finished += 1
        if isinstance(result, Throttled):
            return result
        if isinstance(result, FunctionFailed | SystemFault):
            return a_run(result)
        return a_run(Succeeded(payload=json.dumps(result).encode()))

    async def accept(self, arn: str, payload: bytes, *, request_id: str, trace: str = "") -> None:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class World:
    """One node's adapter."""

    store: Store
    clock: VirtualClock
    functions: Functions
    operations: Any
    door: WebDoor
    another_node: Callable[[], AbstractAsyncContextManager[World]]

    async def ask(self, operation: str, *, caller: Caller = CALLER, **members: Any) -> dict[str, Any]:
        """Call an operation of API Gateway."""
        return dict(await self.operations[operation](caller, members))

    async def an_api(self, *, caller: Caller = CALLER, **members: Any) -> str:
        """Create an API and return its id."""
        answer = await self.ask("CreateApi", caller=caller, Name="shop", ProtocolType="HTTP", **members)
        return str(answer["ApiId"])

    async def a_route(self, api: str, key: str, handler: Handler, **members: Any) -> str:
        """Add a route to an API that `handler` answers; return the integration's id."""
        name = f"f{len(self.functions.handlers)}"
        self.functions.handlers[name] = handler
        settings = {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "2.0", **members}
        made = await self.ask("CreateIntegration", ApiId=api, IntegrationUri=function_arn(name), **settings)
        await self.ask("CreateRoute", ApiId=api, RouteKey=key, Target=f"integrations/{made['IntegrationId']}")
        return str(made["IntegrationId"])

    async def request(
        self, method: str, path: str, *, body: bytes = b"", host: str = "localhost:4566", **headers: str
    ) -> Response | None:
        """Make a request as the door is given it."""
        path, _, query = path.partition("?")
        named = [("Host", host), *((name.replace("_", "-"), value) for name, value in headers.items())]
        spelt = tuple((name.encode(), value.encode()) for name, value in named)
        request = Request(
            method=method,
            path=path,
            query=query.encode(),
            headers={name.lower(): value for name, value in spelt},
            body=body,
        )
        return await self.door.answer(
            WebRequest(
                request=request,
                id="11111111-2222-3333-4444-555555555555",
                sender="1.2.3.4",
                protocol="HTTP/1.1",
                headers=spelt,
            )
        )


async def echo(event: dict[str, Any]) -> Any:
    """Answer with the event itself."""
    return event


def answering(result: Any) -> Handler:
    """Make a handler that answers with one result, or raises it if it is an exception."""

    async def handler(event: dict[str, Any]) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    return handler


def play(scenario: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    """Run a scenario to its end in virtual time, on a store of its own."""

    async def main() -> None:
        clock = virtual_clock()
        functions = Functions()
        seeds = count(7)
        with virtual_redis(lambda: clock.now_ms() / 1_000) as connect:

            def another_node() -> AbstractAsyncContextManager[World]:
                return _node(connect(), clock, functions, next(seeds), another_node, Settings(**settings))

            async with another_node() as world:
                await scenario(world)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


@asynccontextmanager
async def _node(
    client: Redis,
    clock: VirtualClock,
    functions: Functions,
    seed: int,
    another_node: Callable[[], AbstractAsyncContextManager[World]],
    settings: Settings,
) -> AsyncIterator[World]:
    store = await open_store(redis_lanes(client), prefix="er", partitions=1, clock=clock, random=Random(seed))
    context = AdapterContext(settings=settings, clock=clock, store=store, functions=functions)
    adapter = http.build(context, Random(seed + 1_000))
    assert adapter.fallback is not None
    try:
        yield World(
            store=store,
            clock=clock,
            functions=functions,
            operations=adapter.apis[0].operations,
            door=adapter.fallback,
            another_node=another_node,
        )
    finally:
        await store.close()
        await client.aclose()
