"""AWS::Serverless::Api and HttpApi: APIs whose routes are those of functions' events. Source: SAM's specification."""

from __future__ import annotations

from collections.abc import Mapping

from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.cfn_routes import AUTHORIZERS
from eventrouter.project.yaml_lines import Node

_NO_DEFINITIONS = "definitions in OpenAPI are not read; routes are those of functions' events"
_NO_CORS = "no CORS headers are added: functions answer OPTIONS themselves"
_NO_STAGES = "routes are served at once; stages, domains and certificates have no meaning here"
_NO_LIMITS = "no calls are throttled, cached or logged by route"
_NO_TAGS = "routes have no tags here"
_NO_MODELS = "models are not checked"
_NOT_APPLIED: Mapping[str, str] = {
    "AccessLogSetting": _NO_LIMITS,
    "AccessLogSettings": _NO_LIMITS,
    "ApiKeySourceType": "there are no API keys here",
    "Auth": AUTHORIZERS,
    "BinaryMediaTypes": "a result says itself whether it is base64",
    "CacheClusterEnabled": _NO_LIMITS,
    "CacheClusterSize": _NO_LIMITS,
    "CanarySetting": _NO_STAGES,
    "Cors": _NO_CORS,
    "CorsConfiguration": _NO_CORS,
    "DefaultRouteSettings": _NO_LIMITS,
    "DefinitionBody": _NO_DEFINITIONS,
    "DefinitionUri": _NO_DEFINITIONS,
    "DisableExecuteApiEndpoint": _NO_STAGES,
    "Domain": _NO_STAGES,
    "EndpointAccessMode": _NO_STAGES,
    "EndpointConfiguration": _NO_STAGES,
    "GatewayResponses": "the service's own answers are AWS's",
    "MergeDefinitions": _NO_DEFINITIONS,
    "MethodSettings": _NO_LIMITS,
    "MinimumCompressionSize": "answers are not compressed",
    "Mode": _NO_DEFINITIONS,
    "Models": _NO_MODELS,
    "Policy": "there is no IAM here: nobody is kept out",
    "PropagateTags": _NO_TAGS,
    "RouteSettings": _NO_LIMITS,
    "SecurityPolicy": _NO_STAGES,
    "StageVariables": _NO_STAGES,
    "Tags": _NO_TAGS,
    "TracingEnabled": "nothing is sent to X-Ray; the trace header is passed on all the same",
    "Variables": _NO_STAGES,
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
