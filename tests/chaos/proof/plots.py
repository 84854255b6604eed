"""Small SVG plots: points, lines and bars over time. No library, no script; readable in light and in dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960, 150, 20, 28, 28
COLOURS = ("#2f6fde", "#d9480f", "#2b8a3e", "#862e9c", "#0b7285", "#a61e4d", "#5f3dc4")
_STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#555}.t{font-size:14px;font-weight:600}"
    ".a{stroke:#8888;stroke-width:1}.g{stroke:#8883;stroke-width:1}"
    "@media(prefers-color-scheme:dark){text{fill:#bbb}}</style>"
)


class Plot:
    """One picture over time in seconds, from 0 to `seconds`."""

    def __init__(self, title: str, seconds: float, height: int) -> None:
        self._seconds = max(seconds, 1.0)
        self.height = height
        self._parts = [_STYLE, f'<text class="t" x="{LEFT}" y="16">{escape(title)}</text>']

    def x(self, t: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(t, 0), self._seconds) / self._seconds

    def add(self, part: str) -> None:
        self._parts.append(part)

    def text(self, x: float, y: float, text: str, *, anchor: str = "start") -> None:
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "g") -> None:
        self.add(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def time_axis(self) -> None:
        bottom = self.height - BOTTOM
        self.line(LEFT, bottom, WIDTH - RIGHT, bottom, "a")
        step = next(step for step in (5, 10, 20, 30, 60, 300, 600, 3600) if self._seconds / step <= 16 or step == 3600)
        t = 0
        while t <= self._seconds:
            self.line(self.x(t), TOP, self.x(t), bottom)
            self.text(self.x(t), bottom + 16, f"{t} s", anchor="middle")
            t += step

    def svg(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}"'
            f' height="{self.height}" role="img">{"".join(self._parts)}</svg>'
        )


def timeline(title: str, rows: Mapping[str, Sequence[tuple[float, float, str]]], seconds: float) -> str:
    """Draw bars of (begin, end, what) in a row each; the same `what` has the same colour."""
    plot = Plot(title, seconds, TOP + BOTTOM + 26 * len(rows))
    plot.time_axis()
    kinds: dict[str, str] = {}
    for at, (name, bars) in enumerate(rows.items()):
        y = TOP + 26 * at + 4
        plot.text(LEFT - 8, y + 13, name, anchor="end")
        for begin, end, what in bars:
            colour = kinds.setdefault(what, COLOURS[len(kinds) % len(COLOURS)])
            width = max(plot.x(end) - plot.x(begin), 2)
            plot.add(
                f'<rect x="{plot.x(begin):.1f}" y="{y}" width="{width:.1f}" height="18" rx="2" fill="{colour}"'
                f' fill-opacity="0.8"><title>{escape(f"{what}, {begin:.1f} s to {end:.1f} s")}</title></rect>'
            )
    return plot.svg()


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]], seconds: float, unit: str) -> str:
    """Draw lines of (time, value) over one scale, from 0 up to the largest value."""
    plot = Plot(title, seconds, 260)
    plot.time_axis()
    top = max((value for points in series.values() for _, value in points), default=1) or 1
    bottom = plot.height - BOTTOM

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * value / top

    for share in (0, 0.25, 0.5, 0.75, 1):
        plot.line(LEFT, y(top * share), WIDTH - RIGHT, y(top * share))
        plot.text(LEFT - 8, y(top * share) + 4, f"{top * share:.4g} {unit}", anchor="end")
    for at, (name, points) in enumerate(series.items()):
        colour = COLOURS[at % len(COLOURS)]
        path = " ".join(f"{plot.x(t):.1f},{y(value):.1f}" for t, value in points)
        plot.add(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        plot.add(f'<text x="{LEFT + 300 + 110 * at}" y="16" style="fill:{colour}">{escape(name)}</text>')
    return plot.svg()


def strip(title: str, groups: Mapping[str, Sequence[float]], unit: str, limits: Mapping[str, float]) -> str:
    """Draw each group's values as points on one scale, with its median and the limit it should keep."""
    largest = max([value for values in groups.values() for value in values] + list(limits.values()), default=1.0)
    plot = Plot(title, largest * 1.05, TOP + BOTTOM + 34 * len(groups))
    bottom = plot.height - BOTTOM
    plot.line(LEFT, bottom, WIDTH - RIGHT, bottom, "a")
    step = next((step for step in (0.5, 1, 2, 5, 10) if largest / step <= 16), 20)
    for number in range(int(largest / step) + 1):
        x = plot.x(number * step)
        plot.line(x, TOP, x, bottom)
        plot.text(x, bottom + 16, f"{number * step:g} {unit}", anchor="middle")
    for at, (name, values) in enumerate(groups.items()):
        y = TOP + 34 * at + 17
        for place, text in zip((y - 2, y + 12), name.split(": "), strict=False):
            plot.text(LEFT - 8, place, text, anchor="end")
        for value in values:
            plot.add(f'<circle cx="{plot.x(value):.1f}" cy="{y}" r="4" fill="{COLOURS[0]}" fill-opacity="0.45"/>')
        if values:
            x = plot.x(sorted(values)[len(values) // 2])
            plot.add(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 12}" y2="{y + 12}" stroke="#2b8a3e" stroke-width="3"/>')
        if name in limits:
            x = plot.x(limits[name])
            plot.add(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 14}" y2="{y + 14}" stroke="#c92a2a" stroke-width="2"'
                f' stroke-dasharray="4 3"/>'
            )
    return plot.svg()
