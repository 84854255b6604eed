"""The report of a chaos run: `report.md`, `report.html` and the plots, in `chaos-report/`."""

from __future__ import annotations

from collections import Counter, defaultdict
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.proof import plots
from tests.chaos.proof.judge import cause
from tests.chaos.proof.recovery import RESTART, SILENCE, Recoveries, median
from tests.chaos.proof.story import Chronicle

if TYPE_CHECKING:
    from tests.chaos.proof.run import Result

S = 1e9
LIMITS = {SILENCE: 12.0, RESTART: 2.0}
HANDOVER_S = 1.0


def sent(chronicle: Chronicle) -> Counter[str]:
    """Count what was sent, by plane: each event, record and message once."""
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    for request in chronicle.requests.values():
        items = request.inv.get("items")
        if items is None:
            counts[request.plane] += 1
            continue
        fresh = {identity for identity, *_ in items} - seen
        seen |= fresh
        counts[str(request.inv["feed"]) if request.plane == "queue" else request.plane] += len(fresh)
    counts["schedule"] = len({run.id for run in chronicle.runs if run.plane == "schedule"})
    return counts


def repeats(chronicle: Chronicle) -> Counter[str]:
    """Count what began more often than it failed, by the fault that explains it."""
    kinds = {id(fault): note["kind"] for fault, note in zip(chronicle.faults, chronicle.fault_notes, strict=True)}
    found: Counter[str] = Counter()
    for runs in chronicle.runs_by_op("async").values():
        for earlier, later in pairwise(runs):
            if earlier.outcome != "error":
                fault = cause(earlier, later, chronicle.faults)
                found[kinds[id(fault)] if fault else "NOTHING"] += 1
    return found


def outcomes(chronicle: Chronicle) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for request in chronicle.requests.values():
        found[request.plane][request.outcome or "no answer"] += 1
        if request.answer and request.answer.get("status", 200) >= 400:
            found[request.plane][f"HTTP {request.answer['status']}"] += 1
    return found


def _recovery_rows(recoveries: Recoveries) -> list[tuple[str, list[float], float]]:
    rows = [
        (f"{what}: {how}", recoveries.taken[what, how], LIMITS[how])
        for what in ("events", "shards", "messages")
        for how in (SILENCE, RESTART)
    ]
    return [*rows, ("shards: handed over by a draining node", recoveries.handovers, HANDOVER_S)]


def summary(result: Result, chronicle: Chronicle, recoveries: Recoveries) -> str:
    """Return what a terminal shows: the figures first, then every broken promise."""
    counts = sent(chronicle)
    again = repeats(chronicle)
    lines = [
        (
            f"{sum(counts.values()):,} events under {result.kills} kills and {len(result.caused)} other faults in "
            f"{result.seconds:.0f} s, at rest {result.rest_s:.1f} s later"
        ),
        "sent: " + ", ".join(f"{count:,} {plane}" for plane, count in sorted(counts.items())),
        f"event runs that repeat another: {sum(again.values())}"
        + (f" ({', '.join(f'{count} by {kind}' for kind, count in again.most_common())})" if again else ""),
    ]
    for name, values, limit in _recovery_rows(recoveries):
        if values:
            lines.append(
                f"{name}: median {median(values):.2f} s, longest {max(values):.2f} s, {len(values)} times"
                f" (to reach: {limit:g} s)"
            )
    lines += [f"not done here: {limit}" for limit in result.limits]
    if result.forgotten:
        names = Counter(text.split(":")[0].split()[0] for text in result.forgotten)
        lines.append(f"what failovers made the servers forget shows {len(result.forgotten)} times ({_counts(names)})")
    names = Counter(text.split(":")[0].split()[0] for text in result.broken)
    lines.append(f"BROKEN: {len(result.broken)} ({_counts(names)})" if result.broken else "broken promises: none")
    lines += result.broken[:30]
    return "\n".join(lines)


def _counts(names: Counter[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(names.items()))


def write(folder: Path, result: Result, chronicle: Chronicle, recoveries: Recoveries) -> None:
    """Write everything."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(result, chronicle, recoveries)
    for name, svg in pictures.items():
        (folder / f"{name}.svg").write_text(svg)
    text = _markdown(result, chronicle, recoveries, list(pictures))
    (folder / "report.md").write_text(text)
    (folder / "report.html").write_text(_html(text, pictures))


def _pictures(result: Result, chronicle: Chronicle, recoveries: Recoveries) -> dict[str, str]:
    zero = min((request.t for request in chronicle.requests.values()), default=0)
    until = max((run.start for run in chronicle.runs), default=zero)
    seconds = (until - zero) / S
    rows: dict[str, list[tuple[float, float, str]]] = {name: [] for name in ("n0", "n1", "n2", "server", "environment")}
    for note in chronicle.fault_notes:
        rows.setdefault(note["target"], []).append(((note["t"] - zero) / S, (note["until"] - zero) / S, note["kind"]))
    for note in chronicle.deploys:
        rows.setdefault("deploys", []).append(((note["began"] - zero) / S, (note["t"] - zero) / S, "deploy"))
    rates: dict[str, Counter[int]] = defaultdict(Counter)
    for run in chronicle.runs:
        rates[run.plane][int((run.start - zero) / S)] += 1
    for feed, batches in chronicle.batches.items():
        plane = "streams" if feed in chronicle.facts["lanes"] else "queues"
        for batch in batches:
            rates[plane][int((batch["t"] - zero) / S)] += batch["n"]
    took: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for request in chronicle.requests.values():
        if request.outcome == "ok" and request.answer is not None:
            at = int((request.t - zero) / S)
            took[request.plane][at].append((request.answer["t"] - request.t) / 1e6)
    limits = {name: limit for name, _, limit in _recovery_rows(recoveries)}
    return {
        "faults": plots.timeline("What was done to whom", rows, seconds),
        "work": plots.lines(
            "Events, records and messages begun each second",
            {plane: _filled(counts, seconds) for plane, counts in sorted(rates.items())},
            seconds,
            "/s",
        ),
        "latency": plots.lines(
            "p99 of answers to senders, each second",
            {
                plane: [(at, sorted(values)[int(len(values) * 0.99)]) for at, values in sorted(by_second.items())]
                for plane, by_second in sorted(took.items())
            },
            seconds,
            "ms",
        ),
        "recovery": plots.strip(
            "Recovery: each time, the median, and the limit",
            {name: values for name, values, _ in _recovery_rows(recoveries)},
            "s",
            limits,
        ),
    }


def _filled(counts: Counter[int], seconds: float) -> list[tuple[float, float]]:
    return [(at, counts[at]) for at in range(int(seconds) + 1)]


def _markdown(result: Result, chronicle: Chronicle, recoveries: Recoveries, pictures: list[str]) -> str:
    wanted, counts = result.wanted, sent(chronicle)
    parts = ["# Chaos report", ""]
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    verdict = f"{len(result.broken)} promises were broken." if result.broken else "Every promise was kept."
    parts += [
        f"Seed {wanted.seed}: `make chaos ARGS='--seed {wanted.seed}' CHAOS_MINUTES={wanted.minutes:g}`. {versions}.",
        "",
        (
            f"**{verdict}** {sum(counts.values()):,} events, {result.kills} environments killed, "
            f"{len(result.caused)} other faults, {result.seconds:.0f} s of load, at rest {result.rest_s:.1f} s later."
        ),
        "",
        "## Sent",
        "",
        "| Plane | Events | What senders were told |",
        "|---|---|---|",
    ]
    told = outcomes(chronicle)
    for plane, count in sorted(counts.items()):
        of_plane = told.get("queue" if plane == "fifo" else plane, Counter())
        parts.append(f"| {plane} | {count:,} | {', '.join(f'{n:,} {kind}' for kind, n in of_plane.most_common())} |")
    parts += ["", "`info`: nobody knows; `fail`: certainly refused. Requests are counted, of both kinds of queues"]
    parts += ["together.", "", "## Repeats", ""]
    again = repeats(chronicle)
    parts += [f"- {count} event runs repeat one that was in flight: {kind}" for kind, count in again.most_common()]
    parts += ["" if again else "No event ran twice.", "", "## Recovery", ""]
    parts += ["| What | Times | Median | Longest | To reach |", "|---|---|---|---|---|"]
    for name, values, limit in _recovery_rows(recoveries):
        shown = f"{median(values):.2f} s | {max(values):.2f} s" if values else "- | -"
        parts.append(f"| {name} | {len(values)} | {shown} | median {limit:g} s |")
    parts += ["", "## Faults", ""]
    parts += [f"- {count} x {name}" for name, count in Counter(result.caused).most_common()]
    parts += [f"- {result.kills} x environment: kill -9", ""]
    if result.limits:
        parts += ["Not done on this machine:", "", *(f"- {limit}" for limit in result.limits), ""]
    if result.forgotten:
        parts += ["## What failovers made the servers forget", "", "No promise, but counted:", ""]
        parts += [*(f"- {text}" for text in result.forgotten[:50]), ""]
    parts += ["## Pictures", "", *(f"![{name}]({name}.svg)\n" for name in pictures)]
    parts += ["## Broken promises", "", *([f"- {text}" for text in result.broken[:200]] or ["None."]), ""]
    return "\n".join(parts)


def _html(text: str, pictures: dict[str, str]) -> str:
    """Render what `_markdown` writes: headings, tables, lists and pictures."""
    out, in_list = [], False
    rows: list[str] = []

    def end_table() -> None:
        if rows:
            out.append(f"<table>{''.join(rows)}</table>")
            rows.clear()

    for line in text.splitlines():
        is_item = line.startswith("- ")
        if in_list and not is_item:
            out.append("</ul>")
        if is_item and not in_list:
            out.append("<ul>")
        in_list = is_item
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not all(set(cell) <= {"-"} and cell for cell in cells) or not rows:
                tag = "td" if rows else "th"
                rows.append("<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>")
            continue
        end_table()
        if line.startswith("#"):
            level = len(line) - len(line.lstrip("#"))
            out.append(f"<h{level}>{escape(line.lstrip('# '))}</h{level}>")
        elif line.startswith("!["):
            out.append(pictures[line[2 : line.index("]")]])
        elif is_item:
            out.append(f"<li>{escape(line[2:])}</li>")
        elif line:
            out.append(f"<p>{escape(line).replace('**', '')}</p>")
    end_table()
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em}svg{max-width:100%;"
        "height:auto}table{border-collapse:collapse}td,th{border:1px solid #8885;padding:4px 10px;text-align:left}"
        ":root{color-scheme:light dark}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Chaos report</title>'
        f"<style>{style}</style>{''.join(out)}</html>"
    )
