"""The functions of a serverless.yml, as the resources of CloudFormation that the framework makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eventrouter.project import serverless_keys as keys
from eventrouter.project.cfn_functions import read_function
from eventrouter.project.cfn_mappings import read_event_invoke
from eventrouter.project.cfn_members import checked
from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.cfn_routes import payload_format
from eventrouter.project.model import Place, ProjectError
from eventrouter.project.serverless_events import Owner, read_events
from eventrouter.project.yaml_lines import Node

MEMORY_MB = 1024
TIMEOUT_S = 6
"""The framework's own defaults, which are not AWS's."""

_SAME = ("description", "handler")
_LOGGING = {
    "applicationLogLevel": "ApplicationLogLevel",
    "logFormat": "LogFormat",
    "logGroup": "LogGroup",
    "systemLogLevel": "SystemLogLevel",
}
_READ = frozenset(
    {
        *_SAME,
        *("condition", "destinations", "environment", "events", "httpApi", "image", "logs", "maximumEventAge"),
        *("maximumRetryAttempts", "memorySize", "name", "onError", "package", "reservedConcurrency", "runtime"),
        *("tags", "timeout"),
    }
)
_KNOWN = frozenset({*_READ, *keys.FUNCTION, *keys.FUNCTION_OWN})


def logical_id(key: str) -> str:
    """Return the name that the framework gives a function in its template."""
    plain = key.replace("-", "Dash").replace("_", "Underscore")
    return f"{plain[:1].upper()}{plain[1:]}LambdaFunction"


def function_name(service: str, stage: str, key: str, function: Node) -> str:
    """Return what a function is called."""
    name = function.get("name")
    return name.text if name else f"{service}-{stage}-{key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What all functions of a file share: the provider, the package, and what the functions are called."""

    provider: Mapping[str, Node]
    package: Mapping[str, Node]
    functions: Mapping[str, str]
    """Each function's name, by its key."""
    has_plugins: bool


def read_functions(parts: Parts, service: Service, functions: Mapping[str, Node]) -> None:
    """Add every function with its events. Raises ProjectError."""
    for key, node in functions.items():
        _Function(parts, service, key, node).read()


class _Function:
    def __init__(self, parts: Parts, service: Service, key: str, node: Node) -> None:
        self._parts = parts
        self._service = service
        self._key = key
        self._members = {name: child for name, child in node.mapping.items() if child.value is not None}
        self._place = node.place
        self._what = f"the function {key}"

    def read(self) -> None:
        parts, members = self._parts, self._members
        keys.check(parts, self._what, members, _KNOWN, has_plugins=self._service.has_plugins)
        condition = members.get("condition")
        if condition is not None and not parts.scope.holds(condition.text, condition.place):
            return
        if "image" in members:
            parts.skip(self._what, self._place, "functions made of images are not served")
            parts.absent.add(self._service.functions[self._key])
            return
        keys.skip(parts, self._what, members, keys.FUNCTION)
        read_function(logical_id(self._key), self._properties(self._function()))
        self._read_event_invoke()
        owner = Owner(
            key=self._key,
            logical_id=logical_id(self._key),
            name=self._service.functions[self._key],
            payload_format=self._payload_format(),
            has_plugins=self._service.has_plugins,
        )
        events = members.get("events")
        read_events(parts, owner, events.items if events else ())

    def _properties(self, properties: Mapping[str, Node]) -> Properties:
        return Properties.of(self._parts, self._what, Node(properties, self._place), self._place)

    def _either(self, name: str) -> Node | None:
        """Return the function's own setting, or the provider's for all."""
        return self._members.get(name) or self._service.provider.get(name)

    def _function(self) -> dict[str, Node]:
        """Return the properties of AWS::Lambda::Function."""
        if "handler" not in self._members:
            raise ProjectError(self._place, f"{self._what} has no handler")
        runtime = self._either("runtime")
        if runtime is None:
            raise ProjectError(self._place, f"{self._what} has no runtime, and the provider has none either")
        made = {
            "FunctionName": Node(self._service.functions[self._key], self._place),
            "Runtime": runtime,
            "Timeout": self._either("timeout") or Node(TIMEOUT_S, self._place),
            "MemorySize": self._either("memorySize") or Node(MEMORY_MB, self._place),
            "Code": self._code(),
            "ReservedConcurrentExecutions": self._members.get("reservedConcurrency"),
            "LoggingConfig": self._logging(),
        }
        for name in _SAME:
            made[f"{name[0].upper()}{name[1:]}"] = self._members.get(name)
        environment, tags = self._merged("environment"), self._merged("tags")
        if environment is not None:
            made["Environment"] = Node({"Variables": environment}, environment.place)
        if tags is not None:
            made["Tags"] = tags
        dead_letters = self._members.get("onError")
        if dead_letters is not None:
            made["DeadLetterConfig"] = Node({"TargetArn": dead_letters}, dead_letters.place)
        return {name: node for name, node in made.items() if node is not None}

    def _merged(self, name: str) -> Node | None:
        """Return the provider's members of this name and the function's, which win."""
        common, own = self._service.provider.get(name), self._members.get(name)
        if common is None or own is None:
            return own or common
        return Node({**common.mapping, **own.mapping}, own.place)

    def _logging(self) -> Node | None:
        common, own = self._service.provider.get("logs"), self._members.get("logs")
        of_lambda = common.get("lambda") if common else None
        found = {**(of_lambda.mapping if of_lambda else {}), **(own.mapping if own else {})}
        made = {_LOGGING[checked(name, node.place, _LOGGING)]: node for name, node in found.items()}
        return Node(made, self._place) if made else None

    def _code(self) -> Node:
        """Return the folder of the service, or the archive that it or the function names."""
        own = self._members.get("package")
        package = own.mapping if own else {}
        known = {"artifact", *keys.PACKAGE, *keys.PACKAGE_OWN}
        for name, node in package.items():
            checked(name, node.place, known)
        keys.skip(self._parts, f"package of {self._what}", package, keys.PACKAGE)
        return package.get("artifact") or self._service.package.get("artifact") or Node(".", self._place)

    def _payload_format(self) -> str:
        for holder in (self._members.get("httpApi"), self._service.provider.get("httpApi")):
            declared = holder.get("payload") if holder else None
            if declared is not None:
                return payload_format(declared, "2.0")
        return "2.0"

    def _read_event_invoke(self) -> None:
        destinations = self._members.get("destinations")
        made = {
            "MaximumRetryAttempts": self._members.get("maximumRetryAttempts"),
            "MaximumEventAgeInSeconds": self._members.get("maximumEventAge"),
            "DestinationConfig": self._destinations(destinations) if destinations else None,
        }
        declared = {name: node for name, node in made.items() if node is not None}
        if declared:
            function = Node(self._service.functions[self._key], self._place)
            properties = self._properties({"FunctionName": function, **declared})
            read_event_invoke(self._what, properties)

    def _destinations(self, node: Node) -> Node:
        names = {"onSuccess": "OnSuccess", "onFailure": "OnFailure"}
        made = {}
        for name, target in node.mapping.items():
            member = names[checked(name, target.place, names)]
            made[member] = Node({"Destination": self._destination(target)}, target.place)
        return Node(made, node.place)

    def _destination(self, node: Node) -> Node:
        """Return the ARN of a destination: a function of this file by its key, or an ARN, alone or beside its type."""
        if isinstance(node.value, Mapping):
            return node.get("arn") or node
        if node.text.startswith(("arn:", "{{resolve:")):
            return node
        key = checked(node.text, node.place, self._service.functions)
        return arn_of(logical_id(key), node.place)


def arn_of(function: str, place: Place) -> Node:
    """Return the expression for the ARN of a function, given its name in the template."""
    return Node({"Fn::GetAtt": Node([Node(function, place), Node("Arn", place)], place)}, place)
