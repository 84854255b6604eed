"""The node's own paths about what was decided: its journal, and explanations that all nodes contribute to.

`GET /_eventrouter/explain/<id>`; `GET /_eventrouter/history?since=<number>&limit=<most>` shows this node's decisions
one after the other; `POST /_eventrouter/history` with `{"ids": [...]}` those about some things, for other nodes.
"""

from __future__ import annotations

from urllib.parse import parse_qs, unquote

import msgspec

from eventrouter.api.http import Request, Response, json_response
from eventrouter.errors import StoreError
from eventrouter.planes.explain import Explainer

EXPLAIN_PATH = "/_eventrouter/explain/"
SHOWN = 1_000
"""Decisions of a node's history that one answer shows, if the caller does not say."""


class HistoryRoutes:
    """Answers EXPLAIN_PATH and HISTORY_PATH."""

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer

    async def explain(self, request: Request) -> Response:
        """Explain what the path names."""
        if request.method != "GET":
            return _refusal(405, "MethodNotAllowed", "explain takes GET")
        subject = unquote(request.path.removeprefix(EXPLAIN_PATH))
        try:
            explanation = await self._explainer.explain(subject)
        except StoreError as error:
            return _refusal(503, "ServiceException", f"the store does not answer: {error}")
        if explanation is None:
            return _refusal(404, "ResourceNotFoundException", f"nothing is known of {subject}")
        return json_response(200, explanation)

    async def history(self, request: Request) -> Response:
        """Show this node's own history."""
        try:
            if request.method == "POST":
                asked = msgspec.json.decode(request.body, type=_Asked)
                return json_response(200, self._explainer.history(asked.ids))
            query = parse_qs(request.query.decode("latin-1"))
            number, limit = (
                int(query.get(name, [default])[-1]) for name, default in (("since", "0"), ("limit", SHOWN))
            )
        except ValueError as error:  # DecodeError is one
            return _refusal(400, "BadRequest", f"this cannot be read: {error}")
        return json_response(200, self._explainer.since(number, max(limit, 0)))


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ids: list[str]


def _refusal(status: int, code: str, message: str) -> Response:
    return json_response(status, {"__type": code, "message": message})
