"""What a node costs that has nothing to do: memory, CPU time and wake-ups, of each of its processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.measure import Effort, Figure, Report
from bench.processes import Usage, descendants, usage
from bench.servers import node

if TYPE_CHECKING:
    from pathlib import Path

SETTLE_S = 3.0


def measure(effort: Effort, folder: Path) -> Report:
    """Look at a node that has just started, over `rounds` windows of `idle_seconds`."""
    windows: list[list[tuple[Usage, Usage]]] = []
    with node(folder / "data") as ours:
        time.sleep(SETTLE_S)
        pids = [ours.child.pid, *descendants(ours.child.pid)]
        for _ in range(effort.rounds):
            before = [usage(pid) for pid in pids]
            time.sleep(effort.idle_seconds)
            windows.append(list(zip(before, [usage(pid) for pid in pids], strict=True)))
    figures: list[Figure] = []
    for index in range(len(pids)):
        figures += _figures(_role(index, windows[0][index][0].name), [window[index] for window in windows], effort)
    what = f"an idle `dev` node, {effort.rounds} windows of {effort.idle_seconds:g} s"
    names = tuple(f"{_role(index, after.name)}: {after.name}" for index, (_, after) in enumerate(windows[0]))
    return Report(benchmark="idle", what=what, figures=tuple(figures), notes=names)


def _role(index: int, command: str) -> str:
    """Name a process of the node's tree; the node itself comes first."""
    if index == 0:
        return "node"
    return "Valkey" if "valkey" in command else f"zygote or keeper {index}"


def _figures(role: str, windows: list[tuple[Usage, Usage]], effort: Effort) -> list[Figure]:
    is_node = role == "node"
    rss = tuple(after.rss_mb for _, after in windows)
    pss = tuple(after.pss_mb for _, after in windows)
    cpu = tuple(100 * (after.cpu_s - before.cpu_s) / effort.idle_seconds for before, after in windows)
    wakeups = tuple((after.wakeups - before.wakeups) / effort.idle_seconds for before, after in windows)
    return [
        Figure(name=f"{role}, RSS", unit="MB", values=rss, at_most=90.0 if is_node else None),
        Figure(name=f"{role}, PSS", unit="MB", values=pss),
        Figure(name=f"{role}, CPU", unit="%", values=cpu, at_most=1.0 if is_node else None),
        Figure(name=f"{role}, wake-ups", unit="1/s", values=wakeups),
    ]
