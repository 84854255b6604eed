"""What a template has declared so far, and how its properties are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventrouter.api.protocol.models import Shape
from eventrouter.project.cfn_members import checked, read
from eventrouter.project.cfn_parameters import Unknown
from eventrouter.project.cfn_scope import Scope
from eventrouter.project.model import (
    FunctionResource,
    MappingResource,
    NotApplied,
    Place,
    Project,
    ProjectError,
    QueueResource,
    RouteResource,
    ScheduleResource,
    StreamResource,
)
from eventrouter.project.yaml_lines import Node


@dataclass(slots=True)
class Parts:
    """The resources of a template, as they are found. `folder` is the template's."""

    scope: Scope
    folder: Path
    functions: dict[str, FunctionResource] = field(default_factory=dict)
    queues: dict[str, QueueResource] = field(default_factory=dict)
    streams: dict[str, StreamResource] = field(default_factory=dict)
    mappings: dict[str, MappingResource] = field(default_factory=dict)
    schedules: dict[str, ScheduleResource] = field(default_factory=dict)
    routes: dict[str, RouteResource] = field(default_factory=dict)
    not_applied: list[NotApplied] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    """Names of functions that are declared and not served."""

    def add(self, resource: Any, into: dict[str, Any]) -> None:
        """Add a resource to those of its kind. Raises ProjectError if there is one of that name."""
        before = into.get(resource.name)
        if before is not None:
            raise ProjectError(resource.place, f"{resource.name} is declared twice; first at {before.place}")
        into[resource.name] = resource

    def project(self, files: tuple[Path, ...]) -> Project:
        """Return what was found. What is noted several times, as what functions share may be, is listed once."""
        stack = self.scope.stack
        return Project(
            name=stack.name,
            account=stack.account,
            region=stack.region,
            functions=tuple(self.functions.values()),
            queues=tuple(self.queues.values()),
            streams=tuple(self.streams.values()),
            mappings=tuple(self.mappings.values()),
            schedules=tuple(self.schedules.values()),
            routes=tuple(self.routes.values()),
            not_applied=tuple(sorted(dict.fromkeys(self.not_applied), key=_listed)),
            files=files,
        )

    def skip(self, what: str, place: Place, why: str) -> None:
        """Note something as not applied."""
        self.not_applied.append(NotApplied(what=what, place=place, why=why))


def _listed(entry: NotApplied) -> tuple[str, int]:
    return entry.place.file, entry.place.line


class Properties:
    """One resource's properties, resolved when they are asked for; what nobody asked for is refused at the end.

    `owner` is what not-applied properties are listed with; `metadata` is what the resource notes about itself.
    """

    def __init__(
        self, parts: Parts, owner: str, members: Mapping[str, Node], place: Place, metadata: Node | None = None
    ) -> None:
        self.parts = parts
        self.owner = owner
        self.place = place
        self.metadata = metadata
        self._members = dict(members)
        self._known: set[str] = set()

    @classmethod
    def of(cls, parts: Parts, owner: str, node: Node | None, place: Place, metadata: Node | None = None) -> Properties:
        """Return the properties in `node`, none if it is None."""
        members = {} if node is None or node.value is None else parts.scope.outline(node).mapping
        return cls(parts, owner, members, place, metadata)

    def take(self, name: str) -> Node | None:
        """Return a property's value, resolved; None if it is absent."""
        node = self._take(name)
        value = None if node is None else self.parts.scope.resolve(node)
        return None if value is None or value.value is None else value

    def outline(self, name: str) -> Node | None:
        """Return a property with the expressions inside of it unresolved; None if it is absent."""
        node = self._take(name)
        value = None if node is None else self.parts.scope.outline(node)
        return None if value is None or value.value is None else value

    def need(self, name: str) -> Node:
        """Return a property that must be there. Raises ProjectError."""
        value = self.take(name)
        if value is None:
            raise ProjectError(self.place, f"{self.owner} has no {name}")
        return value

    def members(self, names: Collection[str], shape: Shape) -> dict[str, Any]:
        """Return the given properties that are there as members of `shape`."""
        values = {name: self.take(name) for name in names}
        return {name: read(node, shape.members[name].shape) for name, node in values.items() if node is not None}

    def put(self, name: str, node: Node) -> None:
        """Set a property: what is declared in other words elsewhere."""
        self._members[name] = node

    def skip(self, reasons: Mapping[str, str]) -> None:
        """Note the given properties, if they are there, as not applied: name to reason."""
        for name, why in reasons.items():
            node = self._take(name)
            if node is not None:
                self.parts.skip(f"{name} of {self.owner}", node.place, why)

    def finish(self) -> None:
        """Raise ProjectError if there is a property that nobody asked for."""
        for name, node in self._members.items():
            checked(name, node.place, self._known)

    def _take(self, name: str) -> Node | None:
        self._known.add(name)
        node = self._members.get(name)
        return None if node is None or node.value is None else node


def each_known(parts: Parts, what: str, node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the members of a mapping, resolved one by one; what is not known here is noted as not applied instead."""
    for name, child in parts.scope.outline(node).mapping.items():
        try:
            value = parts.scope.resolve(child)
        except Unknown as error:
            parts.skip(f"{name} of {what}", child.place, error.message)
            continue
        if value.value is not None:
            yield name, value
