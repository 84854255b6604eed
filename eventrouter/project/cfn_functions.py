"""AWS::Lambda::Function, and what all functions have in common. Source: lambda-semantics §2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from eventrouter.project.cfn_code import HOT_RELOAD, inline_code, local_code
from eventrouter.project.cfn_destinations import is_served
from eventrouter.project.cfn_members import input_shape, read, tags, whole_number
from eventrouter.project.cfn_parts import Parts, Properties, each_known
from eventrouter.project.model import FunctionResource, Members, Place, ProjectError
from eventrouter.project.yaml_lines import Node

_PLAIN = ("Description", "Handler", "LoggingConfig", "MemorySize", "Runtime", "Timeout")
_NOT_APPLIED: Mapping[str, str] = {
    "Architectures": "functions run on the node's own processor",
    "CapacityProviderConfig": "there are no capacity providers here",
    "CodeSigningConfigArn": "code signing is not checked here",
    "DurableConfig": "durable functions are not served",
    "EphemeralStorage": "the size of /tmp is not limited",
    "FileSystemConfigs": "file systems are not mounted; functions see the node's own",
    "FunctionScalingConfig": "there are no capacity providers here",
    "KmsKeyArn": "environment variables are not encrypted with keys of yours",
    "Layers": "layers are not served: install what they hold where the node runs",
    "PublishToLatestPublished": "versions are not served",
    "RecursiveLoop": "loops of functions are not looked for",
    "RuntimeManagementConfig": "functions run on the node's own interpreter",
    "SnapStart": "it concerns published versions only; environments are forked from a warm template anyway",
    "TenancyConfig": "environments are not kept apart by tenant",
    "VpcConfig": "functions use the node's own network",
}

TRACING = "nothing is sent to X-Ray; the trace header is passed on all the same"
_RESOURCE_NOT_APPLIED: Mapping[str, str] = {"TracingConfig": TRACING}


def read_function(logical_id: str, properties: Properties) -> str | None:
    """Add a function and return its name; None, noted as not applied, if it is made of an image.

    `properties` are those of AWS::Lambda::Function. Raises ProjectError.
    """
    parts = properties.parts
    name = parts.scope.identity(logical_id, properties.place).name
    package, image = properties.take("PackageType"), properties.take("ImageConfig")
    code = properties.take("Code")
    if (package and package.text == "Image") or image or (code and _is_image(code)):
        parts.skip(f"the function {logical_id}", properties.place, "functions made of images are not served")
        parts.absent.add(name)
        return None
    properties.take("FunctionName")
    shape = input_shape("lambda", "CreateFunction")
    members: dict[str, Any] = {"FunctionName": name, **properties.members(_PLAIN, shape)}
    members |= _environment(parts, properties)
    members |= _role(parts, properties)
    dead_letters = properties.take("DeadLetterConfig")
    if dead_letters and _are_served(properties, dead_letters):
        members["DeadLetterConfig"] = read(dead_letters, shape.members["DeadLetterConfig"].shape)
    tagged = properties.take("Tags")
    if tagged:
        members["Tags"] = tags(tagged)
    reserved = properties.take("ReservedConcurrentExecutions")
    properties.skip(_NOT_APPLIED)
    properties.finish()
    function = FunctionResource(
        name=name,
        members=members,
        code=_code(properties, code),
        place=properties.place,
        reserved_concurrency=whole_number(reserved) if reserved else None,
    )
    parts.add(function, parts.functions)
    return name


def read_lambda_function(logical_id: str, properties: Properties) -> None:
    """Add an AWS::Lambda::Function."""
    properties.skip(_RESOURCE_NOT_APPLIED)
    read_function(logical_id, properties)


def set_event_invoke(parts: Parts, function: str, members: Members, place: Place) -> None:
    """Give a function of this template its settings for asynchronous events. Raises ProjectError if it has some."""
    found = parts.functions.get(function)
    if found is None:
        parts.skip(f"EventInvokeConfig of {function}", place, "the function is not one of this template")
    elif found.event_invoke is not None:
        raise ProjectError(place, f"{function} has an event invoke config already")
    else:
        parts.functions[function] = replace(found, event_invoke=members or None)


def function_name(parts: Parts, node: Node) -> str:
    """Return the name in a name or ARN of a function of this account and region; another's ARN as it is.

    A qualifier is kept, but `$LATEST`, which says nothing.
    """
    text = node.text.removesuffix(":$LATEST")
    return text.removeprefix(parts.scope.stack.arn("lambda", "function:"))


def _are_served(properties: Properties, dead_letters: Node) -> bool:
    target = dead_letters.get("TargetArn")
    return target is None or is_served(properties.parts, f"DeadLetterConfig of {properties.owner}", target)


def _is_image(code: Node) -> bool:
    return isinstance(code.value, Mapping) and "ImageUri" in code.value


def _environment(parts: Parts, properties: Properties) -> dict[str, Any]:
    node = properties.outline("Environment")
    if node is None:
        return {}
    inner = Properties.of(parts, f"Environment of {properties.owner}", node, node.place)
    variables = inner.outline("Variables")
    inner.finish()
    if variables is None:
        return {}
    what = f"the environment of {properties.owner}"
    return {"Environment": {"Variables": {key: value.text for key, value in each_known(parts, what, variables)}}}


def _role(parts: Parts, properties: Properties) -> dict[str, str]:
    """Return the role, which is shown and grants nothing, if it is one of this template or given as an ARN."""
    role = properties.outline("Role")
    if role is None:
        return {}
    properties.skip({"Role": "functions run with the rights of the node; there is no IAM here"})
    found = dict(each_known(parts, properties.owner, Node({"Role": role}, role.place)))
    return {name: value.text for name, value in found.items() if value.text.startswith("arn:")}


def _code(properties: Properties, code: Node | None) -> Path:
    """Return where the code is: a path, CDK's asset beside the template, text, or a hot-reload folder."""
    folder = properties.parts.folder
    asset = properties.metadata.get("aws:asset:path") if properties.metadata else None
    if asset:
        return local_code(folder, asset.text, asset.place)
    if code is None:
        raise ProjectError(properties.place, f"{properties.owner} has no code")
    if isinstance(code.value, str):
        return local_code(folder, code.value, code.place)
    inline = code.get("ZipFile")
    if inline:
        return inline_code(inline.text, inline.place)
    bucket, key = code.get("S3Bucket") or code.get("Bucket"), code.get("S3Key") or code.get("Key")
    if bucket and key and bucket.text == HOT_RELOAD:
        return local_code(folder, key.text, key.place)
    raise ProjectError(code.place, "packages come from a folder or an archive on this machine, not from S3")
