"""Projects as JSON: between the process that imports an app and the one that deploys it, and for `plan --json`."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Any

from eventrouter.project.model import (
    FunctionResource,
    MappingResource,
    NotApplied,
    Place,
    Project,
    QueueResource,
    RouteResource,
    ScheduleResource,
    StreamResource,
)

_KINDS: dict[str, type[Any]] = {
    "functions": FunctionResource,
    "queues": QueueResource,
    "streams": StreamResource,
    "mappings": MappingResource,
    "schedules": ScheduleResource,
    "routes": RouteResource,
    "not_applied": NotApplied,
}
_TIME = "$time"


def to_document(project: Project) -> dict[str, Any]:
    """Return a project as JSON can hold it."""
    document: dict[str, Any] = _plain(project)
    return document


def from_document(document: dict[str, Any]) -> Project:
    """Return the project that `to_document` was given."""
    fields: dict[str, Any] = {
        kind: tuple(_resource(made, entry) for entry in document[kind]) for kind, made in _KINDS.items()
    }
    return Project(
        name=document["name"],
        account=document["account"],
        region=document["region"],
        files=tuple(map(Path, document["files"])),
        **fields,
    )


def _resource(made: type[Any], entry: dict[str, Any]) -> Any:
    fields = {name: _timed(value) for name, value in entry.items()}
    fields["place"] = Place(**fields["place"])
    if "code" in fields:
        fields["code"] = Path(fields["code"])
    if "targets" in fields:
        fields["targets"] = tuple(fields["targets"])
    return made(**fields)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return {_TIME: value.isoformat()}
    return str(value) if isinstance(value, Path) else value


def _timed(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_TIME}:
            return datetime.fromisoformat(value[_TIME])
        return {key: _timed(item) for key, item in value.items()}
    return [_timed(item) for item in value] if isinstance(value, list) else value
