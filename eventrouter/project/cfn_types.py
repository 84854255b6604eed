"""Which types of resources are read, and why the others are not applied."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from eventrouter.project.cfn_functions import read_lambda_function
from eventrouter.project.cfn_mappings import read_event_invoke, read_mapping
from eventrouter.project.cfn_members import checked
from eventrouter.project.cfn_parts import Properties
from eventrouter.project.cfn_routes import AUTHORIZERS, NO_STAGES, read_api, read_integration, read_route
from eventrouter.project.cfn_schedules import NO_PATTERNS, read_rule, read_schedule
from eventrouter.project.cfn_sources import read_queue, read_stream
from eventrouter.project.model import Place, ProjectError
from eventrouter.project.sam_apis import read_serverless_api
from eventrouter.project.sam_functions import read_serverless_function

SERVERLESS = "AWS::Serverless::"
_TYPE = re.compile(r"[A-Za-z0-9]+::[A-Za-z0-9]+(::[A-Za-z0-9]+)+|Custom::[A-Za-z0-9_@-]+")
NO_IAM = "there is no IAM here: nobody is kept out"
_NO_VERSIONS = "versions and aliases are not served: events go to the function itself"
_NO_LAYERS = "layers are not served: install what they hold where the node runs"
_NO_TABLES = "tables are not kept here: functions reach DynamoDB where their endpoint points"
_NO_ENCRYPTION = "nothing is encrypted with keys of yours"


READERS: Mapping[str, Callable[[str, Properties], None]] = {
    "AWS::ApiGatewayV2::Api": read_api,
    "AWS::ApiGatewayV2::Integration": read_integration,
    "AWS::ApiGatewayV2::Route": read_route,
    "AWS::Events::Rule": read_rule,
    "AWS::Kinesis::Stream": read_stream,
    "AWS::Lambda::EventInvokeConfig": read_event_invoke,
    "AWS::Lambda::EventSourceMapping": read_mapping,
    "AWS::Lambda::Function": read_lambda_function,
    "AWS::SQS::Queue": read_queue,
    "AWS::Scheduler::Schedule": read_schedule,
    "AWS::Serverless::Api": read_serverless_api,
    "AWS::Serverless::Function": read_serverless_function,
    "AWS::Serverless::HttpApi": read_serverless_api,
}

_NOT_APPLIED: Mapping[str, str] = {
    "AWS::ApiGatewayV2::ApiMapping": NO_STAGES,
    "AWS::ApiGatewayV2::Authorizer": AUTHORIZERS,
    "AWS::ApiGatewayV2::Deployment": NO_STAGES,
    "AWS::ApiGatewayV2::DomainName": NO_STAGES,
    "AWS::ApiGatewayV2::IntegrationResponse": "it is for WebSocket APIs, which are not served",
    "AWS::ApiGatewayV2::Model": "models are not checked",
    "AWS::ApiGatewayV2::RouteResponse": "it is for WebSocket APIs, which are not served",
    "AWS::ApiGatewayV2::Stage": NO_STAGES,
    "AWS::ApiGatewayV2::VpcLink": "functions use the node's own network",
    "AWS::CDK::Metadata": "it is a note",
    "AWS::Events::ApiDestination": NO_PATTERNS,
    "AWS::Events::Archive": NO_PATTERNS,
    "AWS::Events::Connection": NO_PATTERNS,
    "AWS::Events::Endpoint": NO_PATTERNS,
    "AWS::Events::EventBus": NO_PATTERNS,
    "AWS::Events::EventBusPolicy": NO_IAM,
    "AWS::Kinesis::ResourcePolicy": NO_IAM,
    "AWS::Kinesis::StreamConsumer": "consumers of streams are not part of a project",
    "AWS::Lambda::Alias": _NO_VERSIONS,
    "AWS::Lambda::CapacityProvider": "there are no capacity providers here",
    "AWS::Lambda::CodeSigningConfig": "code signing is not checked here",
    "AWS::Lambda::LayerVersion": _NO_LAYERS,
    "AWS::Lambda::LayerVersionPermission": NO_IAM,
    "AWS::Lambda::Permission": NO_IAM,
    "AWS::Lambda::Url": "function URLs are not served",
    "AWS::Lambda::Version": _NO_VERSIONS,
    "AWS::SQS::QueueInlinePolicy": NO_IAM,
    "AWS::SQS::QueuePolicy": NO_IAM,
    "AWS::Scheduler::ScheduleGroup": "schedules have no groups here",
    "AWS::Serverless::Application": "nested applications are not read",
    "AWS::Serverless::CapacityProvider": "there are no capacity providers here",
    "AWS::Serverless::Connector": NO_IAM,
    "AWS::Serverless::GraphQLApi": "AppSync is not served",
    "AWS::Serverless::LayerVersion": _NO_LAYERS,
    "AWS::Serverless::MicroVMImage": "functions are zip packages",
    "AWS::Serverless::NetworkConnector": "functions use the node's own network",
    "AWS::Serverless::SimpleTable": _NO_TABLES,
    "AWS::Serverless::StateMachine": "Step Functions is not served",
    "AWS::Serverless::WebSocketApi": "WebSocket APIs are not served",
}
_SERVICES: Mapping[str, str] = {
    "AWS::CloudFormation": "CloudFormation itself is not served: nested stacks and wait conditions are not read",
    "AWS::DynamoDB": _NO_TABLES,
    "AWS::IAM": NO_IAM,
    "AWS::KMS": _NO_ENCRYPTION,
    "AWS::Logs": "logs are kept for every function; groups need no declaring",
    "Custom": "custom resources are not called",
}


def why_not_applied(kind: str, place: Place) -> str:
    """Return why a type without a reader is not applied.

    Raises ProjectError for what is no type, and for types that the services that are served here do not have.
    """
    if not _TYPE.fullmatch(kind):
        raise ProjectError(place, f"{kind} is no type of resource")
    if kind in _NOT_APPLIED:
        return _NOT_APPLIED[kind]
    service = kind.rpartition("::")[0] if kind.startswith("AWS::") else kind.partition("::")[0]
    types = [known for known in (*READERS, *_NOT_APPLIED) if known.startswith(f"{service}::")]
    if types:
        checked(kind, place, types)
    return _SERVICES.get(service, f"{service.removeprefix('AWS::')} is not served")
