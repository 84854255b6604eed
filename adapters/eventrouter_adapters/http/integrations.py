"""Integrations: which function answers, in which payload format, and how long it may take."""

from __future__ import annotations

import dataclasses
import re

from eventrouter.ports import Caller, Operation
from eventrouter.rules.http_api import MOST_INTEGRATIONS, HttpApi, HttpIntegration
from eventrouter_adapters.http import errors
from eventrouter_adapters.http.access import Access, Members, page

FORMATS = ("1.0", "2.0")
_FUNCTION = r"(arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:function:[a-zA-Z0-9-_]+(?::[a-zA-Z0-9-_$]+)?)"
_URI = re.compile(
    rf"{_FUNCTION}|arn:aws[a-zA-Z-]*:apigateway:[a-z0-9-]+:lambda:path/[0-9-]+/functions/{_FUNCTION}/invocations"
)


def read_function_arn(uri: str) -> str:
    """Return the ARN of the function that an integration's URI names: plainly, or as API Gateway's own ARNs do.

    Raises RequestError.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise errors.bad_request(f"Invalid function ARN or invalid uri: {uri}")
    return match[1] or match[2]


class IntegrationOperations:
    """The operations on integrations."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "CreateIntegration": self.create_integration,
            "DeleteIntegration": self.delete_integration,
            "GetIntegration": self.get_integration,
            "GetIntegrations": self.get_integrations,
            "UpdateIntegration": self.update_integration,
        }

    async def create_integration(self, caller: Caller, members: Members) -> Members:
        """Add an integration to an API."""
        _check("CreateIntegration", members)
        if members["IntegrationType"] != "AWS_PROXY" or not members.get("IntegrationUri"):
            raise errors.bad_request("An integration needs IntegrationType AWS_PROXY and a function's IntegrationUri")
        new = _changed(HttpIntegration(id=self._access.new_id(7), uri="", function_arn=""), members)

        def add(api: HttpApi) -> HttpApi:
            if len(api.integrations) >= MOST_INTEGRATIONS:
                raise errors.bad_request(f"An API can have {MOST_INTEGRATIONS} integrations")
            return dataclasses.replace(api, integrations=(*api.integrations, new))

        await self._access.change(caller, members, add)
        return _shown(new)

    async def get_integration(self, caller: Caller, members: Members) -> Members:
        """Answer with an integration."""
        return _shown(_find(await self._access.get(caller, members), members))

    async def get_integrations(self, caller: Caller, members: Members) -> Members:
        """Answer with a page of an API's integrations, in the order in which they were made."""
        found, token = page((await self._access.get(caller, members)).integrations, members)
        return {"Items": [_shown(integration) for integration in found], **token}

    async def update_integration(self, caller: Caller, members: Members) -> Members:
        """Change what is given of an integration."""
        _check("UpdateIntegration", members)

        def change(api: HttpApi) -> HttpApi:
            old = _find(api, members)
            new = _changed(old, members)
            return dataclasses.replace(
                api, integrations=tuple(new if each is old else each for each in api.integrations)
            )

        return _shown(_find(await self._access.change(caller, members, change), members))

    async def delete_integration(self, caller: Caller, members: Members) -> Members:
        """Delete an integration that no route leads to."""

        def remove(api: HttpApi) -> HttpApi:
            gone = _find(api, members)
            if any(route.integration == gone.id for route in api.routes):
                raise errors.conflict(f"Cannot delete Integration '{gone.id}'. Another entity references it.")
            return dataclasses.replace(api, integrations=tuple(each for each in api.integrations if each is not gone))

        await self._access.change(caller, members, remove)
        return {}


def _check(operation: str, members: Members) -> None:
    """Refuse integrations of other kinds than this one. Raises RequestError."""
    only = {
        "ConnectionType": ("INTERNET", "there are no VPC links here"),
        "IntegrationMethod": ("POST", "functions are invoked by POST"),
        "IntegrationType": ("AWS_PROXY", "requests are answered by functions only"),
    }
    for name, (value, why) in only.items():
        if members.get(name) not in (None, value):
            raise errors.not_supported(f"{name} {members[name]}", operation, why)
    if members.get("PayloadFormatVersion") not in (None, *FORMATS):
        raise errors.bad_request(f"PayloadFormatVersion must be 1.0 or 2.0, not {members['PayloadFormatVersion']}")


def _changed(integration: HttpIntegration, members: Members) -> HttpIntegration:
    uri = members.get("IntegrationUri") or integration.uri
    return dataclasses.replace(
        integration,
        uri=uri,
        function_arn=read_function_arn(uri),
        payload_format=members.get("PayloadFormatVersion") or integration.payload_format,
        timeout_ms=members.get("TimeoutInMillis") or integration.timeout_ms,
        description=members.get("Description", integration.description),
        credentials_arn=members.get("CredentialsArn", integration.credentials_arn),
    )


def _find(api: HttpApi, members: Members) -> HttpIntegration:
    integration = api.integration(members["IntegrationId"])
    if integration is None:
        raise errors.no_such_integration(members["IntegrationId"])
    return integration


def _shown(integration: HttpIntegration) -> dict[str, object]:
    shown: dict[str, object] = {
        "ConnectionType": "INTERNET",
        "IntegrationId": integration.id,
        "IntegrationMethod": "POST",
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": integration.uri,
        "PayloadFormatVersion": integration.payload_format,
        "TimeoutInMillis": integration.timeout_ms,
    }
    optional = {"CredentialsArn": integration.credentials_arn, "Description": integration.description}
    return {**shown, **{name: value for name, value in optional.items() if value}}
