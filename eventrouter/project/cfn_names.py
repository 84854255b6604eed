"""What resources are called, and what `Ref` and `GetAtt` answer for them, before anything exists.

AWS makes up names with a random end for resources that declare none. Here the end is left out (`STACK-LOGICALID`):
names are known ahead, and the same template always means the same resources.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Where a template's resources live: account, region, and the name that theirs begin with."""

    account: str
    region: str
    name: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def physical_name(self, logical_id: str, *, longest: int = 64) -> str:
        """Return the name of a resource that declares none; the stack's part gives way if it gets too long."""
        return f"{self.name[: max(0, longest - len(logical_id) - 1)]}-{logical_id}"[-longest:].lstrip("-")


def stack_name(text: str) -> str:
    """Return a name made of what stacks' names may hold. Source: CreateStack's StackName."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "project"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a resource is called and what refers to it: `Ref` (None: only AWS could tell), and `GetAtt` by attribute."""

    name: str
    ref: str | None
    attributes: Mapping[str, str] = field(default_factory=dict)


def name_property(kind: str) -> str | None:
    """Return the property that names a resource of this type; None where there is none."""
    return _NAMED_BY.get(kind)


def identity(kind: str, logical_id: str, declared: str | None, stack: Stack, *, is_fifo: bool = False) -> Identity:
    """Return a resource's identity from its type and the name that it declares, if any."""
    suffix = ".fifo" if is_fifo else ""
    name = declared or stack.physical_name(logical_id, longest=64 - len(suffix)) + suffix
    known = _KINDS.get(kind)
    if known is not None:
        return known(name, stack)
    is_named = kind in _NAMED_BY or kind.startswith("AWS::ApiGatewayV2::")  # whose ids only these templates speak of
    return Identity(name, name if is_named else None)


def function_identity(name: str, stack: Stack) -> Identity:
    """Return a function's identity."""
    return Identity(name, name, {"Arn": stack.arn("lambda", f"function:{name}")})


def _alias(function: str, stack: Stack) -> Identity:
    """Return what refers to an alias or version of a function: the function itself, for there are no others."""
    arn = function if function.startswith("arn:") else stack.arn("lambda", f"function:{function}")
    return Identity(function, arn, {"AliasArn": arn, "FunctionArn": arn})


def _published_function(name: str, stack: Stack) -> Identity:
    """Return the identity of a function of SAM, which makes a version and an alias to refer to as well."""
    made = function_identity(name, stack)
    arn = made.attributes["Arn"]
    return Identity(name, name, {"Arn": arn, "Alias": arn, "Version": arn})


def role_identity(name: str, stack: Stack) -> Identity:
    """Return a role's identity."""
    return Identity(name, name, {"Arn": f"arn:aws:iam::{stack.account}:role/{name}"})


def _queue(name: str, stack: Stack) -> Identity:
    url = f"http://sqs.{stack.region}.localhost.localstack.cloud:4566/{stack.account}/{name}"
    return Identity(name, url, {"Arn": stack.arn("sqs", name), "QueueName": name, "QueueUrl": url})


def _stream(name: str, stack: Stack) -> Identity:
    return Identity(name, name, {"Arn": stack.arn("kinesis", f"stream/{name}")})


def _topic(name: str, stack: Stack) -> Identity:
    arn = stack.arn("sns", name)
    return Identity(name, arn, {"TopicArn": arn, "TopicName": name})


def _bucket(name: str, _stack: Stack) -> Identity:
    name = name.lower()
    return Identity(name, name, {"Arn": f"arn:aws:s3:::{name}"})


def _table(name: str, stack: Stack) -> Identity:
    return Identity(name, name, {"Arn": stack.arn("dynamodb", f"table/{name}")})


def _rule(name: str, stack: Stack) -> Identity:
    return Identity(name, name, {"Arn": stack.arn("events", f"rule/{name}")})


def _bus(name: str, stack: Stack) -> Identity:
    return Identity(name, name, {"Arn": stack.arn("events", f"event-bus/{name}"), "Name": name})


def _log_group(name: str, stack: Stack) -> Identity:
    return Identity(name, name, {"Arn": f"{stack.arn('logs', f'log-group:{name}')}:*"})


_KINDS: Mapping[str, Callable[[str, Stack], Identity]] = {
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::EventBus": _bus,
    "AWS::Events::Rule": _rule,
    "AWS::IAM::Role": role_identity,
    "AWS::Kinesis::Stream": _stream,
    "AWS::Lambda::Alias": _alias,
    "AWS::Lambda::Function": function_identity,
    "AWS::Lambda::Version": _alias,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::S3::Bucket": _bucket,
    "AWS::SNS::Topic": _topic,
    "AWS::SQS::Queue": _queue,
    "AWS::Serverless::Function": _published_function,
    "AWS::Serverless::SimpleTable": _table,
}

_NAMED_BY: Mapping[str, str] = {
    "AWS::ApiGateway::RestApi": "Name",
    "AWS::ApiGatewayV2::Api": "Name",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::Kinesis::Stream": "Name",
    "AWS::Lambda::Alias": "FunctionName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::Version": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Serverless::Api": "Name",
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Serverless::HttpApi": "Name",
    "AWS::Serverless::SimpleTable": "TableName",
}
