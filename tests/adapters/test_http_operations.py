"""HTTP APIs, their integrations and routes: creating, showing, changing and deleting them."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from eventrouter.errors import RequestError
from tests.adapters.http_world import World, answering, echo, function_arn, play
from tests.adapters.world import CALLER, refused

pytestmark = pytest.mark.integration

ARN = function_arn("f")


async def an_integration(world: World, api: str, **members: Any) -> dict[str, Any]:
    settings = {"IntegrationType": "AWS_PROXY", "IntegrationUri": ARN, **members}
    return await world.ask("CreateIntegration", ApiId=api, **settings)


def test_an_api_lives_from_its_creation_to_its_deletion() -> None:
    async def scenario(world: World) -> None:
        made = await world.ask("CreateApi", Name="shop", ProtocolType="HTTP", Description="Sells.", Version="1")
        api = made["ApiId"]
        assert made == {
            "ApiEndpoint": f"http://{api}.execute-api.localhost.localstack.cloud:4566",
            "ApiId": api,
            "ApiKeySelectionExpression": "$request.header.x-api-key",
            "CreatedDate": made["CreatedDate"],
            "Description": "Sells.",
            "DisableExecuteApiEndpoint": False,
            "IpAddressType": "ipv4",
            "Name": "shop",
            "ProtocolType": "HTTP",
            "RouteSelectionExpression": "$request.method $request.path",
            "Tags": {},
            "Version": "1",
        }
        assert made["CreatedDate"].timestamp() == world.clock.now_ms() // 1_000
        assert len(api) == 10
        assert await world.ask("GetApi", ApiId=api) == made
        assert await world.ask("GetApis") == {"Items": [made]}

        changed = await world.ask("UpdateApi", ApiId=api, Name="store", Version="2")
        assert changed == {**made, "Name": "store", "Version": "2"} == await world.ask("GetApi", ApiId=api)

        assert await world.ask("DeleteApi", ApiId=api) == {}
        assert await world.ask("GetApis") == {"Items": []}
        refusal = await refused(world.ask("GetApi", ApiId=api))
        assert (refusal.code, refusal.message, refusal.status) == (
            "NotFoundException",
            f"Invalid API identifier specified 000000000000:{api}",
            404,
        )

    play(scenario)


def test_the_endpoint_is_on_the_port_that_the_caller_asked() -> None:
    async def scenario(world: World) -> None:
        caller = dataclasses.replace(CALLER, base_url="https://[::1]")
        made = await world.ask("CreateApi", caller=caller, Name="shop", ProtocolType="HTTP")
        assert made["ApiEndpoint"] == f"https://{made['ApiId']}.execute-api.localhost.localstack.cloud"

    play(scenario)


def test_an_api_of_another_account_or_region_is_not_found() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        for stranger in (
            dataclasses.replace(CALLER, account="111111111111"),
            dataclasses.replace(CALLER, region="eu-west-1"),
        ):
            assert await world.ask("GetApis", caller=stranger) == {"Items": []}
            for operation, members in (
                ("GetApi", {}),
                ("UpdateApi", {"Name": "x"}),
                ("DeleteApi", {}),
                ("CreateIntegration", {"IntegrationType": "AWS_PROXY", "IntegrationUri": ARN}),
                ("GetIntegrations", {}),
                ("GetIntegration", {"IntegrationId": "i"}),
                ("UpdateIntegration", {"IntegrationId": "i"}),
                ("DeleteIntegration", {"IntegrationId": "i"}),
                ("CreateRoute", {"RouteKey": "$default"}),
                ("GetRoutes", {}),
                ("GetRoute", {"RouteId": "r"}),
                ("UpdateRoute", {"RouteId": "r"}),
                ("DeleteRoute", {"RouteId": "r"}),
            ):
                refusal = await refused(world.ask(operation, caller=stranger, ApiId=api, **members))
                assert refusal.message == f"Invalid API identifier specified {stranger.account}:{api}"
        assert await world.ask("GetApi", ApiId=api)

    play(scenario)


def test_websocket_apis_are_refused() -> None:
    async def scenario(world: World) -> None:
        refusal = await refused(world.ask("CreateApi", Name="chat", ProtocolType="WEBSOCKET"))
        assert (refusal.code, refusal.status) == ("BadRequestException", 400)
        assert "ProtocolType WEBSOCKET of CreateApi is not supported by eventrouter" in refusal.message

    play(scenario)


def test_settings_with_one_possible_value_take_no_other() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api(
            ApiKeySelectionExpression="$request.header.x-api-key",
            IpAddressType="ipv4",
            RouteSelectionExpression="$request.method $request.path",
        )
        for member, value in (
            ("ApiKeySelectionExpression", "$context.authorizer.usageIdentifierKey"),
            ("IpAddressType", "dualstack"),
            ("RouteSelectionExpression", "$request.body.action"),
        ):
            for call in (
                world.an_api(**{member: value}),
                world.ask("UpdateApi", ApiId=api, **{member: value}),
            ):
                refusal = await refused(call)
                assert refusal.code == "BadRequestException"
                assert f"{member} of an HTTP API must be" in refusal.message

    play(scenario)


@pytest.mark.parametrize(
    ("operation", "member", "value"),
    [
        ("CreateApi", "CorsConfiguration", {"AllowOrigins": ["*"]}),
        ("CreateApi", "DisableExecuteApiEndpoint", True),
        ("UpdateApi", "Target", ARN),
        ("CreateIntegration", "ConnectionId", "c"),
        ("CreateIntegration", "IntegrationSubtype", "SQS-SendMessage"),
        ("CreateIntegration", "RequestParameters", {"append:header.a": "b"}),
        ("CreateIntegration", "TlsConfig", {"ServerNameToVerify": "x"}),
        ("UpdateIntegration", "ResponseParameters", {"200": {"append:header.a": "b"}}),
        ("CreateRoute", "ApiKeyRequired", True),
        ("CreateRoute", "RequestParameters", {"a": {"Required": True}}),
        ("UpdateRoute", "ModelSelectionExpression", "x"),
    ],
)
def test_what_is_not_applied_is_refused_by_name(operation: str, member: str, value: Any) -> None:
    async def scenario(world: World) -> None:
        refusal = await refused(world.ask(operation, **{member: value}))
        assert refusal.code == "BadRequestException"
        assert refusal.message.startswith(f"{member} of {operation} is not supported by eventrouter: ")

    play(scenario)


def test_an_api_with_a_target_hands_everything_to_its_function() -> None:
    async def scenario(world: World) -> None:
        world.functions.handlers["f"] = echo
        api = await world.an_api(Target=ARN)
        [integration] = (await world.ask("GetIntegrations", ApiId=api))["Items"]
        [route] = (await world.ask("GetRoutes", ApiId=api))["Items"]
        assert (integration["IntegrationUri"], integration["PayloadFormatVersion"]) == (ARN, "2.0")
        assert (route["RouteKey"], route["Target"]) == ("$default", f"integrations/{integration['IntegrationId']}")
        answer = await world.request("DELETE", "/any/thing")
        assert answer is not None
        assert answer.status == 200

        narrow = await world.an_api(Target=ARN, RouteKey="GET /only")
        [route] = (await world.ask("GetRoutes", ApiId=narrow))["Items"]
        assert route["RouteKey"] == "GET /only"
        for members in ({"RouteKey": "GET /only"}, {"Target": "http://x"}, {"Target": ARN, "RouteKey": "only"}):
            assert (await refused(world.an_api(**members))).code == "BadRequestException"

    play(scenario)


def test_an_integration_lives_from_its_creation_to_its_deletion() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        made = await an_integration(
            world,
            api,
            Description="Answers.",
            TimeoutInMillis=500,
            PayloadFormatVersion="2.0",
            CredentialsArn="arn:aws:iam::000000000000:role/r",
        )
        assert made == {
            "ConnectionType": "INTERNET",
            "CredentialsArn": "arn:aws:iam::000000000000:role/r",
            "Description": "Answers.",
            "IntegrationId": made["IntegrationId"],
            "IntegrationMethod": "POST",
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": ARN,
            "PayloadFormatVersion": "2.0",
            "TimeoutInMillis": 500,
        }
        named = {"ApiId": api, "IntegrationId": made["IntegrationId"]}
        assert await world.ask("GetIntegration", **named) == made
        assert await world.ask("GetIntegrations", ApiId=api) == {"Items": [made]}

        changed = await world.ask("UpdateIntegration", **named, TimeoutInMillis=900, Description="")
        del made["Description"]
        assert changed == {**made, "TimeoutInMillis": 900} == await world.ask("GetIntegration", **named)

        route = await world.ask(
            "CreateRoute", ApiId=api, RouteKey="$default", Target=f"integrations/{made['IntegrationId']}"
        )
        refusal = await refused(world.ask("DeleteIntegration", **named))
        assert (refusal.code, refusal.status) == ("ConflictException", 409)
        await world.ask("DeleteRoute", ApiId=api, RouteId=route["RouteId"])
        assert await world.ask("DeleteIntegration", **named) == {}
        for operation in ("GetIntegration", "UpdateIntegration", "DeleteIntegration"):
            refusal = await refused(world.ask(operation, **named))
            assert refusal.message == f"Invalid Integration identifier specified {made['IntegrationId']}"

    play(scenario)


def test_an_integration_has_aws_s_defaults() -> None:
    async def scenario(world: World) -> None:
        made = await an_integration(world, await world.an_api())
        assert (made["PayloadFormatVersion"], made["TimeoutInMillis"]) == ("1.0", 30_000)

    play(scenario)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("IntegrationType", "HTTP_PROXY"),
        ("IntegrationType", "MOCK"),
        ("IntegrationMethod", "GET"),
        ("ConnectionType", "VPC_LINK"),
        ("PayloadFormatVersion", "3.0"),
        ("IntegrationUri", ""),
    ],
)
def test_integrations_of_other_kinds_are_refused(member: str, value: str) -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        refusal = await refused(an_integration(world, api, **{member: value}))
        assert refusal.code == "BadRequestException"
        assert member in refusal.message
        await an_integration(world, api, IntegrationMethod="POST", ConnectionType="INTERNET")

    play(scenario)


def test_a_function_is_named_by_its_arn_or_by_the_path_that_invokes_it() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        world.functions.handlers["f"] = answering("found")
        invoked = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}/invocations"
        for uri in (ARN, invoked):
            made = await an_integration(world, api, IntegrationUri=uri, PayloadFormatVersion="2.0")
            target = f"integrations/{made['IntegrationId']}"
            route = await world.ask("CreateRoute", ApiId=api, RouteKey="GET /x", Target=target)
            answer = await world.request("GET", "/x")
            assert answer is not None
            assert answer.body == b"found"
            assert made["IntegrationUri"] == uri
            await world.ask("DeleteRoute", ApiId=api, RouteId=route["RouteId"])
        for uri in ("f", "https://example.com", "arn:aws:sqs:us-east-1:000000000000:q"):
            refusal = await refused(an_integration(world, api, IntegrationUri=uri))
            assert refusal.message == f"Invalid function ARN or invalid uri: {uri}"

    play(scenario)


def test_a_route_lives_from_its_creation_to_its_deletion() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        made = await world.ask("CreateRoute", ApiId=api, RouteKey="GET /orders/{id}", OperationName="show")
        assert made == {
            "ApiKeyRequired": False,
            "AuthorizationType": "NONE",
            "OperationName": "show",
            "RouteId": made["RouteId"],
            "RouteKey": "GET /orders/{id}",
        }
        named = {"ApiId": api, "RouteId": made["RouteId"]}
        assert await world.ask("GetRoute", **named) == made
        assert await world.ask("GetRoutes", ApiId=api) == {"Items": [made]}
        refusal = await refused(world.ask("CreateRoute", ApiId=api, RouteKey="GET /orders/{id}"))
        assert (refusal.code, refusal.message) == (
            "ConflictException",
            "Route with key GET /orders/{id} already exists for this API",
        )

        changed = await world.ask("UpdateRoute", **named, RouteKey="PUT /orders/{id}")
        assert changed == {**made, "RouteKey": "PUT /orders/{id}"}
        await world.ask("UpdateRoute", **named, RouteKey="PUT /orders/{id}")
        await world.ask("CreateRoute", ApiId=api, RouteKey="GET /orders/{id}")

        assert await world.ask("DeleteRoute", **named) == {}
        for operation in ("GetRoute", "UpdateRoute", "DeleteRoute"):
            refusal = await refused(world.ask(operation, **named))
            assert refusal.message == f"Invalid Route identifier specified {made['RouteId']}"
        refusal = await refused(world.ask("CreateRoute", ApiId=api, RouteKey="orders"))
        assert "is not formatted properly for HTTP protocol" in refusal.message

    play(scenario)


def test_a_route_leads_to_an_integration_of_its_own_api() -> None:
    async def scenario(world: World) -> None:
        api, other = await world.an_api(), await world.an_api()
        own = (await an_integration(world, api))["IntegrationId"]
        foreign = (await an_integration(world, other))["IntegrationId"]
        made = await world.ask("CreateRoute", ApiId=api, RouteKey="$default", Target=f"integrations/{own}")
        assert made["Target"] == f"integrations/{own}"
        for target in (f"integrations/{foreign}", own, "authorizers/x"):
            for call in (
                world.ask("CreateRoute", ApiId=api, RouteKey="GET /x", Target=target),
                world.ask("UpdateRoute", ApiId=api, RouteId=made["RouteId"], Target=target),
            ):
                refusal = await refused(call)
                assert refusal.message.startswith(f"Target {target} is not integrations/")

    play(scenario)


def test_authorizers_are_refused() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        route = await world.ask("CreateRoute", ApiId=api, RouteKey="$default", AuthorizationType="NONE")
        for members in (
            {"AuthorizationType": "JWT"},
            {"AuthorizationType": "CUSTOM", "AuthorizerId": "a"},
            {"AuthorizationType": "AWS_IAM"},
            {"AuthorizationScopes": ["s"]},
        ):
            for call in (
                world.ask("CreateRoute", ApiId=api, RouteKey="GET /x", **members),
                world.ask("UpdateRoute", ApiId=api, RouteId=route["RouteId"], **members),
            ):
                refusal = await refused(call)
                assert refusal.code == "BadRequestException"
                assert "there are no authorizers here" in refusal.message

    play(scenario)


def test_an_api_has_tags() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api(Tags={"team": "a"})
        arn = f"arn:aws:apigateway:us-east-1::/apis/{api}"
        assert await world.ask("GetTags", ResourceArn=arn) == {"Tags": {"team": "a"}}
        await world.ask("TagResource", ResourceArn=arn, Tags={"team": "b", "env": "dev"})
        assert (await world.ask("GetApi", ApiId=api))["Tags"] == {"team": "b", "env": "dev"}
        await world.ask("UntagResource", ResourceArn=arn, TagKeys=["team", "none"])
        assert await world.ask("GetTags", ResourceArn=arn) == {"Tags": {"env": "dev"}}

        for tags in ({"aws:x": "y"}, {"": "y"}, {"k": "v" * 257}, {str(n): "" for n in range(50)}):
            refusal = await refused(world.ask("TagResource", ResourceArn=arn, Tags=tags))
            assert refusal.code == "BadRequestException"
        for odd in ("x", f"arn:aws:apigateway:eu-west-1::/apis/{api}", f"{arn}/routes/r"):
            assert (await refused(world.ask("GetTags", ResourceArn=odd))).code == "NotFoundException"

    play(scenario)


def test_lists_come_in_pages() -> None:
    async def scenario(world: World) -> None:
        apis = []
        for _ in range(5):
            apis.append(await world.an_api())
            await world.clock.sleep(1)
        for key in ("GET /a", "GET /b", "GET /c"):
            await world.ask("CreateRoute", ApiId=apis[0], RouteKey=key)
            await an_integration(world, apis[0], Description=key)

        first = await world.ask("GetApis", MaxResults="2")
        second = await world.ask("GetApis", MaxResults="2", NextToken=first["NextToken"])
        last = await world.ask("GetApis", MaxResults="2", NextToken=second["NextToken"])
        assert [api["ApiId"] for page in (first, second, last) for api in page["Items"]] == apis
        assert "NextToken" not in last
        for operation, name in (("GetRoutes", "RouteKey"), ("GetIntegrations", "Description")):
            first = await world.ask(operation, ApiId=apis[0], MaxResults="2")
            last = await world.ask(operation, ApiId=apis[0], NextToken=first["NextToken"])
            assert [each[name] for page in (first, last) for each in page["Items"]] == ["GET /a", "GET /b", "GET /c"]
        for odd in ({"MaxResults": "x"}, {"NextToken": "-1"}):
            assert (await refused(world.ask("GetApis", **odd))).code == "BadRequestException"

    play(scenario)


def test_changes_on_two_nodes_at_once_are_all_kept() -> None:
    async def scenario(world: World) -> None:
        async with world.another_node() as other:
            api = await world.an_api()
            keys = [f"GET /{n}" for n in range(12)]
            await asyncio.gather(
                *((world, other)[n % 2].ask("CreateRoute", ApiId=api, RouteKey=key) for n, key in enumerate(keys))
            )
            routes = (await other.ask("GetRoutes", ApiId=api))["Items"]
            assert sorted(route["RouteKey"] for route in routes) == sorted(keys)

    play(scenario)


def test_an_api_is_deleted_though_it_is_changed_meanwhile() -> None:
    async def scenario(world: World) -> None:
        async with world.another_node() as other:
            api = await world.an_api()
            changes = [world.ask("CreateRoute", ApiId=api, RouteKey=f"GET /{n}") for n in range(5)]
            _, *results = await asyncio.gather(other.ask("DeleteApi", ApiId=api), *changes, return_exceptions=True)
            assert {type(result) for result in results} <= {dict, RequestError}
            assert (await world.ask("GetApis"))["Items"] == []

    play(scenario)


def test_an_api_can_have_300_routes_and_integrations() -> None:
    async def scenario(world: World) -> None:
        api = await world.an_api()
        for n in range(300):
            await world.ask("CreateRoute", ApiId=api, RouteKey=f"GET /{n}")
            await an_integration(world, api)
        assert "300 routes" in (await refused(world.ask("CreateRoute", ApiId=api, RouteKey="GET /x"))).message
        assert "300 integrations" in (await refused(an_integration(world, api))).message

    play(scenario)
