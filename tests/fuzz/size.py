"""How much is fired, and which: `make fuzz` asks for all of it, `make test` for a few thousand requests."""

from __future__ import annotations

import os

REQUESTS = int(os.environ.get("EVENTROUTER_TEST_FUZZ_REQUESTS", "3000"))
SEED = int(os.environ.get("EVENTROUTER_TEST_FUZZ_SEED", "1"))
IS_ALL = REQUESTS >= 50_000
