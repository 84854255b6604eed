"""Requests of load balancers, web sockets and CloudFront. Source: lambda-semantics §6.7, §6.8, §6.10."""

from __future__ import annotations

import json

from eventrouter.samples.http import AGENT, API, CLIENT, PATH, QUERY, STAGE, api_domain, trace_header
from eventrouter.samples.model import Document, Invoked, Sample, Scene, an_order


def _time(scene: Scene) -> str:
    return scene.moment.strftime("%d/%b/%Y:%H:%M:%S +0000")


def _alb(scene: Scene) -> Document:
    group = scene.arn("elasticloadbalancing", f"targetgroup/orders/{scene.digits('alb:group', 16)}")
    return {
        "requestContext": {"elb": {"targetGroupArn": group}},
        "httpMethod": "GET",
        "path": PATH,
        "queryStringParameters": {"notify": "bob"},
        "headers": _alb_headers(scene),
        "body": "",
        "isBase64Encoded": False,
    }


def _alb_multi(scene: Scene) -> Document:
    """The form with `lambda.multi_value_headers.enabled`: lists take the place of single values."""
    event = _alb(scene)
    return {
        "requestContext": event["requestContext"],
        "httpMethod": event["httpMethod"],
        "path": event["path"],
        "multiValueQueryStringParameters": {"notify": ["ada", "bob"]},
        "multiValueHeaders": {name: [value] for name, value in event["headers"].items()},
        "body": "",
        "isBase64Encoded": False,
    }


def _alb_headers(scene: Scene) -> dict[str, str]:
    return {
        "accept": "*/*",
        "host": f"orders-1234567890.{scene.region}.elb.amazonaws.com",
        "user-agent": AGENT,
        "x-amzn-trace-id": trace_header(scene),
        "x-forwarded-for": CLIENT,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }


def _websocket(scene: Scene, route: str, event_type: str, *, message_id: str | None = None) -> Document:
    context: Document = {
        "routeKey": route,
        "messageId": message_id,
        "eventType": event_type,
        "extendedRequestId": scene.digits("ws:extended", 15) + "=",
        "requestTime": _time(scene),
        "messageDirection": "IN",
        "stage": STAGE,
        "connectedAt": scene.at_ms,
        "requestTimeEpoch": scene.at_ms,
        "identity": {"sourceIp": CLIENT, "userAgent": AGENT},
        "requestId": scene.digits("ws:request", 15) + "=",
        "domainName": api_domain(scene),
        "connectionId": scene.digits("ws:connection", 15) + "=",
        "apiId": API,
    }
    if message_id is None:
        del context["messageId"]
    return {"requestContext": context, "isBase64Encoded": False}


def _connect(scene: Scene) -> Document:
    headers = {
        "Host": api_domain(scene),
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "X-Forwarded-For": CLIENT,
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    multi = {name: [value] for name, value in headers.items()}
    return {"headers": headers, "multiValueHeaders": multi, **_websocket(scene, "$connect", "CONNECT")}


def _message(scene: Scene) -> Document:
    told = json.dumps({"action": "place", **an_order()})
    return {
        **_websocket(scene, "place", "MESSAGE", message_id=scene.digits("ws:message", 15) + "="),
        "body": told,
    }


def _disconnect(scene: Scene) -> Document:
    event = _websocket(scene, "$disconnect", "DISCONNECT")
    event["requestContext"] |= {
        "disconnectStatusCode": 1005,
        "disconnectReason": "Client-side close frame status not set",
    }
    headers = {"Host": api_domain(scene), "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    return {"headers": headers, "multiValueHeaders": {name: [value] for name, value in headers.items()}, **event}


def _edge(scene: Scene) -> Document:
    distribution = "d111111abcdef8.cloudfront.net"
    headers = {"host": distribution, "user-agent": AGENT, "accept": "*/*"}
    return {
        "Records": [
            {
                "cf": {
                    "config": {
                        "distributionDomainName": distribution,
                        "distributionId": "EDFDVBD6EXAMPLE",
                        "eventType": "viewer-request",
                        "requestId": scene.digits("edge:request", 40),
                    },
                    "request": {
                        "clientIp": CLIENT,
                        "headers": {name: [{"key": name.title(), "value": value}] for name, value in headers.items()},
                        "method": "GET",
                        "querystring": QUERY,
                        "uri": PATH,
                    },
                }
            }
        ]
    }


SAMPLES = (
    Sample(name="alb:get", summary="A request of a load balancer.", invoked=Invoked.REQUEST, build=_alb),
    Sample(
        name="alb:multi-value",
        summary="A request of a load balancer that sends lists of values.",
        invoked=Invoked.REQUEST,
        build=_alb_multi,
    ),
    Sample(name="websocket:connect", summary="A web socket is opened.", invoked=Invoked.REQUEST, build=_connect),
    Sample(name="websocket:message", summary="A message of a web socket.", invoked=Invoked.REQUEST, build=_message),
    Sample(name="websocket:disconnect", summary="A web socket was closed.", invoked=Invoked.REQUEST, build=_disconnect),
    Sample(
        name="cloudfront:viewer-request",
        summary="A viewer's request at an edge location.",
        invoked=Invoked.REQUEST,
        build=_edge,
    ),
)
