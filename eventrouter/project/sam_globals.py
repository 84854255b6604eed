"""SAM's `Globals`: properties for all resources of a type, merged as SAM merges them.

Mappings are merged member by member, lists are joined (those of Globals first), all else is the resource's own; so is
what differs in kind, and what an expression stands for. A resource's `IgnoreGlobals` names what it does not take.
Source: SAM's specification (Globals).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eventrouter.project.cfn_members import checked
from eventrouter.project.cfn_scope import is_expression
from eventrouter.project.model import ProjectError
from eventrouter.project.yaml_lines import Node

_SECTIONS = (
    "Api", "CapacityProvider", "Function", "HttpApi", "LayerVersion", "SimpleTable", "StateMachine", "WebSocketApi",
)  # fmt: skip
_FUNCTION = frozenset({
    "Architectures", "AssumeRolePolicyDocument", "AutoPublishAlias", "AutoPublishAliasAllProperties",
    "CapacityProviderConfig", "CodeSigningConfigArn", "CodeUri", "DeadLetterQueue", "DeploymentPreference",
    "Description", "DurableConfig", "Environment", "EphemeralStorage", "EventInvokeConfig", "FileSystemConfigs",
    "FunctionScalingConfig", "FunctionUrlConfig", "Handler", "KmsKeyArn", "Layers", "LoggingConfig", "MemorySize",
    "PermissionsBoundary", "PropagateTags", "ProvisionedConcurrencyConfig", "PublishToLatestPublished",
    "RecursiveLoop", "ReservedConcurrentExecutions", "RolePath", "Runtime", "RuntimeManagementConfig",
    "SnapStart", "SourceKMSKeyArn", "Tags", "TenancyConfig", "Timeout", "Tracing", "VersionDeletionPolicy",
    "VpcConfig",
})  # fmt: skip
"""What Globals may hold for functions: all but Role, Policies, FunctionName and Events."""

_REPLACED = frozenset({"Architectures"})


def check_globals(root: Node) -> None:
    """Raise ProjectError for sections of Globals, and properties of its functions, that do not exist."""
    section = root.get("Globals")
    for name, properties in {} if section is None else section.mapping.items():
        checked(name, properties.place, _SECTIONS)
        for key, child in properties.mapping.items() if name == "Function" else ():
            checked(key, child.place, _FUNCTION)


def with_globals(root: Node, kind: str, resource: Node) -> Node:
    """Return a resource's properties with those of Globals for its type: `kind` is the type's last word."""
    own = resource.get("Properties") or Node({}, resource.place)
    section = root.get("Globals")
    shared = None if section is None else section.get(kind)
    if shared is None:
        return own
    ignored = resource.get("IgnoreGlobals")
    if ignored is None:
        return _merged(shared, own)
    if ignored.value == "*":
        return own
    if isinstance(ignored.value, str):
        raise ProjectError(ignored.place, 'IgnoreGlobals is "*" or a list of properties')
    names = {checked(item.text, item.place, _FUNCTION) if kind == "Function" else item.text for item in ignored.items}
    kept = {name: node for name, node in shared.mapping.items() if name not in names}
    return _merged(Node(kept, shared.place), own)


def _merged(shared: Node, own: Node, name: str = "") -> Node:
    if name in _REPLACED or own.value is None or is_expression(shared) or is_expression(own):
        return own
    if isinstance(shared.value, Mapping) and isinstance(own.value, Mapping):
        members = dict(shared.value)
        for key, child in own.value.items():
            members[key] = _merged(members[key], child, key) if key in members else child
        return Node(members, own.place)
    if _is_list(shared) and _is_list(own):
        return Node([*shared.items, *own.items], own.place)
    return own


def _is_list(node: Node) -> bool:
    return isinstance(node.value, Sequence) and not isinstance(node.value, str)
