"""Makes a node match a project: creates what is missing, updates what differs, deletes what is declared no longer.

What a project creates is marked with a tag, and only what bears the project's own mark is ever deleted. Something that
bears another project's mark is refused; what bears none (made by hand) is updated, and never deleted. Queues and
streams hold data: they are deleted only when that is asked for. Doing it twice changes nothing: the second plan is
empty. After an error, what was done stays; the next plan goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from eventrouter.api.refusals import UNSUPPORTED
from eventrouter.clock import Clock, SystemClock
from eventrouter.project.api import Api, ApiError
from eventrouter.project.check import check
from eventrouter.project.deploy_functions import FunctionSteps
from eventrouter.project.deploy_mappings import MappingSteps
from eventrouter.project.deploy_queues import QueueSteps
from eventrouter.project.deploy_routes import RouteSteps
from eventrouter.project.deploy_schedules import ScheduleSteps
from eventrouter.project.deploy_streams import StreamSteps
from eventrouter.project.model import Place, Project, ProjectError
from eventrouter.project.plan import Action, Plan, Step
from eventrouter.project.target import Target


async def plan(
    project: Project, api: Api, *, hot_reload: bool = False, prune: bool = False, clock: Clock | None = None
) -> Plan:
    """Compare a project with what the node has, and return what must be done, in order.

    `hot_reload`: functions run from their folders (for a node on this machine) instead of from packages. `prune`:
    queues and streams that are declared no longer are deleted with their data. Nothing is changed yet. `clock` is the
    one that `apply` waits by. Raises ProjectError for what can be known to fail, ApiError and Unreachable.
    """
    for problem in check(project):
        raise ProjectError(problem.place, f"{problem.what}: {problem.message}")
    target = Target(api=api, project=project, clock=clock or SystemClock(), hot_reload=hot_reload, prune=prune)
    kinds: list[_Kind] = [
        QueueSteps(target),
        StreamSteps(target),
        FunctionSteps(target),
        MappingSteps(target),
        ScheduleSteps(target),
        RouteSteps(target),
    ]
    wanted: list[Step] = []
    gone: list[Step] = []
    for kind in kinds:
        wanted += await kind.declared()
        gone = [*await _undeclared(kind), *gone]  # the other way round: what uses something goes before it
    return Plan(project=project.name, steps=(*wanted, *gone), not_applied=project.not_applied)


async def apply(plan: Plan, *, on_step: Callable[[Step], None] | None = None) -> None:
    """Carry out a plan on the node that it was made for, one step after the other, each until it is in use.

    `on_step` is told of every step that is done. Raises ProjectError, with the place of the declaration, when the node
    refuses something: what was done before stays.
    """
    for step in plan.due:
        try:
            await step.run()
        except ApiError as error:
            if step.action is Action.DELETE and error.code.endswith(_GONE):
                continue  # somebody else was faster
            place = step.place or Place(plan.project)
            raise ProjectError(place, f"{step.kind} {step.name}: cannot {step.action}: {error}") from error
        if on_step is not None:
            on_step(step)


async def converge(
    project: Project,
    api: Api,
    *,
    hot_reload: bool = False,
    prune: bool = False,
    clock: Clock | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Plan:
    """Make the node match a project, and return the plan that was carried out last.

    Others may do the same at the same time (several nodes that start with one app): what they were faster at is looked
    at anew. Raises as `plan` and `apply` do.
    """
    attempt = 1
    while True:
        made = await plan(project, api, hot_reload=hot_reload, prune=prune, clock=clock)
        try:
            await apply(made, on_step=on_step)
        except ProjectError as error:
            cause = error.__cause__
            if attempt == _ATTEMPTS or not isinstance(cause, ApiError) or cause.code not in _RACES:
                raise
            attempt += 1
            await (clock or SystemClock()).sleep(_PAUSE_S)
        else:
            return made


_ATTEMPTS = 8
_PAUSE_S = 0.25
_RACES = frozenset(
    {
        "ResourceConflictException",
        "ResourceInUseException",
        "ConcurrentModificationException",
        "ConflictException",
        "NotFoundException",  # an API that two have made, until one of them has deleted its own
    }
)
"""What a call is refused with when somebody else was faster."""
_GONE = ("NotFoundException", "NonExistentQueue", "QueueDoesNotExist")
"""How codes end that say that something is not there."""


class _Kind(Protocol):
    """Finds the steps of one kind of resource."""

    async def declared(self) -> list[Step]: ...

    async def undeclared(self) -> list[Step]: ...


async def _undeclared(kind: _Kind) -> list[Step]:
    """Return what is to go. A node that does not serve a kind of resource has none of it."""
    try:
        return await kind.undeclared()
    except ApiError as error:
        if error.code == UNSUPPORTED:
            return []
        raise
