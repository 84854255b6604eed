"""When a node refuses new work because Redis is nearly full, so that what was accepted can always be finished."""

from __future__ import annotations

REFUSE_ABOVE = 0.80
RESUME_BELOW = 0.75
"""Below the mark of refusal by enough that intake does not flap."""


def refuses_intake(used_bytes: int, maximum_bytes: int, *, refusing: bool) -> bool:
    """Say whether new data is refused, given memory in use and its limit (0: no limit), and what was said last."""
    if maximum_bytes <= 0:
        return False
    share = used_bytes / maximum_bytes
    return share >= (RESUME_BELOW if refusing else REFUSE_ABOVE)
