"""Apply or refuse: what becomes of every input member of every operation that is served.

Each member is *applied* (a test shows it), *not applicable here* (accepted, echoed, and reported as not applied),
or *refused*. Paths are dotted: `Code.ZipFile`, `Environment.Variables`, `Layers` (elements of lists and maps that
are not structures belong to their list or map), `Entries[].Id` for structures in lists, `Attributes{}.Value` for
structures in maps. `api.applied` makes the README's table of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from eventrouter.api.protocol.models import Kind, Shape, service_model
from eventrouter.ports import ServiceApi


@dataclass(frozen=True, slots=True)
class Applied:
    """The member does what AWS says. `test` is the id of a test that shows it: `tests/api/test_x.py::test_y`."""

    test: str


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The member is accepted and echoed; ignoring it cannot change what the user's code does."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that sets the member is refused with a clear error; `message` is AWS's own text where it has one."""

    why: str
    message: str | None = None


Entry = Applied | NotApplicable | Refused
Members = Mapping[str, Mapping[str, Entry]]
"""Operation to (member path to its entry)."""


def input_members(service: str, operation: str) -> tuple[str, ...]:
    """Return the path of every input member of an operation, nested ones included, in the model's order.

    A structure that contains itself is entered once.
    """
    shape = service_model(service).operation(operation).input
    return () if shape is None else tuple(_paths(shape, "", ()))


def _paths(shape: Shape, prefix: str, seen: tuple[str, ...]) -> Iterator[str]:
    for name, member in shape.members.items():
        path = f"{prefix}{name}"
        inner, suffix = member.shape, "."
        while inner.kind in (Kind.LIST, Kind.MAP):
            suffix = ("[]" if inner.kind is Kind.LIST else "{}") + suffix
            element = inner.item if inner.kind is Kind.LIST else inner.value
            if element is None:
                break
            inner = element
        if inner.kind is Kind.STRUCTURE and inner.members and inner.name not in seen:
            yield from _paths(inner, f"{path}{suffix}", (*seen, inner.name))
        else:
            yield path


def differences(api: ServiceApi) -> list[str]:
    """List, in words, where an API's registry and the model's input members disagree; empty when they agree."""
    found = [f"{api.service}.{name} is served, not registered" for name in api.operations if name not in api.members]
    for operation, registered in api.members.items():
        wanted = input_members(api.service, operation)
        found += [f"{api.service}.{operation}: {path} is not registered" for path in wanted if path not in registered]
        found += [f"{api.service}.{operation}: {path} is no input member" for path in registered if path not in wanted]
    return found


def applied_tests(api: ServiceApi) -> frozenset[str]:
    """Return the ids of all tests that an API's entries name."""
    return frozenset(
        entry.test for members in api.members.values() for entry in members.values() if isinstance(entry, Applied)
    )
