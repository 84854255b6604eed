"""What a node prints when it is ready: what runs, what was not applied, and where to look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventrouter import __version__

if TYPE_CHECKING:
    from eventrouter.node import Node

_USUAL_PORT = 4566
"""Where every command looks for a node unless it is told otherwise."""
_SHOWN = 5
"""Functions named before the rest is only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """The facts of a node that has just started. `functions` are (name, runtime, handler)."""

    url: str
    server: str
    ready_ms: float
    functions: tuple[tuple[str, str, str], ...]
    not_applied: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, node: Node, *, ready_ms: float, notes: tuple[str, ...]) -> Banner:
        """Gather the facts from a running node."""
        found = sorted(node.store.functions.all(), key=lambda function: function.name)
        return cls(
            url=node.url,
            server=node.server,
            ready_ms=ready_ms,
            functions=tuple((function.name.name, function.runtime, function.handler) for function in found),
            not_applied=(
                *node.runtime.not_applied,
                *(f"{note} on `{function.name.name}`" for function in found for note in node.not_applied(function)),
            ),
            notes=notes,
        )

    def as_json(self) -> str:
        """Return the facts as one line of JSON."""
        return json.dumps(
            {
                "version": __version__,
                "url": self.url,
                "server": self.server,
                "ready_ms": round(self.ready_ms),
                "functions": [name for name, _, _ in self.functions],
                "not_applied": self.not_applied,
                "notes": self.notes,
            }
        )

    def as_text(self) -> str:
        """Return the facts as lines for people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"eventrouter {__version__}  ready in {self.ready_ms:.0f} ms   {self.server}   {self.url}"
        shown = "  ".join(f"{name} ({runtime}, {handler})" for name, runtime, handler in self.functions[:_SHOWN])
        more = f"  and {len(self.functions) - _SHOWN} more" if len(self.functions) > _SHOWN else ""
        yield f"  functions   {len(self.functions)}   {shown}{more}".rstrip()
        yield f"  not applied {len(self.not_applied)}   {'; '.join(self.not_applied)}".rstrip()
        yield f"  health      {self.url}/healthz  /readyz     metrics /metrics"
        example = self.functions[0][0] if self.functions else "NAME"
        if not self.url.endswith(f":{_USUAL_PORT}"):
            yield f'  next        eval "$(eventrouter env --url {self.url})"'
        yield f"  next        eventrouter invoke {example} -p '{{\"id\":1}}'   |   eventrouter logs {example} -f"
        for note in self.notes:
            yield f"  note        {note}"
