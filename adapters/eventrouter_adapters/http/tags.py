"""Tags of APIs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from eventrouter.ports import Caller, Operation
from eventrouter.rules.http_api import HttpApi
from eventrouter_adapters.http import errors
from eventrouter_adapters.http.access import Access, Members

MOST_TAGS = 50
_ARN = re.compile(r"arn:aws[a-zA-Z-]*:apigateway:([a-z0-9-]+)::/apis/([a-z0-9]+)")

Tags = Mapping[str, str]


def check_tags(old: Tags, new: Tags) -> Tags:
    """Return `old` with `new` if an API can have these tags. Raises RequestError."""
    for key, value in new.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise errors.bad_request(
                f"Tag {key!r}: keys have 1 to 128 characters and do not begin with aws:, values have at most 256"
            )
    tags = {**old, **new}
    if len(tags) > MOST_TAGS:
        raise errors.bad_request(f"An API can have {MOST_TAGS} tags")
    return tags


class TagOperations:
    """The operations on tags."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {"GetTags": self.get_tags, "TagResource": self.tag_resource, "UntagResource": self.untag_resource}

    async def get_tags(self, caller: Caller, members: Members) -> Members:
        """Answer with the tags of the API that an ARN names."""
        return {"Tags": dict((await self._access.get(caller, _named(caller, members))).tags)}

    async def tag_resource(self, caller: Caller, members: Members) -> Members:
        """Add tags to an API, or change their values."""

        def change(api: HttpApi) -> HttpApi:
            return dataclasses.replace(api, tags=check_tags(api.tags, members.get("Tags") or {}))

        await self._access.change(caller, _named(caller, members), change)
        return {}

    async def untag_resource(self, caller: Caller, members: Members) -> Members:
        """Remove tags from an API; keys that it lacks are ignored."""
        gone = frozenset(members["TagKeys"])

        def change(api: HttpApi) -> HttpApi:
            return dataclasses.replace(api, tags={key: value for key, value in api.tags.items() if key not in gone})

        await self._access.change(caller, _named(caller, members), change)
        return {}


def _named(caller: Caller, members: Members) -> Members:
    """Return the id of the API that an ARN names, as the member that other operations have. Raises RequestError."""
    match = _ARN.fullmatch(members["ResourceArn"])
    if match is None or match[1] != caller.region:
        raise errors.not_found(f"Invalid resource identifier specified {members['ResourceArn']}")
    return {"ApiId": match[2]}
