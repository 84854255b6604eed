"""What the store says about a queue, in SQS's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventrouter.store import Conflict
from eventrouter.store.queues import MessageTooLong, NoSuchQueue, PurgeInProgress, QueueDeletedRecently, QueueName
from eventrouter_adapters.sqs import errors


@contextmanager
def translated(queue: QueueName) -> Iterator[None]:
    """Turn the store's errors about `queue` into SQS's."""
    try:
        yield
    except NoSuchQueue as error:
        raise errors.queue_does_not_exist() from error
    except QueueDeletedRecently as error:
        raise errors.queue_deleted_recently() from error
    except MessageTooLong as error:
        raise errors.too_long(error.max_bytes) from error
    except Conflict as error:
        raise errors.throttled(f"The queue {queue.name} is being changed by others. Try again.") from error
    except PurgeInProgress as error:
        raise errors.purge_in_progress(queue.name) from error
