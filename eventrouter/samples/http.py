"""Requests of REST APIs, HTTP APIs and function URLs, and what their authorizers are asked.

The events are those that our own routes write; a REST API's differs from them by its stage and by where its path is
told. Source: lambda-semantics §6.6.
"""

from __future__ import annotations

import json

from eventrouter.rules.http_api import HttpApi, HttpRoute
from eventrouter.rules.http_event import HttpRequest, http_event
from eventrouter.rules.http_route import DEFAULT_KEY, RouteMatch, parse_route_key
from eventrouter.samples.model import Document, Invoked, Sample, Scene, an_order

API = "a1b2c3d4e5"
STAGE = "prod"
CLIENT = "192.0.2.10"
AGENT = "curl/8.5.0"
PATH = "/orders/7"
QUERY = "notify=ada&notify=bob"

_ROUTE = "PUT /orders/{id}"
_AUTHORIZATION = "Bearer allow-me"


def api_domain(scene: Scene) -> str:
    return f"{API}.execute-api.{scene.region}.amazonaws.com"


def trace_header(scene: Scene) -> str:
    return f"Root=1-{scene.at_s:08x}-{scene.digits('trace', 24)}"


def _event(
    scene: Scene, payload_format: str, *, route: str = _ROUTE, domain: str = "", authorization: str = ""
) -> Document:
    """Return the event of one request, as the routes of a node write it."""
    domain = domain or api_domain(scene)
    headers = [
        ("Accept", "*/*"),
        ("Content-Type", "application/json"),
        ("Cookie", "session=s1; theme=dark"),
        ("Host", domain),
        ("User-Agent", AGENT),
    ]
    if authorization:
        headers.append(("Authorization", authorization))
    request = HttpRequest(
        method="PUT",
        path=PATH,
        query=QUERY,
        headers=headers,
        body=json.dumps(an_order()).encode(),
        domain=domain,
        port=443,
        scheme="https",
        source_ip=CLIENT,
        id=scene.digits("http:request", 15) + "=",
        trace=trace_header(scene),
        at_ms=scene.at_ms,
    )
    match = RouteMatch(
        route=HttpRoute(id="r1", key=route),
        key=parse_route_key(route),
        parameters={} if route == DEFAULT_KEY else {"id": "7"},
    )
    api = HttpApi(id=API, account=scene.account, region=scene.region, name="orders")
    event: Document = json.loads(http_event(request, api, match, payload_format))
    return event


def _http_v1(scene: Scene) -> Document:
    return _event(scene, "1.0")


def _http_v2(scene: Scene) -> Document:
    return _event(scene, "2.0")


def _function_url(scene: Scene) -> Document:
    return _event(scene, "2.0", route=DEFAULT_KEY, domain=f"{API}.lambda-url.{scene.region}.on.aws")


def _rest(scene: Scene, *, authorization: str = "") -> Document:
    event = _event(scene, "1.0", authorization=authorization)
    del event["version"]
    event["requestContext"] |= {
        "path": f"/{STAGE}{PATH}",
        "requestId": scene.uuid("rest:request"),
        "resourceId": "r8s9t0",
        "stage": STAGE,
    }
    return event


def _method_arn(scene: Scene) -> str:
    return scene.arn("execute-api", f"{API}/{STAGE}/PUT{PATH}")


def _token_authorizer(scene: Scene) -> Document:
    return {"type": "TOKEN", "authorizationToken": _AUTHORIZATION, "methodArn": _method_arn(scene)}


def _request_authorizer(scene: Scene) -> Document:
    """An authorizer sees the request without its body."""
    event = _rest(scene, authorization=_AUTHORIZATION)
    del event["body"], event["isBase64Encoded"]
    return {"type": "REQUEST", "methodArn": _method_arn(scene), **event}


def _http_authorizer(scene: Scene) -> Document:
    request = _event(scene, "2.0", authorization=_AUTHORIZATION)
    del request["body"], request["isBase64Encoded"], request["version"]
    return {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": scene.arn("execute-api", f"{API}/{request['requestContext']['stage']}/PUT/orders/{{id}}"),
        "identitySource": [_AUTHORIZATION],
        **request,
    }


SAMPLES = (
    Sample(name="http:rest", summary="A request of a REST API.", invoked=Invoked.REQUEST, build=_rest),
    Sample(name="http:v1", summary="A request of an HTTP API, payload 1.0.", invoked=Invoked.REQUEST, build=_http_v1),
    Sample(name="http:v2", summary="A request of an HTTP API, payload 2.0.", invoked=Invoked.REQUEST, build=_http_v2),
    Sample(name="http:url", summary="A request of a function URL.", invoked=Invoked.REQUEST, build=_function_url),
    Sample(
        name="authorizer:token",
        summary="A REST API asks about a token.",
        invoked=Invoked.REQUEST,
        build=_token_authorizer,
    ),
    Sample(
        name="authorizer:request",
        summary="A REST API asks about a request.",
        invoked=Invoked.REQUEST,
        build=_request_authorizer,
    ),
    Sample(
        name="authorizer:http",
        summary="An HTTP API asks about a request, payload 2.0.",
        invoked=Invoked.REQUEST,
        build=_http_authorizer,
    ),
)
