"""AWS's fixed limits of the Lambda API, each with its origin. Sizes are in bytes.

Source: lambda-semantics §1.5 (payloads), §2.1 (functions), §2.6, §2.8, §2.9, §2.14.
"""

from __future__ import annotations

from typing import Final

SYNC_REQUEST_BYTES: Final = 6_291_456
INVOKE_ASYNC_REQUEST_BYTES: Final = 262_144
INVOKE_BODY_BYTES: Final = 10_485_760
"""Invoke bodies above this are cut while they arrive ("much larger bodies are cut earlier", §1.5)."""
CREATE_FUNCTION_REQUEST_BYTES: Final = 70_167_211
OTHER_REQUEST_BYTES: Final = 6_291_456
"""Bodies of operations that name no limit of their own."""
CLIENT_CONTEXT_BYTES: Final = 3_583
LOG_TAIL_BYTES: Final = 4_096

FUNCTION_NAME_LENGTH: Final = 64
TIMEOUT_S: Final = 900
MEMORY_MB: Final = 10_240
EPHEMERAL_STORAGE_MB: Final = 10_240
ENVIRONMENT_BYTES: Final = 4_096
TAGS: Final = 50
MAPPING_FILTERS: Final = 10
"""Filters of one event source mapping: AWS allows 5, and 10 to accounts that ask (§4.10)."""
MAPPING_PAGE: Final = 100
LIST_PAGE: Final = 50
MINIMUM_UNRESERVED_CONCURRENCY: Final = 100
CODE_STORAGE_BYTES: Final = 80_530_636_800
CODE_UNZIPPED_BYTES: Final = 262_144_000
CODE_ZIPPED_BYTES: Final = 52_428_800
