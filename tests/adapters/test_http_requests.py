"""Requests to HTTP APIs: from their address to the function's answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from eventrouter.api.http import Request, Response
from eventrouter.errors import IntakeRefused, RuntimeFault, Unavailable
from eventrouter.ports import Caller
from eventrouter.rules.outcome import FunctionFailed, SystemFault, Throttled, ThrottleReason
from tests.adapters.http_world import World, answering, echo, play

pytestmark = pytest.mark.integration

FAILED = FunctionFailed(payload=b"{}", error_type="ValueError")


def shown(answer: Response | None) -> tuple[int, str]:
    assert answer is not None
    return answer.status, answer.body.decode()


def event_in(answer: Response | None) -> dict[str, Any]:
    assert answer is not None
    event: dict[str, Any] = json.loads(answer.body)
    return event


def test_an_api_is_addressed_by_host_by_path_or_by_nothing() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        await world.a_route(api, "GET /orders/{id}", echo)
        host = f"{api}.execute-api.localhost.localstack.cloud"

        by_host = event_in(await world.request("GET", "/orders/1", host=f"{host}:4566"))
        by_path = event_in(await world.request("GET", f"/_aws/execute-api/{api}/$default/orders/1"))
        by_escaped_path = event_in(await world.request("GET", f"/_aws/execute-api/{api}/%24default/orders/1"))
        by_nothing = event_in(await world.request("GET", "/orders/1"))

        for event in (by_host, by_path, by_escaped_path, by_nothing):
            assert event["rawPath"] == "/orders/1"
            assert event["pathParameters"] == {"id": "1"}
            assert event["requestContext"]["apiId"] == api
            assert event["requestContext"]["domainName"] == host
            assert event["requestContext"]["http"]["sourceIp"] == "1.2.3.4"

    play(scenario)


def test_the_host_may_be_any_that_has_execute_api_in_it() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        await world.a_route(api, "GET /", answering("root"))

        for host in (f"{api}.execute-api.eu-west-1.amazonaws.com", f"{api.upper()}.Execute-API.localhost:1"):
            assert shown(await world.request("GET", "/", host=host)) == (200, "root")

    play(scenario)


def test_the_door_claims_hosts_and_paths_of_apis_only() -> None:
    async def scenario(world: World) -> None:
        def claimed(path: str, host: str = "localhost:4566") -> bool:
            return world.door.claims(Request(method="GET", path=path, headers={b"host": host.encode()}))

        assert claimed("/health", "a.execute-api.localhost")
        assert claimed("/health", "a.EXECUTE-API.localhost")
        assert claimed("/_aws/execute-api/a/$default/x")
        assert not claimed("/orders")
        assert not claimed("/", "sqs.us-east-1.localhost.localstack.cloud")
        assert not world.door.claims(Request(method="GET", path="/", headers={}))

    play(scenario)


def test_what_leads_nowhere_is_not_found() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        await world.a_route(api, "GET /orders", echo)
        not_found = (404, '{"message":"Not Found"}')

        assert shown(await world.request("GET", "/x", host=f"{api}.execute-api.localhost")) == not_found
        assert shown(await world.request("POST", "/orders", host=f"{api}.execute-api.localhost")) == not_found
        assert shown(await world.request("GET", "/orders", host="nobody.execute-api.localhost")) == not_found
        assert shown(await world.request("GET", f"/_aws/execute-api/{api}/prod/orders")) == not_found
        assert shown(await world.request("GET", f"/_aws/execute-api/{api}")) == not_found
        assert await world.request("GET", "/x") is None

    play(scenario)


def test_of_several_apis_the_most_specific_route_answers_and_then_the_oldest() -> None:
    async def scenario(world: World) -> None:
        for key, text in (("$default", "old"), ("GET /{x+}", "greedy"), ("GET /a", "first"), ("GET /a", "second")):
            await world.a_route(await world.an_api(), key, answering(text))
            await world.clock.sleep(1)

        assert shown(await world.request("GET", "/a"))[1] == "first"
        assert shown(await world.request("GET", "/b"))[1] == "greedy"
        assert shown(await world.request("PUT", "/a"))[1] == "old"

    play(scenario)


def test_without_an_address_only_the_account_and_region_of_unsigned_calls_are_looked_at() -> None:
    async def scenario(world: World) -> None:
        for account, region in (("111111111111", "eu-west-1"), ("000000000000", "us-east-1")):
            caller = Caller(account=account, region=region, request_id="r")
            world.functions.handlers["f"] = echo
            arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
            await world.an_api(caller=caller, Target=arn)
        assert await world.request("GET", "/x") is None

        await world.an_api(caller=Caller(account="000000000000", region="eu-west-1", request_id="r"), Target=arn)
        assert shown(await world.request("GET", "/x"))[0] == 200

    play(scenario, region="eu-west-1")


def test_a_change_on_another_node_is_seen_at_once_where_it_makes_a_difference() -> None:
    async def scenario(world: World) -> None:
        async with world.another_node() as other:
            api = await world.an_api()
            await world.a_route(api, "GET /a", answering("a"))
            assert shown(await other.request("GET", "/a"))[1] == "a"
            await world.a_route(api, "GET /b", answering("b"))
            assert shown(await other.request("GET", "/b", host=f"{api}.execute-api.localhost"))[1] == "b"
            await world.ask("DeleteApi", ApiId=api)
            await other.store.refresh()
            assert await other.request("GET", "/a") is None

    play(scenario)


def test_the_integration_s_payload_format_decides_event_and_answer() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        await world.a_route(api, "GET /one", answering({"wrong": 1}), PayloadFormatVersion="1.0")
        await world.a_route(api, "GET /two", answering({"wrong": 1}), PayloadFormatVersion="2.0")

        assert shown(await world.request("GET", "/one")) == (502, '{"message": "Internal server error"}')
        assert shown(await world.request("GET", "/two")) == (200, '{"wrong":1}')
        assert [event["version"] for event in world.functions.events] == ["1.0", "2.0"]

    play(scenario)


def test_names_of_headers_come_as_the_client_wrote_them_in_format_1() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        answer = {"statusCode": 200, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}}
        await world.a_route(api, "GET /", answering(answer), PayloadFormatVersion="1.0")

        answered = await world.request("GET", "/", X_cUSTOM="a", accept="*/*")

        [event] = world.functions.events
        assert {"X-cUSTOM", "accept"} <= event["headers"].keys()
        assert answered is not None
        cookies = [value for name, value in answered.headers if name == b"set-cookie"]
        assert cookies == [b"a=1", b"b=2"]

    play(scenario)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (FAILED, (502, '{"message": "Internal server error"}')),
        (Throttled(reason=ThrottleReason.RESERVED), (503, '{"message":"Service Unavailable"}')),
        (SystemFault(message="broke"), (503, '{"message":"Service Unavailable"}')),
        (Unavailable("no Redis"), (503, '{"message":"Service Unavailable"}')),
        (IntakeRefused("full"), (503, '{"message":"Service Unavailable"}')),
        (RuntimeFault("no room"), (503, '{"message":"Service Unavailable"}')),
    ],
)
def test_a_function_that_cannot_answer_is_told_as_api_gateway_does(result: Any, expected: tuple[int, str]) -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        await world.a_route(api, "GET /", answering(result))
        assert shown(await world.request("GET", "/")) == expected

    play(scenario)


def test_a_route_without_a_function_is_an_internal_error() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        await world.a_route(api, "GET /gone", echo)
        await world.ask("CreateRoute", ApiId=api, RouteKey="GET /none")
        world.functions.handlers.clear()

        for path in ("/gone", "/none"):
            assert shown(await world.request("GET", path)) == (500, '{"message":"Internal server error"}')

    play(scenario)


def test_a_function_that_outlives_the_integration_s_time_limit_goes_on() -> None:
    async def scenario(world: World) -> None:
        async def slow(event: dict[str, Any]) -> str:
            await world.clock.sleep(2)
            return "late"

        async def failing(event: dict[str, Any]) -> str:
            await world.clock.sleep(2)
            raise RuntimeFault("gone")

        api = await world.an_api()
        await world.a_route(api, "GET /in-time", slow, TimeoutInMillis=2_500)
        await world.a_route(api, "GET /late", slow, TimeoutInMillis=500)
        await world.a_route(api, "GET /broken", failing, TimeoutInMillis=500)
        unavailable = (503, '{"message":"Service Unavailable"}')

        assert shown(await world.request("GET", "/in-time")) == (200, "late")
        began = world.clock.now_ms()
        assert shown(await world.request("GET", "/late")) == unavailable
        assert world.clock.now_ms() - began == 500
        assert shown(await world.request("GET", "/broken")) == unavailable
        assert world.functions.finished == 1
        await world.clock.sleep(3)
        assert world.functions.finished == 2

    play(scenario)


def test_a_client_that_leaves_does_not_stop_the_function() -> None:
    async def scenario(world: World) -> None:
        async def slow(event: dict[str, Any]) -> str:
            await world.clock.sleep(2)
            return "done"

        await world.a_route(await world.an_api(), "GET /", slow)
        asking = asyncio.ensure_future(world.request("GET", "/"))
        await world.clock.sleep(1)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
        await world.clock.sleep(2)
        assert world.functions.finished == 1

    play(scenario)


def test_a_body_that_makes_too_long_an_event_is_refused() -> None:
    async def scenario(world: World) -> None:
        await world.a_route(await world.an_api(), "POST /", answering("ok"))
        sizes = {6_000_000: 200, 6_291_456: 413}
        for size, status in sizes.items():
            answer = await world.request("POST", "/", body=b"a" * size)
            assert answer is not None
            assert answer.status == status

    play(scenario)


def test_the_function_and_the_client_are_told_the_request_s_id_and_trace() -> None:
    async def scenario(world: World) -> None:
        await world.a_route(await world.an_api(), "GET /", echo)

        answer = await world.request("GET", "/")
        given = await world.request("GET", "/", X_Amzn_Trace_Id="Root=1-5759e988-bd862e3fe1be46a994272793")

        assert answer is not None
        assert (b"apigw-requestid", b"11111111-2222-3333-4444-555555555555") in answer.headers
        made, passed = world.functions.traces
        assert made == event_in(answer)["headers"]["x-amzn-trace-id"]
        assert made.startswith("Root=1-")
        assert passed == event_in(given)["headers"]["x-amzn-trace-id"] == "Root=1-5759e988-bd862e3fe1be46a994272793"

    play(scenario)
