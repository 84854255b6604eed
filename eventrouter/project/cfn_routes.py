"""AWS::ApiGatewayV2::Api, Integration and Route: HTTP APIs whose routes invoke functions.

Source: lambda-semantics §6.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from eventrouter.project.cfn_functions import function_name
from eventrouter.project.cfn_members import boolean
from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.model import Place, ProjectError, RouteResource
from eventrouter.project.yaml_lines import Node

DEFAULT_API = "default"
AUTHORIZERS = "authorizers are not served: requests are let in"
NO_CORS = "no CORS headers are added: functions answer OPTIONS themselves"
NO_STAGES = "routes are served at once; stages, domains and certificates have no meaning here"
NO_TAGS = "routes have no tags here"
_INVOCATIONS = re.compile(r"arn:[^:]+:apigateway:[^:]+:lambda:path/[^/]+/functions/(?P<arn>.+)/invocations")
_API_NOT_APPLIED: Mapping[str, str] = {
    "CorsConfiguration": NO_CORS,
    "CredentialsArn": "there is no IAM here",
    "DisableExecuteApiEndpoint": "APIs have no domains of their own here",
    "DisableSchemaValidation": "models are not checked",
    "FailOnWarnings": "there is no import of definitions",
    "IpAddressType": "APIs are reached at the node's own addresses",
    "Tags": NO_TAGS,
    "Version": "it is a note",
}
_NO_MODELS = "models and parameters are not checked"
_ROUTE_NOT_APPLIED: Mapping[str, str] = {
    "AuthorizationScopes": AUTHORIZERS,
    "AuthorizerId": AUTHORIZERS,
    "ModelSelectionExpression": _NO_MODELS,
    "RequestModels": _NO_MODELS,
    "RequestParameters": _NO_MODELS,
    "RouteResponseSelectionExpression": "it is for WebSocket APIs, which are not served",
}
_NO_CHANGES = "requests and answers are not changed on their way"
_ONLY_FUNCTIONS = "integrations are with functions"
_INTEGRATION_NOT_APPLIED: Mapping[str, str] = {
    "ConnectionId": _ONLY_FUNCTIONS,
    "ContentHandlingStrategy": _NO_CHANGES,
    "CredentialsArn": "there is no IAM here",
    "IntegrationSubtype": _ONLY_FUNCTIONS,
    "RequestParameters": _NO_CHANGES,
    "RequestTemplates": _NO_CHANGES,
    "ResponseParameters": _NO_CHANGES,
    "TemplateSelectionExpression": _NO_CHANGES,
    "TimeoutInMillis": "the timeout of integrations is the service's own",
    "TlsConfig": _ONLY_FUNCTIONS,
}


def add_route(parts: Parts, key: str, function: str, place: Place, *, payload_format: str, api: str) -> None:
    """Add a route to a function."""
    route = RouteResource(route_key=key, function=function, place=place, payload_format=payload_format, api=api)
    parts.add(route, parts.routes)


def payload_format(node: Node | None, default: str) -> str:
    """Return the version of events and answers that is declared. Raises ProjectError for one that does not exist."""
    if node is None:
        return default
    text = {"1": "1.0", "2": "2.0"}.get(node.text, node.text)
    if text not in ("1.0", "2.0"):
        raise ProjectError(node.place, f"PayloadFormatVersion is 1.0 or 2.0, not {node.text}")
    return text


def read_api(logical_id: str, properties: Properties) -> None:
    """Read an AWS::ApiGatewayV2::Api; with a Target it has one route of its own, as AWS's quick create makes it."""
    parts = properties.parts
    what = f"the API {logical_id}"
    protocol = properties.take("ProtocolType")
    if protocol and protocol.text != "HTTP":
        parts.skip(what, protocol.place, f"APIs of {protocol.text} are not served")
        return
    if [name for name in ("Body", "BodyS3Location", "BasePath") if properties.outline(name) is not None]:
        parts.skip(what, properties.place, "definitions in OpenAPI are not read")
        return
    name = parts.scope.identity(logical_id, properties.place).name
    for known in ("Name", "Description", "ApiKeySelectionExpression", "RouteSelectionExpression"):
        properties.take(known)
    target, key = properties.take("Target"), properties.take("RouteKey")
    properties.skip(_API_NOT_APPLIED)
    properties.finish()
    if target:
        function = _function(parts, target)
        if function is None:
            parts.skip(f"the target of {what}", target.place, f"{target.text} is no function")
        else:
            key_text = key.text if key else "$default"
            add_route(parts, key_text, function, properties.place, payload_format="2.0", api=name)


def read_route(logical_id: str, properties: Properties) -> None:
    """Add an AWS::ApiGatewayV2::Route whose target is an integration of this template with a function."""
    parts = properties.parts
    what = f"the route {logical_id}"
    api, key, target = properties.need("ApiId"), properties.need("RouteKey"), properties.need("Target")
    properties.take("OperationName")
    authorization = properties.take("AuthorizationType")
    if authorization and authorization.text != "NONE":
        parts.skip(f"AuthorizationType of {what}", authorization.place, AUTHORIZERS)
    required = properties.take("ApiKeyRequired")
    if required and boolean(required):
        parts.skip(f"ApiKeyRequired of {what}", required.place, "there are no API keys here")
    properties.skip(_ROUTE_NOT_APPLIED)
    properties.finish()
    integration_id = _integration(parts, target)
    found = None if integration_id is None else _integrated(parts, what, integration_id)
    if found is None:
        parts.skip(what, properties.place, f"{target.text} is no integration of this template with a function")
        return
    function, version = found
    add_route(parts, key.text, function, properties.place, payload_format=version, api=api.text)


def read_integration(_logical_id: str, properties: Properties) -> None:
    """Check an AWS::ApiGatewayV2::Integration: it is read with the routes that name it."""
    properties.need("ApiId")
    for name in ("Description", "IntegrationMethod", "IntegrationType", "IntegrationUri", "PayloadFormatVersion"):
        properties.take(name)
    for name, default in (("ConnectionType", "INTERNET"), ("PassthroughBehavior", "WHEN_NO_MATCH")):
        given = properties.take(name)
        if given and given.text != default:
            properties.skip({name: _ONLY_FUNCTIONS})
    properties.skip(_INTEGRATION_NOT_APPLIED)
    properties.finish()


def _integration(parts: Parts, target: Node) -> str | None:
    """Return the logical id of the integration that `integrations/ID` names."""
    name = target.text.removeprefix("integrations/")
    for logical_id, resource in parts.scope.resources.items():
        kind = resource.get("Type")
        if (
            kind is not None
            and kind.text == "AWS::ApiGatewayV2::Integration"
            and parts.scope.is_present(logical_id)
            and parts.scope.identity(logical_id, target.place).ref == name
        ):
            return logical_id
    return None


def _integrated(parts: Parts, what: str, logical_id: str) -> tuple[str, str] | None:
    """Return the function and the payload format of an integration; None if it is with something else."""
    resource = parts.scope.resources[logical_id]
    properties = Properties.of(parts, what, resource.get("Properties"), resource.place)
    kind, uri = properties.need("IntegrationType"), properties.take("IntegrationUri")
    function = _function(parts, uri) if uri and kind.text == "AWS_PROXY" else None
    if function is None:
        return None
    return function, payload_format(properties.take("PayloadFormatVersion"), "1.0")


def _function(parts: Parts, uri: Node) -> str | None:
    """Return the function that an ARN, or API Gateway's longer form of it, names; None if it names none."""
    found = _INVOCATIONS.fullmatch(uri.text)
    arn = found["arn"] if found else uri.text
    if arn.split(":")[2:3] != ["lambda"]:
        return None
    return function_name(parts, Node(arn, uri.place))
