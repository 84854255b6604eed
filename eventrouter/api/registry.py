"""Apply or refuse: what becomes of every input member of every operation that is served.

Each member is *applied* (a test shows it), *not applicable here* (accepted, echoed, and reported as not applied),
or *refused*. Paths are dotted: `Code.ZipFile`, `Environment.Variables`, `Layers` (elements of lists and maps that
are not structures belong to their list or map), `Entries[].Id` for structures in lists, `Attributes{}.Value` for
structures in maps. `python -m eventrouter.api.registry README.md` rewrites the README's table.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eventrouter.api.protocol.models import Kind, Shape, service_model
from eventrouter.ports import ServiceApi

BEGIN = "<!-- applied:begin -->"
END = "<!-- applied:end -->"


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


def applied_table(apis: Iterable[ServiceApi]) -> str:
    """Return the README's table: per operation, what is applied, not applicable and refused."""
    lines = [
        "| Service | Operation | Applied | Accepted, without effect here | Refused |",
        "|---|---|---|---|---|",
    ]
    for api in sorted(apis, key=lambda api: api.service):
        for operation in sorted(api.members):
            cells = [_names(api.members[operation], kind) for kind in (Applied, NotApplicable, Refused)]
            lines.append(f"| {api.service} | {operation} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _names(members: Mapping[str, Entry], kind: type[Entry]) -> str:
    """List the members of one kind; a structure whose members are all of that kind is named as a whole."""
    kinds: dict[str, set[type]] = {}
    for path, entry in members.items():
        kinds.setdefault(_top(path), set()).add(type(entry))
    names = {
        _top(path) if kinds[_top(path)] == {kind} else path: None
        for path, entry in members.items()
        if isinstance(entry, kind)
    }
    return ", ".join(f"`{name}`" for name in names) or "–"


def _top(path: str) -> str:
    return re.split(r"[.\[{]", path, maxsplit=1)[0]


def embed(document: str, table: str) -> str:
    """Return `document` with `table` between its markers. Raises ValueError if the markers are missing."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} … {END} block")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def served_apis() -> tuple[ServiceApi, ...]:
    """Return the registry of every service of this distribution: Lambda's and its adapters'."""
    from importlib.metadata import entry_points  # only this command and tests load adapters here

    from eventrouter.api.lambda_.members import MEMBERS  # members imports this module

    apis = [ServiceApi(service="lambda", operations={}, members=MEMBERS)]
    for entry_point in entry_points(group="eventrouter.adapters"):
        members = getattr(sys.modules[entry_point.load().__module__], "MEMBERS", None)
        if members is not None:
            apis.append(ServiceApi(service=entry_point.name, operations={}, members=members))
    return tuple(apis)


def main(arguments: list[str]) -> int:
    """Print the table, or rewrite it in the documents named."""
    table = applied_table(served_apis())
    if not arguments:
        sys.stdout.write(table + "\n")
    for name in arguments:
        path = Path(name)
        path.write_text(embed(path.read_text(), table))
    return 0


if __name__ == "__main__":
    from eventrouter.api.registry import main as imported_main  # entries are instances of the imported module's classes

    sys.exit(imported_main(sys.argv[1:]))
