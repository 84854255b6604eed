"""The requests themselves: from their address to the function's answer. Source: lambda-semantics §6.6."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

from eventrouter.api.auth import DEFAULT_ACCOUNT
from eventrouter.api.http import Request, Response, WebRequest
from eventrouter.clock import Clock
from eventrouter.errors import AdapterError, IntakeRefused, NodeDead, RuntimeFault, Unavailable
from eventrouter.ports import FunctionCalls
from eventrouter.rules import limits
from eventrouter.rules.http_answer import (
    BAD_GATEWAY,
    NO_INTEGRATION,
    NOT_FOUND,
    TOO_LONG,
    UNAVAILABLE,
    HttpAnswer,
    read_answer,
)
from eventrouter.rules.http_api import STAGE, HttpApi, HttpIntegration
from eventrouter.rules.http_event import HttpRequest, http_event
from eventrouter.rules.http_route import RouteMatch, RouteTable
from eventrouter.rules.outcome import FunctionFailed, Run, Succeeded, Throttled
from eventrouter.store import Routes

PATH = "/_aws/execute-api/"
_HOST = b".execute-api."
REQUEST_BYTES = 10_485_760
"""10 MB: API Gateway's limit of a request's payload. What becomes an event is bounded by Lambda's limit besides."""


class Web:
    """The door for requests to APIs.

    An API is addressed by its host, `<api>.execute-api.<anything>`, by a path, `/_aws/execute-api/<api>/$default/…`,
    or by nothing: a request that is for no AWS API goes to the most specific route of all APIs of the account and the
    region that unsigned calls belong to.
    """

    body_limit = REQUEST_BYTES

    def __init__(self, *, routes: Routes, functions: FunctionCalls, clock: Clock, region: str, domain: str) -> None:
        self._routes = routes
        self._functions = functions
        self._clock = clock
        self._region = region
        self._domain = domain
        self._tables: dict[str, RouteTable] = {}
        self._late: set[asyncio.Task[Run | Throttled]] = set()
        routes.on_change(self._api_changed)

    def claims(self, request: Request) -> bool:
        """Say whether host or path are those of an API."""
        return _HOST in request.headers.get(b"host", b"").lower() or request.path.startswith(PATH)

    async def answer(self, request: WebRequest) -> Response | None:
        """Answer a request as its API does; None if it names no API and no route is there for it."""
        method, path = request.request.method, request.request.path
        addressed = _read_address(request.request)
        if addressed is None:
            found = self._find_anywhere(method, path)
            if found is None:
                await self._routes.refresh()
                found = self._find_anywhere(method, path)
            if found is None:
                return None
            return _response(request, await self._ask(request, path, *found))
        api_id, path = addressed
        api, match = self._find(api_id, method, path)
        if match is None:
            await self._routes.refresh()
            api, match = self._find(api_id, method, path)
        if api is None or match is None:
            return _response(request, NOT_FOUND)
        return _response(request, await self._ask(request, path, api, match))

    def _api_changed(self, api_id: str, api: HttpApi | None) -> None:
        self._tables.pop(api_id, None)

    def _find(self, api_id: str, method: str, path: str) -> tuple[HttpApi | None, RouteMatch | None]:
        api = self._routes.get(api_id)
        return api, None if api is None else self._table(api).find(method, path)

    def _find_anywhere(self, method: str, path: str) -> tuple[HttpApi, RouteMatch] | None:
        """Return the most specific match of all APIs; the oldest API's of several."""
        found = [
            (match.key.rank, api.created_at_ms, api.id, match)
            for api in self._routes.all()
            if (api.account, api.region) == (DEFAULT_ACCOUNT, self._region)
            and (match := self._table(api).find(method, path)) is not None
        ]
        if not found:
            return None
        _, _, api_id, match = min(found, key=lambda each: each[:3])
        api = self._routes.get(api_id)
        return None if api is None else (api, match)

    def _table(self, api: HttpApi) -> RouteTable:
        table = self._tables.get(api.id)
        if table is None:
            table = self._tables[api.id] = RouteTable(api.routes)
        return table

    async def _ask(self, request: WebRequest, path: str, api: HttpApi, match: RouteMatch) -> HttpAnswer:
        """Have the route's function answer."""
        integration = api.integration(match.route.integration)
        if integration is None:
            return NO_INTEGRATION
        described = self._described(request, path, api)
        event = http_event(described, api, match, integration.payload_format)
        if len(event) > limits.SYNC_REQUEST_BYTES:
            return TOO_LONG
        try:
            run = await self._call(integration, event, described)
        except AdapterError:
            return NO_INTEGRATION
        except (Unavailable, IntakeRefused, NodeDead, RuntimeFault):
            return UNAVAILABLE
        if isinstance(run, Run):
            outcome = run.outcome
            if isinstance(outcome, Succeeded):
                return read_answer(outcome.payload, integration.payload_format)
            if isinstance(outcome, FunctionFailed):
                return BAD_GATEWAY
        return UNAVAILABLE

    async def _call(self, integration: HttpIntegration, event: bytes, request: HttpRequest) -> Run | Throttled | None:
        """Invoke the function; None if it is not done within the integration's time limit. It goes on then."""
        arn = integration.function_arn
        call = asyncio.ensure_future(self._functions.call(arn, event, request_id=request.id, trace=request.trace))
        try:
            await asyncio.wait((call,), timeout=integration.timeout_ms / 1_000)
        finally:
            if not call.done():
                self._late.add(call)
                call.add_done_callback(self._forget)
        return call.result() if call.done() else None

    def _forget(self, call: asyncio.Task[Run | Throttled]) -> None:
        self._late.discard(call)
        if not call.cancelled():
            call.exception()  # nobody waits for it any more

    def _described(self, request: WebRequest, path: str, api: HttpApi) -> HttpRequest:
        now_ms = self._clock.now_ms()
        inner = request.request
        host = (inner.header("host") or "").rpartition(":")
        is_host = _HOST in inner.headers.get(b"host", b"").lower()
        trace = inner.header("x-amzn-trace-id")
        digits = request.id.replace("-", "")
        return HttpRequest(
            method=inner.method,
            path=path,
            query=inner.query.decode("latin-1"),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers],
            body=inner.body,
            domain=(host[0] or host[2]) if is_host else f"{api.id}.execute-api.{self._domain}",
            port=inner.server[1],
            scheme=inner.scheme,
            source_ip=request.sender,
            protocol=request.protocol,
            id=request.id,
            trace=trace or f"Root=1-{now_ms // 1_000:08x}-{digits[:24]}",
            at_ms=now_ms,
        )


def _read_address(request: Request) -> tuple[str, str] | None:
    """Return the API that host or path name, and the path within its stage; the API `` for a stage that is not there.

    None if the request names no API.
    """
    host = (request.header("host") or "").lower()
    if _HOST.decode() in host:
        return host.partition(_HOST.decode())[0].rpartition(".")[2], request.path
    if request.path.startswith(PATH):
        api_id, _, rest = request.path.removeprefix(PATH).partition("/")
        stage, _, path = rest.partition("/")
        return (api_id if unquote(stage) == STAGE else ""), f"/{path}"
    return None


def _response(request: WebRequest, answer: HttpAnswer) -> Response:
    headers = [(name.encode("latin-1"), value.encode()) for name, value in answer.headers]
    return Response(answer.status, answer.body, (*headers, (b"apigw-requestid", request.id.encode())))
