"""Looking into a queue without receiving: `/_aws/sqs/messages?QueueUrl=`, of the node's own paths.

Answers as ReceiveMessage does, in XML, or in JSON to who asks for it. Messages that are hidden are shown only if
asked for: `ShowInvisible=true`, `ShowDelayed=true`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from eventrouter.api.auth import Callers
from eventrouter.api.http import Request, Response
from eventrouter.api.protocol.aws_json import AwsJson
from eventrouter.api.protocol.codec import Codec
from eventrouter.api.protocol.models import service_model
from eventrouter.api.protocol.query import FORM, QueryXml
from eventrouter.errors import RequestError
from eventrouter.ports import Caller
from eventrouter.store.queues import MessageState, PeekedMessage, QueueName, Queues
from eventrouter_adapters.sqs.addresses import named_place, parse_queue_url
from eventrouter_adapters.sqs.shown import ALL, show_message
from eventrouter_adapters.sqs.translation import translated

PATH = "/_aws/sqs/messages"
RECEIPT = "SQS/BACKDOOR/ACCESS"
"""Stands in the place of a receipt handle: who only looks gets none."""

MOST_SHOWN = 1_000
_REQUEST_ID = "00000000-0000-0000-0000-000000000000"
_SHOWN_IF: Mapping[MessageState, str] = {
    MessageState.IN_FLIGHT: "ShowInvisible",
    MessageState.DELAYED: "ShowDelayed",
}


class Peek:
    """The path."""

    def __init__(self, queues: Queues, *, default_region: str) -> None:
        self._queues = queues
        self._callers = Callers(default_region=default_region)

    async def answer(self, request: Request) -> Response:
        """Show what a queue holds."""
        service = service_model("sqs")
        codec: Codec = AwsJson() if _wants_json(request) else QueryXml(_REQUEST_ID)
        try:
            asked = _parameters(request)
            queue = self._queue(request, asked.get("QueueUrl", ""))
            hidden = {state for state, name in _SHOWN_IF.items() if asked.get(name, "").lower() != "true"}
            with translated(queue):
                messages = await self._messages(queue, hidden)
        except RequestError as error:
            return codec.error(service, error, _REQUEST_ID)
        return codec.answer(service.operation("ReceiveMessage"), {"Messages": messages} if messages else {})

    def _queue(self, request: Request, url: str) -> QueueName:
        """Return the queue of a URL, which may be any account's and region's: this is a path for development."""
        signature = self._callers.read(request.headers, request.query)
        account, region = named_place(url)
        caller = Caller(account=account or signature.account, region=region or signature.region, request_id=_REQUEST_ID)
        return parse_queue_url(caller, url)

    async def _messages(self, queue: QueueName, hidden: set[MessageState]) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = []
        start = 0
        while len(shown) < MOST_SHOWN and (page := await self._queues.peek(queue, start=start)):
            start += len(page)
            shown += [_shown(found) for found in page if found.state not in hidden]
        return shown[:MOST_SHOWN]


def _wants_json(request: Request) -> bool:
    return "json" in (request.header("accept") or "")


def _parameters(request: Request) -> dict[str, str]:
    text = request.query.decode("latin-1")
    if (request.header("content-type") or "").startswith(FORM):
        text = f"{text}&{request.body.decode('latin-1')}"
    return dict(parse_qsl(text))


def _shown(found: PeekedMessage) -> dict[str, Any]:  # Any: model values
    return {**show_message(found.message, (ALL,), (ALL,)), "ReceiptHandle": RECEIPT}
