"""The README's table of what is applied, made from the registries of Lambda and of every adapter.

`python -m eventrouter.api.applied` prints it; with names of documents, it rewrites their blocks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

from eventrouter.api.lambda_.members import MEMBERS
from eventrouter.api.registry import Applied, Entry, NotApplicable, Refused
from eventrouter.ports import ServiceApi

BEGIN = "<!-- applied:begin -->"
END = "<!-- applied:end -->"


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
    apis = [ServiceApi(service="lambda", operations={}, members=MEMBERS)]
    for entry_point in entry_points(group="eventrouter.adapters"):
        module = sys.modules[entry_point.load().__module__]
        members = getattr(module, "MEMBERS", None)
        if members is not None:
            service = getattr(module, "SERVICE", entry_point.name)
            apis.append(ServiceApi(service=service, operations={}, members=members))
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
    sys.exit(main(sys.argv[1:]))
