"""`eventrouter plan`: what a project would run, what is refused, and what has no meaning here. No node is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventrouter.cli.options import json_option, parameter_option, read_parameters
from eventrouter.cli.output import print_json

if TYPE_CHECKING:
    from eventrouter.project.check import Problem
    from eventrouter.project.model import NotApplied, Project


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=".")
@parameter_option
@json_option
def plan(file: Path, parameters: tuple[str, ...], as_json: bool) -> int:
    """Show what the project in FILE (or a folder, or module:app) would run.

    Everything is listed with its file and line: resources, what the API would refuse (exit code 1), and what is
    declared and has no meaning here. `eventrouter deploy FILE --to URL --dry-run` compares with a node.
    """
    from eventrouter.project.check import check, not_applied_of
    from eventrouter.project.discover import read_project

    project = read_project(file, parameters=read_parameters(parameters))
    problems, passed_by = check(project), not_applied_of(project)
    if as_json:
        print_json(_document(project, problems, passed_by))
    else:
        for line in _lines(project, problems, passed_by):
            click.echo(line)
    return 1 if problems else 0


def _document(project: Project, problems: list[Problem], passed_by: tuple[NotApplied, ...]) -> dict[str, Any]:
    from eventrouter.project.model_json import to_document

    document = to_document(project)
    for function in document["functions"]:  # variables often hold secrets
        function["members"] = {name: value for name, value in function["members"].items() if name != "Environment"}
    document["refused"] = [
        {"place": str(problem.place), "what": problem.what, "message": problem.message} for problem in problems
    ]
    document["not_applied"] = [{"what": item.what, "place": str(item.place), "why": item.why} for item in passed_by]
    return document


def _lines(project: Project, problems: list[Problem], passed_by: tuple[NotApplied, ...]) -> Iterator[str]:
    yield f"{project.name}   account {project.account}   {project.region}"
    for kind, name, what, place in _rows(project):
        yield f"  {kind:9} {name:32} {what:44} {place}".rstrip()
    yield f"  not applied {len(passed_by)}"
    for item in passed_by:
        yield f"    {item.what}: {item.why}   ({item.place})"
    yield f"  refused {len(problems)}"
    for problem in problems:
        yield f"    {problem}"


def _rows(project: Project) -> Iterator[tuple[str, str, str, object]]:
    from eventrouter.project.model import function_name, source_name

    for queue in project.queues:
        yield "queue", queue.name, "FIFO" if queue.name.endswith(".fifo") else "", queue.place
    for stream in project.streams:
        shards = stream.members.get("ShardCount")
        yield (
            "stream",
            stream.name,
            "on demand" if shards is None else f"{shards} shard{'' if shards == 1 else 's'}",
            stream.place,
        )
    for function in project.functions:
        members = function.members
        limits = f"{members.get('Timeout', 3)} s, {members.get('MemorySize', 128)} MB"
        yield "function", function.name, f"{members.get('Runtime')} {members.get('Handler')}  {limits}", function.place
    for mapping in project.mappings:
        source, target = mapping.members["EventSourceArn"], mapping.members["FunctionName"]
        yield "mapping", source_name(source), f"-> {function_name(target)}", mapping.place
    for schedule in project.schedules:
        targets = ", ".join(str(target["Arn"]).rpartition(":")[2] for target in schedule.targets)
        yield "schedule", schedule.name, f"{schedule.members.get('ScheduleExpression')} -> {targets}", schedule.place
    for route in project.routes:
        yield "route", route.route_key, f"-> {function_name(route.function)}", route.place
