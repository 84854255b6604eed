"""What a template's expressions stand for: parameters, mappings, conditions, resources, and the functions of them.

Everything is resolved when it is asked for: what nobody reads may stand for what nobody here can know. What only AWS
could tell raises `Unknown`, unless it is given: any reference that is not known here (`Table.StreamArn`, the name of an
export) may be given a value as if it were a parameter.
Source: CloudFormation's intrinsic function reference.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence

from eventrouter.project.cfn_members import hint
from eventrouter.project.cfn_names import Identity, Stack, identity, name_property
from eventrouter.project.cfn_parameters import Unknown, parameter_values
from eventrouter.project.model import Place, ProjectError
from eventrouter.project.yaml_lines import Node

_VARIABLE = re.compile(r"\$\{(!?)([^{}]*)\}")
_DYNAMIC = re.compile(r"\{\{(resolve:[^{}]+)\}\}")
_GENERATED = (".Alias", ".Version")
"""What SAM makes of a function and `Ref` may name. Source: SAM's specification (AutoPublishAlias)."""
MAX_WORK = 500_000
"""The most values that expressions may resolve: a template of the largest size needs a tenth of them."""
_CHARACTERS = 100
"""How much of a text counts like one value more."""


class Scope:
    """A template's names. `others` are resources of the same stack that are declared outside of its `Resources`."""

    def __init__(
        self, root: Node, stack: Stack, given: Mapping[str, str], others: Mapping[str, Identity] | None = None
    ) -> None:
        """Raises ProjectError for parameters without a value, or with one that is not allowed."""
        self.stack = stack
        self.resources = _section(root, "Resources")
        self._given = given
        self._used: set[str] = set()
        self._parameters = parameter_values(root.get("Parameters"), given)
        self._mappings = _section(root, "Mappings")
        self._conditions = _section(root, "Conditions")
        self._identities = dict(others or {})
        self._open: list[str] = []
        self._held: dict[str, bool] = {}
        self._work = 0
        self._functions: Mapping[str, Callable[[Node], Node | None]] = {
            "Ref": self._ref,
            "Fn::Base64": self._base64,
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": self._zones,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::ImportValue": self._import,
            "Fn::Join": self._join,
            "Fn::Length": self._length,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::Sub": self._sub,
            "Fn::ToJsonString": self._to_json,
        }

    @property
    def unused(self) -> list[str]:
        """Return what was given and is no parameter, nor was asked for by anything that was read so far."""
        return sorted(set(self._given) - set(self._parameters) - self._used)

    def resolve(self, node: Node) -> Node:
        """Return `node` with every expression replaced by its value, removed members left out.

        Raises ProjectError for expressions that stand for nothing, Unknown for what is not known here.
        """
        found = self._resolve(node)
        return Node(None, node.place) if found is None else found

    def outline(self, node: Node) -> Node:
        """Return `node` with the expression that it is itself replaced by its value, those inside of it left alone."""
        called = self._called(node) if isinstance(node.value, Mapping) else None
        if called is None:
            return node
        if called[0] == self._if:
            chosen = self._chosen(called[1])
            return self.outline(Node(chosen.value, node.place))
        return self.resolve(node)

    def text(self, node: Node) -> str:
        """Return the text that `node` stands for. Raises ProjectError."""
        return self.resolve(node).text

    def holds(self, name: str, place: Place) -> bool:
        """Say whether the named condition holds. Raises ProjectError if there is none such, or it needs itself."""
        if name not in self._conditions:
            raise ProjectError(place, f"there is no condition {name}{hint(name, self._conditions)}")
        if name not in self._held:
            with _Opening(self._open, f"the condition {name}", place):
                self._held[name] = self._decide(self._conditions[name])
        return self._held[name]

    def is_present(self, logical_id: str) -> bool:
        """Say whether a resource is created: whether it has no condition, or one that holds."""
        condition = self.resources[logical_id].get("Condition")
        return condition is None or self.holds(condition.text, condition.place)

    def identity(self, logical_id: str, place: Place) -> Identity:
        """Return what a resource is called. Raises ProjectError if there is none such, or it is not created."""
        known = self._identities.get(logical_id)
        if known is not None:
            return known
        resource = self.resources.get(logical_id)
        if resource is None:
            names = [*self.resources, *self._parameters, *self._identities]
            raise ProjectError(place, f"there is no resource or parameter {logical_id}{hint(logical_id, names)}")
        if not self.is_present(logical_id):
            raise ProjectError(place, f"{logical_id} is not created: its condition does not hold")
        kind = resource.get("Type")
        if kind is None:
            raise ProjectError(resource.place, f"the resource {logical_id} has no Type")
        with _Opening(self._open, f"the name of {logical_id}", place):
            known = identity(
                kind.text,
                logical_id,
                self._property_text(resource, name_property(kind.text)),
                self.stack,
                is_fifo=self._property_text(resource, "FifoQueue") == "true",
            )
        self._identities[logical_id] = known
        return known

    def _property_text(self, resource: Node, name: str | None) -> str | None:
        properties = resource.get("Properties")
        node = None if properties is None or name is None else properties.get(name)
        value = None if node is None else self.resolve(node)
        return None if value is None or value.value is None else value.text

    def _resolve(self, node: Node) -> Node | None:
        """Return the value of `node`, None if it is to be left out (AWS::NoValue)."""
        self._count(1, node.place)
        value = node.value
        if isinstance(value, str):
            return self._with_dynamic_references(node, value)
        if isinstance(value, Sequence):
            resolved = [self._resolve(item) for item in node.items]
            return Node([item for item in resolved if item is not None], node.place)
        if not isinstance(value, Mapping):
            return node
        called = self._called(node)
        if called is not None:
            return called[0](called[1])
        found: dict[str, Node] = {}
        for key, child in value.items():
            if child.value is None:
                raise ProjectError(child.place, f"{key} has no value")
            kept = self._resolve(child)
            if kept is not None:
                found[key] = Node(kept.value, child.place)
        return Node(found, node.place)

    def _called(self, node: Node) -> tuple[Callable[[Node], Node | None], Node] | None:
        """Return the function that a mapping of one member calls, and its argument; None if it calls none."""
        members = node.mapping
        name = next(filter(_is_function, members), None)
        if name is None:
            return None
        if len(members) > 1:
            raise ProjectError(node.place, f"{name} stands beside other members: {', '.join(members)}")
        function = self._functions.get(name)
        if function is None:
            raise ProjectError(node.place, f"{name} is not served{hint(name, self._functions)}")
        return function, Node(members[name].value, node.place)

    def _with_dynamic_references(self, node: Node, text: str) -> Node:
        """Return text with `{{resolve:…}}` replaced by what is given for it."""
        if "{{resolve:" in text:
            text = _DYNAMIC.sub(lambda found: self._from_given(found[1], found[0], node.place), text)
        return self._text(text, node.place)

    def _count(self, work: int, place: Place) -> None:
        """Count what is resolved and the length of what is made: expressions in expressions can multiply both."""
        self._work += work
        if self._work > MAX_WORK:
            raise ProjectError(place, "the expressions up to here make too much: they stand for one another many times")

    def _text(self, text: str, place: Place) -> Node:
        """Return a text that an expression makes."""
        self._count(len(text) // _CHARACTERS, place)
        return Node(text, place)

    def _from_given(self, name: str, what: str, place: Place) -> str:
        if name not in self._given:
            raise Unknown(place, what, name)
        self._used.add(name)
        return self._given[name]

    def _ref(self, node: Node) -> Node | None:
        name = node.text
        if name.startswith("AWS::"):
            return self._pseudo(name, node.place)
        if name in self._parameters:
            value = self._parameters[name].value
            if value is None:
                raise Unknown(node.place, f"the stored value of {name}", name)
            return Node(value, node.place)
        if name.endswith(_GENERATED):
            logical_id, _, attribute = name.partition(".")
            return Node(self._attribute(logical_id, attribute, node.place), node.place)
        ref = self.identity(name, node.place).ref
        return Node(self._from_given(name, f"what AWS calls {name}", node.place) if ref is None else ref, node.place)

    def _pseudo(self, name: str, place: Place) -> Node | None:
        if name == "AWS::NoValue":
            return None
        if name == "AWS::NotificationARNs":
            return Node([], place)
        stack = self.stack
        values = {
            "AWS::AccountId": stack.account,
            "AWS::Partition": "aws",
            "AWS::Region": stack.region,
            "AWS::StackId": stack.arn("cloudformation", f"stack/{stack.name}/00000000-0000-0000-0000-000000000000"),
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name not in values:
            raise ProjectError(place, f"there is no pseudo parameter {name}{hint(name, values)}")
        return Node(values[name], place)

    def _get_att(self, node: Node) -> Node:
        if isinstance(node.value, str):
            logical_id, _, attribute = node.value.partition(".")
        else:
            logical_id, attribute = [self.text(item) for item in _arguments(node, "Fn::GetAtt", 2)]
        return Node(self._attribute(logical_id, attribute, node.place), node.place)

    def _attribute(self, logical_id: str, attribute: str, place: Place) -> str:
        name = f"{logical_id}.{attribute}"
        if name in self._given:
            return self._from_given(name, name, place)
        attributes = self.identity(logical_id, place).attributes
        if attribute not in attributes:
            raise Unknown(place, name, name)
        return attributes[attribute]

    def _sub(self, node: Node) -> Node:
        variables: Mapping[str, Node] = {}
        template = node
        if not isinstance(node.value, str):
            template, names = _arguments(node, "Fn::Sub", 2)
            variables = names.mapping

        def replaced(found: re.Match[str]) -> str:
            literal, name = found[1], found[2].strip()
            if literal:
                return f"${{{name}}}"
            if name in variables:
                return self.text(Node(variables[name].value, node.place))
            if "." in name:
                logical_id, _, attribute = name.partition(".")
                return self._attribute(logical_id, attribute, node.place)
            value = self._ref(Node(name, node.place))
            if value is None:
                raise ProjectError(node.place, f"${{{name}}} stands for no text")
            return value.text

        return self._with_dynamic_references(node, _VARIABLE.sub(replaced, template.text))

    def _join(self, node: Node) -> Node:
        separator, items = _arguments(node, "Fn::Join", 2)
        return self._text(self.text(separator).join(item.text for item in self.resolve(items).items), node.place)

    def _split(self, node: Node) -> Node:
        separator, text = _arguments(node, "Fn::Split", 2)
        if not self.text(separator):
            raise ProjectError(node.place, "Fn::Split needs a separator")
        pieces = self.text(text).split(self.text(separator))
        self._count(len(pieces), node.place)
        return Node([Node(piece, node.place) for piece in pieces], node.place)

    def _select(self, node: Node) -> Node:
        index, items = _arguments(node, "Fn::Select", 2)
        found, at = self.resolve(items).items, self.text(index)
        if not at.isdecimal() or int(at) >= len(found):
            raise ProjectError(node.place, f"Fn::Select takes item {at} of {len(found)}; the first is item 0")
        return Node(found[int(at)].value, node.place)

    def _find_in_map(self, node: Node) -> Node | None:
        arguments = node.items
        if len(arguments) == 4:
            *arguments, otherwise = arguments
            default = otherwise.get("DefaultValue")
        else:
            arguments, default = _arguments(node, "Fn::FindInMap", 3), None
        found = Node(self._mappings, node.place)
        for argument in arguments:
            key = self.text(argument)
            inner = found.mapping.get(key)
            if inner is None:
                if default is not None:
                    return self._resolve(default)
                raise ProjectError(node.place, f"Fn::FindInMap finds no {key}{hint(key, found.mapping)}")
            found = inner
        return Node(found.value, node.place)

    def _import(self, node: Node) -> Node:
        name = self.text(node)
        return Node(self._from_given(name, f"the export {name}", node.place), node.place)

    def _base64(self, node: Node) -> Node:
        return self._text(base64.b64encode(self.text(node).encode()).decode(), node.place)

    def _zones(self, node: Node) -> Node:
        region = self.text(node) or self.stack.region
        return Node([Node(f"{region}{zone}", node.place) for zone in "abc"], node.place)

    def _length(self, node: Node) -> Node:
        return Node(len(self.resolve(node).items), node.place)

    def _to_json(self, node: Node) -> Node:
        return self._text(json.dumps(self.resolve(node).plain, separators=(",", ":")), node.place)

    def _if(self, node: Node) -> Node | None:
        return self._resolve(self._chosen(node))

    def _chosen(self, node: Node) -> Node:
        condition, yes, no = _arguments(node, "Fn::If", 3)
        return yes if self.holds(condition.text, node.place) else no

    def _decide(self, node: Node) -> bool:
        """Return what a condition's expression says."""
        members = node.mapping
        if len(members) != 1:
            raise ProjectError(node.place, "a condition is one of Fn::Equals, Fn::And, Fn::Or, Fn::Not, Condition")
        ((name, argument),) = members.items()
        argument = Node(argument.value, node.place)
        match name:
            case "Condition":
                return self.holds(argument.text, node.place)
            case "Fn::Equals":
                left, right = [self.resolve(side) for side in _arguments(argument, name, 2)]
                return _comparable(left) == _comparable(right)
            case "Fn::Not":
                (inner,) = _arguments(argument, name, 1)
                return not self._decide(inner)
            case "Fn::And":
                return False not in [self._decide(inner) for inner in argument.items]
            case "Fn::Or":
                return True in [self._decide(inner) for inner in argument.items]
            case _:
                raise ProjectError(node.place, f"{name} is no function of conditions")


class _Opening:
    """Marks a name as being looked up, so that a name that needs itself is found out."""

    def __init__(self, stack: list[str], name: str, place: Place) -> None:
        self._stack, self._name, self._place = stack, name, place

    def __enter__(self) -> None:
        if self._name in self._stack:
            path = [*self._stack[self._stack.index(self._name) :], self._name]
            raise ProjectError(self._place, f"goes round in a circle: {' needs '.join(path)}")
        self._stack.append(self._name)

    def __exit__(self, *_: object) -> None:
        self._stack.remove(self._name)


def _section(root: Node, name: str) -> Mapping[str, Node]:
    section = root.get(name)
    return {} if section is None else section.mapping


def _arguments(node: Node, name: str, count: int) -> Sequence[Node]:
    if len(node.items) != count:
        raise ProjectError(node.place, f"{name} takes {count} arguments, not {len(node.items)}")
    return [Node(item.value, node.place) for item in node.items]


def _comparable(node: Node) -> object:
    """Return a value as conditions compare it: scalars as text."""
    return node.text if isinstance(node.value, str | int | float) else node.plain


def is_expression(node: Node) -> bool:
    """Say whether a value is an expression, whose value has yet to be found."""
    members = node.value
    return isinstance(members, Mapping) and len(members) == 1 and all(map(_is_function, members))


def _is_function(name: str) -> bool:
    return name == "Ref" or name.startswith("Fn::")
