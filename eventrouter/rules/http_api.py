"""An HTTP API as the node knows it: routes, and the functions that answer them.

An API is one record: its routes and integrations change together or not at all. It has the one stage `$default`, to
which every change is deployed at once. Source: lambda-semantics §6.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STAGE = "$default"
MOST_ROUTES = 300
MOST_INTEGRATIONS = 300
LONGEST_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpIntegration:
    """A function that answers requests, in one of the two payload formats, within a time limit.

    `uri` is what the caller named it by; `function_arn` is read from it. `credentials_arn` is shown and means nothing.
    """

    id: str
    uri: str
    function_arn: str
    payload_format: str = "1.0"
    timeout_ms: int = LONGEST_TIMEOUT_MS
    description: str = ""
    credentials_arn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """A method and a path, and the id of the integration that answers them; without one nothing does."""

    id: str
    key: str
    integration: str = ""
    operation_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpApi:
    """One API. Times are in the unit that their names end in; `revision` is the store's compare-and-set number."""

    id: str
    account: str
    region: str
    name: str
    description: str = ""
    version: str = ""
    created_at_ms: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    integrations: tuple[HttpIntegration, ...] = ()
    routes: tuple[HttpRoute, ...] = ()
    revision: int = 0

    @property
    def arn(self) -> str:
        return f"arn:aws:apigateway:{self.region}::/apis/{self.id}"

    def integration(self, integration_id: str) -> HttpIntegration | None:
        """Return an integration by its id."""
        return next((each for each in self.integrations if each.id == integration_id), None)

    def route(self, route_id: str) -> HttpRoute | None:
        """Return a route by its id."""
        return next((each for each in self.routes if each.id == route_id), None)
