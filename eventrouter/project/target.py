"""The node that a project is deployed to: asking it page by page, telling whose a resource is, and waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from eventrouter.clock import Clock
from eventrouter.project.api import Api, ApiError
from eventrouter.project.model import Place, Project, ProjectError
from eventrouter.project.plan import Change

OWNER_TAG = "eventrouter:project"
"""The tag of everything that a project has created; its value is the project's name."""

_LOOK_EVERY_S = 0.02
_SLOWEST_LOOK_S = 0.5
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A node, the project that it shall match, and how."""

    api: Api
    project: Project
    clock: Clock
    hot_reload: bool
    prune: bool

    @property
    def owner(self) -> dict[str, str]:
        """Return the mark of what this project creates."""
        return {OWNER_TAG: self.project.name}

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Say whether something with these tags was created by this project."""
        return tags.get(OWNER_TAG) == self.project.name

    def check_owner(self, what: str, tags: Mapping[str, str], place: Place) -> None:
        """Raise ProjectError if something belongs to another project."""
        owner = tags.get(OWNER_TAG)
        if owner is not None and owner != self.project.name:
            raise ProjectError(
                place, f"{what} belongs to the project {owner!r} already (tag {OWNER_TAG}): give it another name"
            )

    @staticmethod
    def tag_changes(declared: Mapping[str, str], tags: Mapping[str, str], member: str = "Tags") -> tuple[Change, ...]:
        """Return what differs of the tags that something has, the mark of its project left out."""
        before, after = {key: value for key, value in tags.items() if key != OWNER_TAG}, dict(declared)
        return () if before == after else (Change(member=member, before=before, after=after),)

    async def tag(self, arn: str, declared: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Give a function or a mapping the tags that are declared; the mark of its project stays."""
        if removed := [key for key in tags if key not in declared and key != OWNER_TAG]:
            await self.call("lambda", "UntagResource", Resource=arn, TagKeys=removed)
        if added := {key: value for key, value in declared.items() if tags.get(key) != value}:
            await self.call("lambda", "TagResource", Resource=arn, Tags=added)

    async def call(self, service: str, operation: str, **members: Any) -> dict[str, Any]:
        """Call an operation. Raises ApiError."""
        return await self.api.call(service, operation, members)

    async def find(self, missing: str, service: str, operation: str, **members: Any) -> dict[str, Any] | None:
        """Call an operation that reads something; None if it is refused with a code that ends with `missing`."""
        try:
            return await self.api.call(service, operation, members)
        except ApiError as error:
            if error.code.endswith(missing):
                return None
            raise

    async def pages(
        self, service: str, operation: str, member: str, *, marker: tuple[str, str], **members: Any
    ) -> AsyncIterator[Any]:
        """Yield every entry of a list operation. `marker` names the member that asks for a page and the answer's."""
        asks, answers = marker
        following: dict[str, Any] = {}
        while True:
            page = await self.api.call(service, operation, {**members, **following})
            for entry in page.get(member) or ():
                yield entry
            if not page.get(answers):
                return
            following = {asks: page[answers]}

    @staticmethod
    def check_entries(answer: Mapping[str, Any]) -> None:
        """Raise ApiError if an operation that takes several entries refused one of them."""
        if answer.get("FailedEntryCount"):
            failed = answer["FailedEntries"][0]
            raise ApiError(failed.get("ErrorCode", "Error"), failed.get("ErrorMessage", ""))

    async def wait(self, what: str, is_done: Callable[[], Awaitable[bool]]) -> None:
        """Return once `is_done` says so. Raises ApiError if it does not within two minutes."""
        deadline = self.clock.monotonic() + _PATIENCE_S
        pause = _LOOK_EVERY_S
        while not await is_done():
            if self.clock.monotonic() > deadline:
                raise ApiError("Timeout", f"{what} did not happen within {_PATIENCE_S:.0f} s")
            await self.clock.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST_LOOK_S)
