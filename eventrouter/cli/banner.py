"""What a node prints when it is ready: what runs, what was not applied, and where to look."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventrouter import __version__
from eventrouter.rules.mapping import EventSourceMapping, MappingState
from eventrouter.rules.stream import StreamName

if TYPE_CHECKING:
    from eventrouter.node import Node
    from eventrouter.project.model import Project

_USUAL_PORT = 4566
"""Where every command looks for a node unless it is told otherwise."""
_SHOWN = 5
"""Functions, or mappings, named before the rest is only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """The facts of a node that has just started.

    `functions` are (name, runtime, handler), `mappings` are (source, function) as people write them: event source
    mappings, and the project's schedules and routes.
    """

    project: str | None

    url: str
    server: str
    ready_ms: float
    functions: tuple[tuple[str, str, str], ...]
    mappings: tuple[tuple[str, str], ...]
    not_applied: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, node: Node, *, ready_ms: float, project: Project | None, notes: tuple[str, ...]) -> Banner:
        """Gather the facts from a running node, and from the project that it was given."""
        found = sorted(node.store.functions.all(), key=lambda function: function.name)
        feeds = sorted(node.store.mappings.catalogue.all(), key=lambda mapping: (mapping.source_arn, mapping.function))
        return cls(
            project=None if project is None else project.name,
            url=node.url,
            server=node.server,
            ready_ms=ready_ms,
            notes=notes,
            functions=tuple((function.name.name, function.runtime, function.handler) for function in found),
            mappings=(
                *((_source(node, mapping), _target(mapping)) for mapping in feeds),
                *(() if project is None else _declared(project)),
            ),
            not_applied=(
                *node.runtime.not_applied,
                *(f"{note} on `{function.name.name}`" for function in found for note in node.not_applied(function)),
                *(
                    f"mapping {mapping.uuid}: no adapter here reads {mapping.service} streams"
                    for mapping in feeds
                    if mapping.service not in (node.queues if mapping.is_queue else node.sources)
                ),
                *(
                    f"{item.what} ({item.place}: {item.why})"
                    for item in (() if project is None else project.not_applied)
                ),
            ),
        )

    def as_json(self) -> str:
        """Return the facts as one line of JSON."""
        return json.dumps(
            {
                "version": __version__,
                "url": self.url,
                "server": self.server,
                "ready_ms": round(self.ready_ms),
                "project": self.project,
                "functions": [name for name, _, _ in self.functions],
                "mappings": [f"{source} -> {function}" for source, function in self.mappings],
                "not_applied": self.not_applied,
                "notes": self.notes,
            }
        )

    def as_text(self) -> str:
        """Return the facts as lines for people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"eventrouter {__version__}  ready in {self.ready_ms:.0f} ms   {self.server}   {self.url}"
        if self.project is not None:
            yield f"  project     {self.project}"
        yield _listed("functions", [f"{name} ({runtime}, {handler})" for name, runtime, handler in self.functions])
        yield _listed("mappings", [f"{source} -> {function}" for source, function in self.mappings])
        yield f"  not applied {len(self.not_applied)}   {'; '.join(self.not_applied)}".rstrip()
        yield f"  health      {self.url}/healthz  /readyz     metrics /metrics"
        example = self.functions[0][0] if self.functions else "NAME"
        if not self.url.endswith(f":{_USUAL_PORT}"):
            yield f'  next        eval "$(eventrouter env --url {self.url})"'
        yield f"  next        eventrouter invoke {example} -p '{{\"id\":1}}'   |   eventrouter logs {example} -f"
        for note in self.notes:
            yield f"  note        {note}"


def _listed(title: str, items: Sequence[str]) -> str:
    """Return one line that counts `items` and names the first of them."""
    more = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return f"  {title:11} {len(items)}   {'  '.join([*items[:_SHOWN], *more])}".rstrip()


def _source(node: Node, mapping: EventSourceMapping) -> str:
    """Name what a mapping reads as people do: the stream with its open shards, the table, or the queue."""
    _, _, service, region, account, resource = mapping.source_arn.split(":", 5)
    if mapping.is_queue:
        return f"{service} {resource}"
    name = resource.split("/")[1]
    stream = node.store.streams.catalogue.get(StreamName(account=account, region=region, name=name).key)
    if service != "kinesis" or stream is None:
        return f"{service} {name}"
    count = len(stream.open_shards)
    return f"{name}[{count} shard{'' if count == 1 else 's'}]"


def _declared(project: Project) -> Iterator[tuple[str, str]]:
    """Yield what invokes functions besides event source mappings: schedules and routes."""
    for schedule in project.schedules:
        for target in schedule.targets:
            yield str(schedule.members["ScheduleExpression"]), str(target["Arn"]).rpartition(":")[2]
    for route in project.routes:
        yield route.route_key, route.function.rpartition(":")[2]


def _target(mapping: EventSourceMapping) -> str:
    """Name the function that a mapping feeds, and the mapping's state if it does not."""
    state = "" if mapping.state is MappingState.ENABLED else f" ({mapping.state})"
    return f"{mapping.function.name}{state}"
