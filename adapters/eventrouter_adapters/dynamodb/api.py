"""The DynamoDB Streams API as a coroutine: botocore's client in threads, its errors as ours.

Source: lambda-semantics §7.6.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials, EnvProvider
from botocore.exceptions import BotoCoreError, ClientError

from eventrouter.errors import AdapterError
from eventrouter.ports import SourceGone

CALLS_AT_ONCE = 16
"""Threads, and connections, of one node. They are this adapter's own: an endpoint that hangs holds up nothing else."""

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
"""A node that stops waits for the calls under way, so neither is long."""

_BUSY = frozenset({"LimitExceededException", "ProvisionedThroughputExceededException", "ThrottlingException"})


class ExpiredIterator(AdapterError):
    """The iterator was made more than 15 minutes ago; another one of the same position will do."""


class TrimmedPosition(AdapterError):
    """What follows the position has passed the stream's retention of 24 hours."""


class StreamsApi:
    """Calls one endpoint, signed for the region that a stream's ARN names.

    Credentials are those of the process's environment variables, or else test/test, which local servers accept.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="dynamodb-streams")
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    async def call(self, region: str, operation: str, **members: Any) -> Mapping[str, Any]:
        """Call `operation` (botocore's name of it) and return its answer, read to values.

        Raises SourceGone if the stream or the shard is not there, ExpiredIterator, TrimmedPosition, AdapterError.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._call, region, operation, members)

    def close(self) -> None:
        """Close every connection, once the calls under way have ended."""
        self._threads.shutdown()
        for client in self._clients.values():
            client.close()

    def _call(self, region: str, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self._client(region), operation)(**members)
        except ClientError as error:
            raise self._translated(operation, error) from error
        except BotoCoreError as error:
            raise AdapterError(f"DynamoDB Streams at {self._endpoint}: {error}", transient=True) from error
        return answer

    def _client(self, region: str) -> Any:
        with self._making:
            if region not in self._clients:
                session = botocore.session.Session()
                credentials = EnvProvider().load() or Credentials("test", "test")
                self._clients[region] = session.create_client(
                    "dynamodbstreams",
                    region_name=region,
                    endpoint_url=self._endpoint,
                    aws_access_key_id=credentials.access_key,
                    aws_secret_access_key=credentials.secret_key,
                    aws_session_token=credentials.token,
                    config=Config(
                        connect_timeout=CONNECT_TIMEOUT_S,
                        read_timeout=READ_TIMEOUT_S,
                        max_pool_connections=CALLS_AT_ONCE,
                        # Whoever reads a shard tries again, with its own back-off, and shows the error meanwhile.
                        retries={"total_max_attempts": 1},
                    ),
                )
            return self._clients[region]

    def _translated(self, operation: str, error: ClientError) -> Exception:
        code = error.response["Error"].get("Code", "")
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        text = f"DynamoDB Streams at {self._endpoint}: {error}"
        if code == "ResourceNotFoundException":
            return SourceGone(f"{operation}: {error.response['Error'].get('Message', code)}")
        if code == "ExpiredIteratorException":
            return ExpiredIterator(text, transient=True)
        if code == "TrimmedDataAccessException":
            return TrimmedPosition(text, transient=True)
        return AdapterError(text, transient=status >= 500 or code in _BUSY)
