"""Write the references in docs/ from the code: `python -m eventrouter.cli.reference docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from eventrouter.cli.app import root
from eventrouter.settings import ENV_PREFIX, Settings


def settings_table() -> Iterator[str]:
    """Yield the Markdown lines of the table of all settings."""
    yield "| setting | variable | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{str(field.default).lower()}`"
        yield f"| `{name}` | `{ENV_PREFIX}{name.upper()}` | {default} | {field.description} |"


def commands(group: click.Group, prefix: Sequence[str] = ("eventrouter",)) -> Iterator[str]:
    """Yield the Markdown lines of every command below `group`, in the order of the help."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        path = (*prefix, name)
        if isinstance(command, click.Group):
            yield from commands(command, path)
            continue
        inner = click.Context(command, info_name=" ".join(path))
        arguments = [piece for piece in command.collect_usage_pieces(inner) if piece != "[OPTIONS]"]
        yield f"### `{' '.join([*path, *arguments])}`"
        yield ""
        yield " ".join((command.help or "").split())
        yield ""
        records = [record for parameter in command.params if (record := parameter.get_help_record(inner)) and record[1]]
        if records:
            yield "| option | meaning |"
            yield "|---|---|"
            for option, meaning in records:
                escaped = option.replace("|", "\\|")
                yield f"| `{escaped}` | {meaning} |"
            yield ""


def rewritten(text: str, block: str, lines: Iterator[str]) -> str:
    """Return `text` with the block between its two markers replaced. Raises ValueError where they are missing."""
    begin, end = f"<!-- {block}:begin -->", f"<!-- {block}:end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no block {block}")
    body = "\n".join(lines).strip()
    return f"{before}{begin}\n{body}\n{end}{after}"


def write(folder: Path) -> None:
    """Rewrite the generated blocks of the documents in `folder`."""
    for name, block, lines in (
        ("configuration.md", "settings", settings_table()),
        ("cli.md", "commands", commands(root)),
    ):
        path = folder / name
        path.write_text(rewritten(path.read_text(encoding="utf-8"), block, lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
