"""Where a function's code comes from: a zip in the request, or a local folder through the hot-reload bucket.

Source: lambda-semantics §2.1 (Code), §2.3; conventions part 1 (hot reload).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eventrouter.api.lambda_.errors import invalid
from eventrouter.rules.function import Code

if TYPE_CHECKING:
    from eventrouter.runtime.packages import Packages

HOT_RELOAD_BUCKET = "hot-reload"


async def code_of(packages: Packages, values: Mapping[str, Any]) -> Code:  # Any: model values
    """Store the package that a request brings, or name the folder it points to.

    `values` holds ZipFile or S3Bucket and S3Key. Raises RequestError.
    """
    zip_bytes = values.get("ZipFile")
    bucket, key = values.get("S3Bucket"), values.get("S3Key")
    if zip_bytes is not None and (bucket or key):
        raise invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
    if zip_bytes is not None:
        return await packages.add(zip_bytes)
    if not bucket or not key:
        raise invalid("Please provide a source for function code.")
    if bucket != HOT_RELOAD_BUCKET:
        raise invalid(
            "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does "
            "not exist"
        )
    if "\0" in key:
        raise invalid("The hot-reload directory's path holds a NUL character.")
    return await asyncio.to_thread(packages.hot_reload, key)
