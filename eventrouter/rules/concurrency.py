"""How concurrency is divided: an account limit, reservations out of it, and a floor that stays unreserved.

Source: lambda-semantics §2.9.
"""

from __future__ import annotations

from eventrouter.rules.limits import MINIMUM_UNRESERVED_CONCURRENCY


def minimum_unreserved(account_limit: int) -> int:
    """Return how much must stay unreserved: 100, or everything where the account has less."""
    return min(MINIMUM_UNRESERVED_CONCURRENCY, account_limit)
