"""The door: one raw ASGI application for every API of the node.

It finds the service and operation, reads the body within its limit, has the protocol's codec parse and check the
input, calls the operation and writes its answer. Invoke takes a shorter way through (`lambda_.invoke`). What is for
no AWS API is asked of the adapters' doors (`ports.WebDoor`).
A caller that disconnects does not stop what it asked for: operations run to their end. Only answers that go on
(event streams) end with their caller, and receives that still wait for a message, which nobody would get.
Source: lambda-semantics §0, §1.1, §1.3, §7.1, §8.1.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from structlog.typing import FilteringBoundLogger

from eventrouter import __version__
from eventrouter.api.auth import Callers, Signature
from eventrouter.api.body import Bodies, BodyTooLarge, Disconnected
from eventrouter.api.http import (
    HEADER_NAMES,
    Header,
    InternalHandler,
    InternalRoutes,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    WebRequest,
    json_response,
)
from eventrouter.api.lambda_.errors import request_too_large, service_error, unavailable
from eventrouter.api.lambda_.invoke import InvokeDoor
from eventrouter.api.protocol.aws_json import CBOR, AwsCbor, AwsJson, TargetRouter
from eventrouter.api.protocol.codec import Codec
from eventrouter.api.protocol.constraints import check_input
from eventrouter.api.protocol.models import OperationModel, Service, service_model
from eventrouter.api.protocol.query import QueryRouter, QueryXml, find_action, no_action
from eventrouter.api.protocol.rest_json import PathRouter, RestJson
from eventrouter.api.refusals import operation_not_served, service_not_served
from eventrouter.errors import EventRouterError, IntakeRefused, NodeDead, RequestError, RuntimeFault, Unavailable
from eventrouter.ports import Caller, ServiceApi, WebDoor
from eventrouter.rules import limits
from eventrouter.settings import Settings

CODECS: Mapping[str, Codec] = {"rest-json": RestJson(), "json": AwsJson()}
"""The wire protocols by the model's name for them."""

_AWS_CBOR = AwsCbor()

_FUNCTIONS = b"/2015-03-31/functions/"
_INVOCATIONS = b"/invocations"
_RECORDS_BYTES = 16_777_216
"""10 MiB of stream records (§7.2), in base64 and with what is around them."""
_BODY_LIMITS = {
    "CreateFunction": limits.CREATE_FUNCTION_REQUEST_BYTES - 1,
    "UpdateFunctionCode": limits.CREATE_FUNCTION_REQUEST_BYTES - 1,
    "Invoke": limits.INVOKE_BODY_BYTES,
    "InvokeAsync": limits.INVOKE_BODY_BYTES,
    "PutRecord": _RECORDS_BYTES,
    "PutRecords": _RECORDS_BYTES,
}
_OWN_PATHS = ("/_eventrouter/", "/_localstack/", "/_aws/")
"""Where the node's own paths are: what is asked there of another node, or version, is no matter of a function's."""
_LARGE_BODY = 262_144
"""Bodies above this are parsed in a thread, so that other calls do not wait."""
_LARGE_ANSWERS = frozenset({"GetRecords"})
"""Answers that may take long to write: 10 MiB of records are written in a thread too."""


class Gateway:
    """The ASGI application."""

    def __init__(
        self,
        *,
        services: Mapping[str, ServiceApi],
        hot_invoke: InvokeDoor,
        internal: InternalRoutes,
        settings: Settings,
        request_ids: Callable[[], str],
        log: FilteringBoundLogger,
        fallbacks: Sequence[WebDoor] = (),
    ) -> None:
        self._services = services
        self._fallbacks = tuple(fallbacks)
        self._invoke_door = hot_invoke
        self._internal = {path: handler for path, handler in internal.items() if not path.endswith("/") or path == "/"}
        self._below = {path: handler for path, handler in internal.items() if path.endswith("/") and path != "/"}
        self._callers = Callers(default_region=settings.region)
        self._bodies = Bodies()
        self._request_ids = request_ids
        self._log = log
        models = [service_model(name) for name in services]
        self._paths = PathRouter(model for model in models if model.protocol == "rest-json")
        self._targets = TargetRouter(model for model in models if model.protocol == "json")
        self._queries = QueryRouter(models)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other_scope(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
        request_id = self._request_ids()
        try:
            if path.endswith(_INVOCATIONS) and path.startswith(_FUNCTIONS) and scope["method"] == "POST":
                label = path[len(_FUNCTIONS) : -len(_INVOCATIONS)]
                if label and b"/" not in label:
                    response = await self._invoke(label, scope["query_string"], headers, receive, request_id)
                    await _send(send, response, request_id)
                    return
            response = await self._answer(scope, path, headers, receive, request_id)
        except Disconnected:
            return
        if response.chunks is None:
            await _send(send, response, request_id)
        else:
            await self._send_chunks(send, receive, response, response.chunks, request_id)

    async def _invoke(
        self, label: bytes, query: bytes, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> Response:
        try:
            body = await self._bodies.read(receive, headers, limits.INVOKE_BODY_BYTES)
            signature = self._callers.read(headers, query)
            return await self._invoke_door.invoke(label, query, headers, body, signature, request_id)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            return self._failed(CODECS["rest-json"], service_model("lambda"), "Invoke", error, request_id)

    async def _answer(
        self, scope: Scope, path: bytes, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> Response:
        request = Request(
            method=scope["method"],
            path=path.decode("latin-1"),
            query=scope["query_string"],
            headers=headers,
            scheme=scope.get("scheme", "http"),
            server=scope.get("server") or ("127.0.0.1", 4566),
        )
        for door in self._fallbacks:
            if door.claims(request):
                return await self._answer_web((door,), request, scope, receive, request_id)
        handler = self._internal_handler(request.path)
        if handler is not None:
            return await self._answer_internal(handler, request, receive, request_id)
        signature = self._callers.read(headers, request.query)
        target = request.header("x-amz-target")
        if target is not None:
            found = self._targets.find(target)
            if found is None:
                return service_not_served(request, signature.service or target, request_id, __version__)
            return await self._call(*found, {}, request, receive, signature, request_id)
        route = self._paths.find(request.method, request.path, request.query)
        if route is None:
            service = self._queries.find(request, signature.service)
            if service is None:
                if signature.service is None and self._fallbacks and not request.path.startswith(_OWN_PATHS):
                    return await self._answer_web(self._fallbacks, request, scope, receive, request_id)
                return service_not_served(request, signature.service, request_id, __version__)
            return await self._call_query(service, request, receive, signature, request_id)
        return await self._call(route.service, route.operation, route.labels, request, receive, signature, request_id)

    def _internal_handler(self, path: str) -> InternalHandler | None:
        handler = self._internal.get(path)
        if handler is None:
            for prefix, below in self._below.items():
                if path.startswith(prefix) and len(path) > len(prefix):
                    return below
        return handler

    async def _answer_internal(
        self, handler: InternalHandler, request: Request, receive: Receive, request_id: str
    ) -> Response:
        try:
            body = await self._bodies.read(receive, request.headers, limits.OTHER_REQUEST_BYTES)
            return await handler(_with_body(request, body))
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            return self._failed(CODECS["rest-json"], service_model("lambda"), request.path, error, request_id)

    async def _answer_web(
        self, doors: Sequence[WebDoor], request: Request, scope: Scope, receive: Receive, request_id: str
    ) -> Response:
        """Answer a request that is no call of an AWS API: by the first of the adapters' doors that has an answer."""
        try:
            body = await self._bodies.read(receive, request.headers, max(door.body_limit for door in doors))
            web_request = _web_request(_with_body(request, body), scope, request_id)
            for door in doors:
                answer = await door.answer(web_request)
                if answer is not None:
                    return answer
            return service_not_served(request, None, request_id, __version__)
        except Disconnected:
            raise
        except BodyTooLarge:
            return json_response(413, {"message": "Request Too Long"})
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            return self._failed(CODECS["rest-json"], service_model("lambda"), request.path, error, request_id)

    async def _call(
        self,
        service_name: str,
        operation_name: str,
        labels: dict[str, str],
        request: Request,
        receive: Receive,
        signature: Signature,
        request_id: str,
    ) -> Response:
        """Answer one operation of one service."""
        service = service_model(service_name)
        codec = _codec(service, request)
        try:
            limit = _BODY_LIMITS.get(operation_name, limits.OTHER_REQUEST_BYTES)
            request = _with_body(request, await self._bodies.read(receive, request.headers, limit))
            if service_name == "lambda" and operation_name == "InvokeAsync":
                label = quote(labels["FunctionName"]).encode()
                return await self._invoke_door.invoke_async(label, request.body, signature, request_id)
            return await self._run(codec, service, operation_name, labels, request, receive, signature, request_id)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            return self._failed(codec, service, operation_name, error, request_id)

    async def _call_query(
        self, service: Service, request: Request, receive: Receive, signature: Signature, request_id: str
    ) -> Response:
        """Answer a request of the query protocol, which names its operation in the URL or in the body."""
        codec = QueryXml(request_id)
        operation_name = ""
        try:
            request = _with_body(request, await self._bodies.read(receive, request.headers, limits.OTHER_REQUEST_BYTES))
            operation_name = find_action(service, request) or ""
            if not operation_name:
                return no_action()
            return await self._run(codec, service, operation_name, {}, request, receive, signature, request_id)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            return self._failed(codec, service, operation_name, error, request_id)

    async def _run(
        self,
        codec: Codec,
        service: Service,
        operation_name: str,
        labels: dict[str, str],
        request: Request,
        receive: Receive,
        signature: Signature,
        request_id: str,
    ) -> Response:
        """Parse the input, call the operation and write its answer."""
        operation = self._services[service.name].operations.get(operation_name)
        if operation is None:
            raise operation_not_served(operation_name, service.name, __version__)
        model = service.operation(operation_name)
        values = await _parse(codec, model, request, labels)
        caller = Caller(
            account=signature.account,
            region=signature.region,
            request_id=request_id,
            base_url=request.base_url,
            leaves=partial(_wait_disconnect, receive),
        )
        output = await operation(caller, values)
        if operation_name in _LARGE_ANSWERS:
            return await asyncio.to_thread(codec.answer, model, output)
        return codec.answer(model, output)

    def _failed(self, codec: Codec, service: Service, operation: str, error: Exception, request_id: str) -> Response:
        """Turn an exception into an answer; what nobody foresaw is logged and answered with a 500."""
        if isinstance(error, RequestError):
            refusal = error
        elif isinstance(error, BodyTooLarge):
            limit = _BODY_LIMITS.get(operation, limits.OTHER_REQUEST_BYTES)
            limit = limits.SYNC_REQUEST_BYTES if operation.startswith("Invoke") else limit + 1
            refusal = request_too_large(limit, "InvokeFunction" if operation == "Invoke" else operation)
        elif isinstance(error, Unavailable | IntakeRefused | NodeDead):
            reason = "this node is joining its cluster again" if isinstance(error, NodeDead) else str(error)
            self._log.warning("request.unavailable", operation=operation, request_id=request_id, reason=reason)
            refusal = unavailable(reason)
        elif isinstance(error, RuntimeFault):
            self._log.warning("request.failed", operation=operation, request_id=request_id, reason=str(error))
            refusal = service_error(str(error))
        else:
            expected = isinstance(error, EventRouterError)
            self._log.error(
                "request.crashed", operation=operation, request_id=request_id, reason=repr(error), exc_info=not expected
            )
            refusal = service_error("An error occurred and the request cannot be processed.")
        return codec.error(service, refusal, request_id)

    async def _send_chunks(
        self, send: Send, receive: Receive, response: Response, chunks: AsyncGenerator[bytes, None], request_id: str
    ) -> None:
        """Send an answer chunk by chunk, to its end or until the caller goes away."""
        headers = [(b"x-amzn-requestid", request_id.encode()), *response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        sending = asyncio.ensure_future(_send_each(send, chunks))
        leaving = asyncio.ensure_future(_wait_disconnect(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            sending.cancel()
            [failure, _] = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(failure, Exception):
            # The caller finds the connection cut: there is no other way left to say it.
            self._log.error("request.crashed", request_id=request_id, reason=repr(failure), exc_info=failure)
            raise failure


async def _parse(
    codec: Codec, model: OperationModel, request: Request, labels: dict[str, str]
) -> dict[str, Any]:  # Any: model values
    """Parse and check the input, in a thread where that takes long enough to make others wait."""

    def parsed() -> dict[str, Any]:  # Any: model values
        values = codec.parse(model, request, labels)
        check_input(model, values)
        return values

    return await asyncio.to_thread(parsed) if len(request.body) > _LARGE_BODY else parsed()


def _codec(service: Service, request: Request) -> Codec:
    """Return the codec that the caller speaks."""
    if service.protocol == "json" and (request.header("content-type") or "").lower().startswith(CBOR):
        return _AWS_CBOR
    return CODECS[service.protocol]


def _with_body(request: Request, body: bytes) -> Request:
    return Request(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body=body,
        scheme=request.scheme,
        server=request.server,
    )


def _web_request(request: Request, scope: Scope, request_id: str) -> WebRequest:
    headers: Sequence[Header] = scope["headers"]
    names = scope.get("extensions", {}).get(HEADER_NAMES, {}).get("names") or [name for name, _ in headers]
    return WebRequest(
        request=request,
        id=request_id,
        sender=(scope.get("client") or ("127.0.0.1", 0))[0],
        protocol=f"HTTP/{scope.get('http_version', '1.1')}",
        headers=tuple((name, value) for name, (_, value) in zip(names, headers, strict=True)),
    )


async def _send(send: Send, response: Response, request_id: str) -> None:
    body = response.body
    headers = [(b"x-amzn-requestid", request_id.encode()), *response.headers]
    if response.status != 204:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_each(send: Send, chunks: AsyncGenerator[bytes, None]) -> None:
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _wait_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _other_scope(scope: Scope, receive: Receive, send: Send) -> None:
    """Follow the lifespan protocol, which has nothing to do here; close WebSockets, which nothing serves."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
