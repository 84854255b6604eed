"""Which tags a stream or a consumer may have."""

from __future__ import annotations

import re
from collections.abc import Mapping

from eventrouter_adapters.kinesis import errors

MOST_TAGS = 50
_ALLOWED = re.compile(r"[\w\s.:/=+\-@%]*")

Tags = Mapping[str, str]


def check_tags(old: Tags, new: Tags) -> dict[str, str]:
    """Return the old and the new tags together. Raises RequestError if they are too many, reserved or misspelt."""
    if not all(_ALLOWED.fullmatch(text) for tag in new.items() for text in tag):
        raise errors.invalid_argument(
            "Some tags contain invalid characters. Valid characters: "
            "Unicode letters, digits, white space, _ . : / = + - % @."
        )
    if reserved := next((key for key in new if key.lower().startswith("aws:")), None):
        raise errors.invalid_argument(f"The tag key {reserved} is reserved: keys must not begin with aws:.")
    tags = {**old, **new}
    if len(tags) > MOST_TAGS:
        raise errors.invalid_argument(f"A resource has {MOST_TAGS} tags at most; this would make {len(tags)}.")
    return tags
