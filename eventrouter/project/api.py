"""AWS's operations as a project calls them: on a node elsewhere, over HTTP, or on one in this process.

Both take the members that boto3 takes and answer with the members that AWS answers with, so what converges a project
does not know which it talks to.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from eventrouter import __version__
from eventrouter.api.protocol.constraints import check_input
from eventrouter.api.protocol.models import Kind, Shape, service_model
from eventrouter.api.protocol.values import from_json
from eventrouter.api.refusals import operation_not_served
from eventrouter.errors import EventRouterError, RequestError
from eventrouter.ports import Caller, ServiceApi

ACCOUNT = "000000000000"
REGION = "us-east-1"


class ApiError(EventRouterError):
    """An operation was refused: AWS's error code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Unreachable(EventRouterError):
    """No node answers at the URL."""


class Api(Protocol):
    """The operations of AWS services, in one account and region."""

    async def call(self, service: str, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation of a service, by botocore's name of it, with input members; return the output members.

        Blobs are bytes; timestamps go in as datetimes or epoch seconds. Raises ApiError if it is refused.
        """
        ...


class Serving(Protocol):
    """What runs in this process and serves operations: a node."""

    @property
    def services(self) -> Mapping[str, ServiceApi]:
        """Return the services by botocore's name."""
        ...

    @property
    def url(self) -> str:
        """Return the URL that answers name."""
        ...


class NodeApi:
    """The operations of a node in this process: those behind its door, with the door's checks, without HTTP.

    Invoke is not among them: it does not pass through the services. Timestamps come back as epoch seconds.
    """

    def __init__(self, node: Serving, *, account: str = ACCOUNT, region: str = REGION) -> None:
        self._node = node
        self._account = account
        self._region = region

    async def call(self, service: str, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        try:
            served = self._node.services.get(service)
            run = None if served is None else served.operations.get(operation)
            if run is None:
                raise operation_not_served(operation, service, __version__)
            model = service_model(service).operation(operation)
            values = {} if model.input is None else model_values(model.input, members)
            check_input(model, values)
            caller = Caller(
                account=self._account, region=self._region, request_id=str(uuid.uuid4()), base_url=self._node.url
            )
            return dict(await run(caller, values))
        except RequestError as error:
            raise ApiError(error.code, error.message) from error


class HttpApi:
    """The operations of the node at a URL, through botocore. Its calls are made in threads."""

    def __init__(self, url: str, *, account: str = ACCOUNT, region: str = REGION) -> None:
        if not url.startswith(("http://", "https://")):
            raise Unreachable(f"{url!r} is no node's URL: it must look like http://localhost:4566")
        self._url = url
        self._account = account
        self._region = region
        self._session = Session()
        self._session.set_credentials(account, "test")  # an access key of 12 digits is the account
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    async def call(self, service: str, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(self._call, service, operation, members)

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.close()

    def _call(self, service: str, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client(service), xform_name(operation))(**members)
        except ClientError as error:
            said = error.response.get("Error", {})
            raise ApiError(said.get("Code", "Error"), said.get("Message", "")) from error
        except BotoCoreError as error:
            if type(error).__name__ in _NO_NODE:
                raise Unreachable(f"no answer from {self._url}: is a node running there? ({error})") from error
            raise ApiError("ParamValidation", str(error)) from error
        answer.pop("ResponseMetadata", None)
        return answer

    def _client(self, service: str) -> Any:
        with self._lock:  # making clients is not safe in several threads
            client = self._clients.get(service)
            if client is None:
                client = self._clients[service] = self._session.create_client(
                    service,
                    region_name=self._region,
                    endpoint_url=self._url,
                    config=Config(retries={"mode": "standard", "total_max_attempts": 3}, read_timeout=70),
                )
            return client


_NO_NODE = frozenset(
    {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "HTTPClientError"}
)


def model_values(shape: Shape, members: Any) -> Any:  # Any: what boto3 takes in, model values out
    """Turn what a caller of boto3 gives into model values. Raises RequestError for what the model does not know."""
    if members is None:
        return None
    match shape.kind:
        case Kind.STRUCTURE if isinstance(members, Mapping):
            if unknown := [name for name in members if name not in shape.members]:
                known = ", ".join(shape.members)
                raise RequestError("ParamValidation", f"Unknown parameter in input: {unknown[0]!r}, must be: {known}")
            return {
                name: model_values(shape.members[name].shape, value)
                for name, value in members.items()
                if value is not None
            }
        case Kind.MAP if isinstance(members, Mapping) and shape.value is not None:
            return {key: model_values(shape.value, value) for key, value in members.items()}
        case Kind.LIST if isinstance(members, list | tuple) and shape.item is not None:
            return [model_values(shape.item, item) for item in members]
        case Kind.BLOB if isinstance(members, bytes | bytearray):
            return bytes(members)
        case Kind.BLOB if isinstance(members, str):
            return members.encode()
        case Kind.TIMESTAMP if isinstance(members, datetime):
            return members.timestamp()
    return from_json(shape, members)
