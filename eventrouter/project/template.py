"""Reads SAM and CloudFormation templates: YAML or JSON, as AWS reads them, with a line for everything that is wrong.

What is served becomes the project's resources; everything else that is declared is listed as not applied, with why.
Source: CloudFormation's template reference; SAM's specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eventrouter.project.cfn_members import checked
from eventrouter.project.cfn_names import Identity, Stack, role_identity, stack_name
from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.cfn_routes import DEFAULT_API
from eventrouter.project.cfn_scope import Scope
from eventrouter.project.cfn_types import NO_IAM, READERS, SERVERLESS, why_not_applied
from eventrouter.project.model import Place, Project, ProjectError
from eventrouter.project.sam_apis import note_implicit_api
from eventrouter.project.sam_globals import check_globals, with_globals
from eventrouter.project.yaml_lines import Node, load

_SECTIONS = (
    "AWSTemplateFormatVersion", "Conditions", "Description", "Globals", "Hooks", "Mappings", "Metadata", "Outputs",
    "Parameters", "Resources", "Rules", "Transform",
)  # fmt: skip
_ATTRIBUTES = (
    "Condition", "Connectors", "CreationPolicy", "DeletionPolicy", "DependsOn", "IgnoreGlobals", "Metadata",
    "Properties", "Type", "UpdatePolicy", "UpdateReplacePolicy",
)  # fmt: skip
_SAM = "AWS::Serverless-2016-10-31"
_TRANSFORMS = (_SAM, "AWS::LanguageExtensions")
_LATE = "AWS::Lambda::EventInvokeConfig"
"""What concerns functions, and so is read after them."""


def read_template(
    path: Path,
    *,
    parameters: Mapping[str, str] | None = None,
    account: str = "000000000000",
    region: str = "us-east-1",
    name: str | None = None,
) -> Project:
    """Read a template into a project.

    `parameters` are values of the template's parameters, and of what is not known here: exports by name, attributes
    as `LogicalId.Attribute`, dynamic references as `resolve:…`. `name` stands for the stack's, with which the names
    of resources begin that declare none; the default is the folder's, or what CDK calls the stack. Raises
    ProjectError, with the line.
    """
    root = load(path)
    folder = path.absolute().parent
    stack = Stack(account=account, region=region, name=stack_name(name or _default_name(path.absolute())))
    parts = read_parts(root, folder, stack, parameters or {})
    unused = parts.scope.unused
    if unused:
        declared = root.get("Parameters")
        checked(unused[0], Place(str(path)), list(declared.mapping if declared else ()))
    return parts.project(files=(path,))


def read_parts(
    root: Node, folder: Path, stack: Stack, given: Mapping[str, str], others: Mapping[str, Identity] | None = None
) -> Parts:
    """Read a template's tree. Paths are relative to `folder`; `others` are resources declared outside of the tree.

    Raises ProjectError.
    """
    if root.value is None:
        raise ProjectError(root.place, "the template is empty")
    for name, section in root.mapping.items():
        checked(name, section.place, _SECTIONS)
    is_sam = _check_transforms(root)
    scope = Scope(root, stack, given, {**_sam_identities(root, stack), **(others or {})})
    parts = Parts(scope=scope, folder=folder)
    for name in ("Rules", "Hooks"):
        unread = root.get(name)
        if unread is not None:
            parts.skip(name, unread.place, f"{name} are CloudFormation's own checks of a deployment")
    if is_sam:
        check_globals(root)
        _note_implicit_apis(parts, root)
    if not scope.resources:
        raise ProjectError(root.place, "the template has no Resources")
    for is_late in (False, True):
        for logical_id, resource in scope.resources.items():
            if (_type(logical_id, resource) == _LATE) == is_late:
                _read(parts, root, logical_id, resource, is_sam=is_sam)
    _drop_orphans(parts)
    return parts


def _default_name(path: Path) -> str:
    """Return what a stack is called: like its folder, not like one that a tool has built the template into."""
    folder = path.parent
    if folder.name == "cdk.out":
        return path.name.partition(".")[0]
    return folder.parents[1].name if folder.parts[-2:] == (".aws-sam", "build") else folder.name


def _read(parts: Parts, root: Node, logical_id: str, resource: Node, *, is_sam: bool) -> None:
    """Read one resource, unless its condition says that there is none."""
    for name, attribute in resource.mapping.items():
        checked(name, attribute.place, _ATTRIBUTES)
    kind = _type(logical_id, resource)
    if not parts.scope.is_present(logical_id):
        return
    if kind.startswith(SERVERLESS) and not is_sam:
        raise ProjectError(resource.place, f"{kind} needs the template's Transform: {_SAM}")
    connectors = resource.get("Connectors")
    if connectors is not None:
        parts.skip(f"Connectors of {logical_id}", connectors.place, NO_IAM)
    reader = READERS.get(kind)
    if reader is None:
        why = why_not_applied(kind, resource.mapping["Type"].place)
        parts.skip(f"{logical_id} ({kind})", resource.place, why)
        return
    properties = with_globals(root, kind.removeprefix(SERVERLESS), resource) if is_sam else resource.get("Properties")
    reader(logical_id, Properties.of(parts, logical_id, properties, resource.place, resource.get("Metadata")))


def _type(logical_id: str, resource: Node) -> str:
    if logical_id.startswith("Fn::"):
        raise ProjectError(resource.place, f"{logical_id.rpartition('::')[0]} is not served")
    kind = resource.get("Type")
    if kind is None:
        raise ProjectError(resource.place, f"the resource {logical_id} has no Type")
    return kind.text


def _check_transforms(root: Node) -> bool:
    """Say whether the template is SAM's. Raises ProjectError for transforms that are not known here."""
    node = root.get("Transform")
    if node is None:
        return False
    named = [node] if isinstance(node.value, str) else node.items
    for transform in named:
        if transform.text not in _TRANSFORMS:
            raise ProjectError(transform.place, f"the transform {transform.text} is not known here")
    return any(transform.text == _SAM for transform in named)


def _sam_identities(root: Node, stack: Stack) -> dict[str, Identity]:
    """Return what SAM makes beside what is declared, as far as templates refer to it: roles and APIs."""
    declared = root.get("Resources")
    resources = {} if declared is None else declared.mapping
    found = {name: Identity(DEFAULT_API, DEFAULT_API) for name in ("ServerlessHttpApi", "ServerlessRestApi")}
    for logical_id, resource in resources.items():
        kind = resource.get("Type") if isinstance(resource.value, Mapping) else None
        if kind is not None and kind.value == f"{SERVERLESS}Function":
            found[f"{logical_id}Role"] = role_identity(stack.physical_name(f"{logical_id}Role"), stack)
    return {name: identity for name, identity in found.items() if name not in resources}


def _note_implicit_apis(parts: Parts, root: Node) -> None:
    """Note what Globals say of APIs that no resource of the template declares."""
    section = root.get("Globals")
    kinds = {_type(logical_id, resource) for logical_id, resource in parts.scope.resources.items()}
    for name in ("Api", "HttpApi"):
        shared = None if section is None else section.get(name)
        if shared is not None and f"{SERVERLESS}{name}" not in kinds:
            note_implicit_api(parts, name, shared)


def _drop_orphans(parts: Parts) -> None:
    """Take out the mappings of functions that are declared and not served, and note that."""
    for name, mapping in list(parts.mappings.items()):
        function = mapping.members["FunctionName"]
        if function in parts.absent:
            del parts.mappings[name]
            parts.skip(f"the mapping {name}", mapping.place, f"the function {function} is not applied")
