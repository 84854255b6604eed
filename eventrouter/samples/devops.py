"""Events of CloudWatch Logs, CloudFormation, CodeCommit and Config. Source: lambda-semantics §6.9, §6.10."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable

from eventrouter.samples.model import Document, Invoked, Sample, Scene


def _logs(message_type: str, *messages: str) -> Callable[[Scene], Document]:
    """Return the builder of one delivery of a subscription filter."""

    def build(scene: Scene) -> Document:
        control = message_type == "CONTROL_MESSAGE"
        events = [
            {"id": f"{scene.at_ms:020d}{index:036d}", "timestamp": scene.at_ms + index, "message": message}
            for index, message in enumerate(messages)
        ]
        told = {
            "messageType": message_type,
            "owner": "CloudwatchLogs" if control else scene.account,
            "logGroup": "" if control else "/aws/lambda/take-orders",
            "logStream": "" if control else f"2026/01/15/[$LATEST]{scene.digits('logs:stream', 32)}",
            "subscriptionFilters": [] if control else ["errors"],
            "logEvents": events,
        }
        packed = gzip.compress(json.dumps(told).encode(), mtime=0)
        return {"awslogs": {"data": base64.b64encode(packed).decode()}}

    return build


def _custom_resource(request_type: str) -> Callable[[Scene], Document]:
    """Return the builder of one request of a custom resource."""

    def build(scene: Scene) -> Document:
        event: Document = {
            "RequestType": request_type,
            "ServiceToken": scene.arn("lambda", "function:seed-shop"),
            "ResponseURL": "https://cloudformation-custom-resource-response.s3.amazonaws.com/answer?Signature=EXAMPLE",
            "StackId": scene.arn("cloudformation", f"stack/shop/{scene.uuid('cloudformation:stack')}"),
            "RequestId": scene.uuid(f"cloudformation:{request_type}"),
            "LogicalResourceId": "Catalogue",
            "ResourceType": "Custom::Catalogue",
        }
        if request_type != "Create":
            event["PhysicalResourceId"] = "catalogue-1"
        event["ResourceProperties"] = {"ServiceToken": event["ServiceToken"], "Size": "20"}
        if request_type == "Update":
            event["OldResourceProperties"] = {"ServiceToken": event["ServiceToken"], "Size": "10"}
        return event

    return build


def _push(scene: Scene) -> Document:
    return {
        "Records": [
            {
                "awsRegion": scene.region,
                "codecommit": {
                    "references": [{"commit": scene.digits("codecommit:commit", 40), "ref": "refs/heads/main"}]
                },
                "eventId": scene.uuid("codecommit:event"),
                "eventName": "ReferenceChanges",
                "eventPartNumber": 1,
                "eventSource": "aws:codecommit",
                "eventSourceARN": scene.arn("codecommit", "shop"),
                "eventTime": scene.moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000",
                "eventTotalParts": 1,
                "eventTriggerConfigId": scene.uuid("codecommit:trigger"),
                "eventTriggerName": "on-push",
                "eventVersion": "1.0",
                "userIdentityARN": f"arn:aws:iam::{scene.account}:user/ada",
            }
        ]
    }


def _config(scene: Scene) -> Document:
    instance = f"i-{scene.digits('ec2:instance', 17)}"
    item = {
        "relatedEvents": [],
        "relationships": [],
        "configuration": {"instanceType": "t3.micro"},
        "supplementaryConfiguration": {},
        "tags": {},
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": scene.timestamp,
        "configurationStateId": scene.at_ms,
        "awsAccountId": scene.account,
        "configurationItemStatus": "OK",
        "resourceType": "AWS::EC2::Instance",
        "resourceId": instance,
        "resourceName": None,
        "ARN": scene.arn("ec2", f"instance/{instance}"),
        "awsRegion": scene.region,
        "availabilityZone": f"{scene.region}a",
        "configurationStateMd5Hash": "",
        "resourceCreationTime": scene.timestamp,
    }
    told = {
        "configurationItemDiff": None,
        "configurationItem": item,
        "messageType": "ConfigurationItemChangeNotification",
        "notificationCreationTime": scene.timestamp,
        "recordVersion": "1.3",
    }
    return {
        "invokingEvent": json.dumps(told),
        "ruleParameters": json.dumps({"instanceType": "t3.micro"}),
        "resultToken": "example-token",
        "eventLeftScope": False,
        "executionRoleArn": f"arn:aws:iam::{scene.account}:role/config",
        "configRuleArn": scene.arn("config", "config-rule/config-rule-0123456"),
        "configRuleName": "small-instances",
        "configRuleId": "config-rule-0123456",
        "accountId": scene.account,
        "version": "1.0",
    }


def _sample(name: str, summary: str, build: Callable[[Scene], Document]) -> Sample:
    return Sample(name=name, summary=summary, invoked=Invoked.EVENT, build=build)


SAMPLES = (
    _sample(
        "logs:data",
        "Lines of a log group that a filter let through.",
        _logs("DATA_MESSAGE", "[ERROR] order-7 was refused", "[ERROR] order-8 was refused"),
    ),
    _sample(
        "logs:control",
        "CloudWatch Logs checks that the function can be reached.",
        _logs("CONTROL_MESSAGE", "CWL CONTROL MESSAGE: Checking health of destination Lambda Function."),
    ),
    _sample("cloudformation:create", "A custom resource is created.", _custom_resource("Create")),
    _sample("cloudformation:update", "A custom resource is updated.", _custom_resource("Update")),
    _sample("cloudformation:delete", "A custom resource is deleted.", _custom_resource("Delete")),
    _sample("codecommit:push", "A branch was pushed.", _push),
    _sample("config:change", "A resource's configuration changed.", _config),
)
