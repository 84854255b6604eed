"""What becomes of every key of a serverless.yml that is not read where it is applied: why it is not applied here.

Source: the Serverless Framework's reference of serverless.yml, versions 3 and 4.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from eventrouter.project.cfn_members import checked
from eventrouter.project.cfn_parts import Parts
from eventrouter.project.cfn_schedules import NO_PATTERNS
from eventrouter.project.yaml_lines import Node

_NO_IAM = "functions run with the rights of the node; there is no IAM here"
_NO_KEYS = "nothing is encrypted with keys of yours"
_DEPLOYING = "it is about how a stack is deployed to AWS"
_NO_LAYERS = "layers are not served: install what they hold where the node runs"
_RUNNING: Final[Mapping[str, str]] = {
    "architecture": "functions run on the node's own processor",
    "ephemeralStorageSize": "the size of /tmp is not limited",
    "kmsKeyArn": _NO_KEYS,
    "layers": _NO_LAYERS,
    "role": _NO_IAM,
    "runtimeManagement": "functions run on the node's own interpreter",
    "tracing": "nothing is sent to X-Ray; the trace header is passed on all the same",
    "vpc": "functions use the node's own network",
}
"""What both the provider and a function may have."""

FUNCTION: Final[Mapping[str, str]] = {
    **_RUNNING,
    "awsKmsKeyArn": _NO_KEYS,
    "disableLogs": "logs are kept",
    "fileSystemConfig": "file systems are not mounted; functions see the node's own",
    "provisionedConcurrency": "environments are forked from a warm template anyway",
    "snapStart": "it concerns published versions only; environments are forked from a warm template anyway",
    "url": "function URLs are not served",
}
FUNCTION_OWN: Final = frozenset({"build", "dependsOn", "versionFunction", "versionFunctions"})
"""Keys of functions that say nothing about how they run."""

PROVIDER: Final[Mapping[str, str]] = {
    **_RUNNING,
    "alb": "load balancers are not served",
    "apiGateway": "its settings are AWS's; routes are served as they are",
    "apiKeys": "API keys are not checked",
    "apiName": "APIs are named after the service",
    "cfnRole": _DEPLOYING,
    "cloudFront": "there is no CloudFront here",
    "deploymentBucket": _DEPLOYING,
    "deploymentMethod": _DEPLOYING,
    "deploymentPrefix": _DEPLOYING,
    "disableRollback": _DEPLOYING,
    "ecr": "functions made of images are not served",
    "endpointType": _DEPLOYING,
    "eventBridge": _DEPLOYING,
    "iam": _NO_IAM,
    "iamManagedPolicies": _NO_IAM,
    "iamRoleStatements": _NO_IAM,
    "logRetentionInDays": "how long logs are kept is a setting of the node: log_retention_days",
    "notificationArns": _DEPLOYING,
    "profile": _DEPLOYING,
    "resolver": _DEPLOYING,
    "resourcePolicy": _NO_IAM,
    "rolePermissionsBoundary": _NO_IAM,
    "rollbackConfiguration": _DEPLOYING,
    "s3": "S3 is not served",
    "stackParameters": _DEPLOYING,
    "stackPolicy": _DEPLOYING,
    "stackTags": "stacks have no tags here",
    "usagePlan": "API keys are not checked",
    "vpcEndpointIds": "functions use the node's own network",
    "websocketsApiName": "WebSocket APIs are not served",
    "websocketsApiRouteSelectionExpression": "WebSocket APIs are not served",
}
PROVIDER_OWN: Final = frozenset({"build", "lambdaHashingVersion", "versionFunctions"})

SERVICE: Final[Mapping[str, str]] = {"layers": _NO_LAYERS}
SERVICE_OWN: Final = frozenset(
    {
        *("app", "build", "configValidationMode", "console", "custom", "dashboard", "deprecationNotificationMode"),
        *("disabledDeprecations", "frameworkVersion", "licenseKey", "org", "outputs", "package", "params", "plugins"),
        *("projectDir", "stages", "tenant", "useDotenv", "variablesResolutionMode"),
    }
)
"""Keys that are the tool's own, or are read through variables and plugins."""

PACKAGE: Final[Mapping[str, str]] = dict.fromkeys(
    ("exclude", "excludeDevDependencies", "include", "patterns"),
    "a package is the whole folder, but for what its .eventrouterignore names",
)
PACKAGE_OWN: Final = frozenset({"individually", "path"})

EVENT: Final[Mapping[str, str]] = {
    "activemq": "message brokers are not served as sources",
    "alb": "load balancers are not served",
    "alexaSkill": "Alexa is not served as a source",
    "alexaSmartHome": "Alexa is not served as a source",
    "cloudFront": "there is no CloudFront here",
    "cloudwatchEvent": NO_PATTERNS,
    "cloudwatchLog": "subscriptions of log groups are not served",
    "cognitoUserPool": "Cognito is not served as a source",
    "iot": "IoT is not served as a source",
    "iotFleetProvisioning": "IoT is not served as a source",
    "kafka": "Kafka sources are not served",
    "msk": "Kafka sources are not served",
    "rabbitmq": "message brokers are not served as sources",
    "s3": "S3 is not served as a source",
    "sns": "SNS is not served as a source",
    "websocket": "WebSocket APIs are not served",
}
"""Events of kinds that are not served."""


def skip(parts: Parts, owner: str, members: Mapping[str, Node], reasons: Mapping[str, str]) -> None:
    """Note every key that has a reason, and a value, as not applied."""
    for name, node in members.items():
        if name in reasons and node.value is not None and node.value is not False:
            parts.skip(f"{name} of {owner}", node.place, reasons[name])


def check(parts: Parts, owner: str, members: Mapping[str, Node], known: Collection[str], *, has_plugins: bool) -> None:
    """Note the keys that are none of the framework's as not applied: a service with plugins may have such.

    Raises ProjectError, which tells the nearest key, for one without.
    """
    for name, node in members.items():
        if name in known:
            continue
        if not has_plugins:
            checked(name, node.place, known)
        parts.skip(f"{name} of {owner}", node.place, "it is none of the framework's keys; a plugin may know it")
