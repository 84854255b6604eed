"""AWS::Serverless::Api and HttpApi: APIs whose routes are those of functions' events. Source: SAM's specification."""

from __future__ import annotations

from collections.abc import Mapping

from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.cfn_routes import AUTHORIZERS, NO_CORS, NO_STAGES, NO_TAGS
from eventrouter.project.yaml_lines import Node

_NO_DEFINITIONS = "definitions in OpenAPI are not read; routes are those of functions' events"
_NO_LIMITS = "no calls are throttled, cached or logged by route"
_NO_MODELS = "models are not checked"
_NOT_APPLIED: Mapping[str, str] = {
    "AccessLogSetting": _NO_LIMITS,
    "AccessLogSettings": _NO_LIMITS,
    "ApiKeySourceType": "there are no API keys here",
    "Auth": AUTHORIZERS,
    "BinaryMediaTypes": "a result says itself whether it is base64",
    "CacheClusterEnabled": _NO_LIMITS,
    "CacheClusterSize": _NO_LIMITS,
    "CanarySetting": NO_STAGES,
    "Cors": NO_CORS,
    "CorsConfiguration": NO_CORS,
    "DefaultRouteSettings": _NO_LIMITS,
    "DefinitionBody": _NO_DEFINITIONS,
    "DefinitionUri": _NO_DEFINITIONS,
    "DisableExecuteApiEndpoint": NO_STAGES,
    "Domain": NO_STAGES,
    "EndpointAccessMode": NO_STAGES,
    "EndpointConfiguration": NO_STAGES,
    "GatewayResponses": "the service's own answers are AWS's",
    "MergeDefinitions": _NO_DEFINITIONS,
    "MethodSettings": _NO_LIMITS,
    "MinimumCompressionSize": "answers are not compressed",
    "Mode": _NO_DEFINITIONS,
    "Models": _NO_MODELS,
    "Policy": "there is no IAM here: nobody is kept out",
    "PropagateTags": NO_TAGS,
    "RouteSettings": _NO_LIMITS,
    "SecurityPolicy": NO_STAGES,
    "StageVariables": NO_STAGES,
    "Tags": NO_TAGS,
    "TracingEnabled": "nothing is sent to X-Ray; the trace header is passed on all the same",
    "Variables": NO_STAGES,
}
_NAMES = (
    "AlwaysDeploy",
    "Description",
    "FailOnWarnings",
    "Name",
    "OpenApiVersion",
    "StageName",
)
"""What names and describes an API, or concerns its deployment by AWS alone."""


def read_serverless_api(_logical_id: str, properties: Properties) -> None:
    """Check the properties of an API of SAM, and note those that are not applied."""
    for name in _NAMES:
        properties.take(name)
    properties.skip(_NOT_APPLIED)
    properties.finish()


def note_implicit_api(parts: Parts, section: str, shared: Node) -> None:
    """Note what `Globals` say of the API that SAM makes when the template has none of its own of that type."""
    read_serverless_api(section, Properties.of(parts, f"Globals.{section}", shared, shared.place))
