"""Long jobs, carried by RQ: a queue of them in Redis, and a worker that is a process of its own.

A job is a name of a function and a few texts, as JSON. It is worth nothing by itself: what is to be done stands in
our own store, a job only says that somebody is at it. So a job that is lost is enqueued again, and one that is there
twice does no harm. A job makes one short turn and is enqueued again for the next, behind all others.

RQ keeps its own keys, `rq:…`, outside of our prefix; the prefix is part of the names of queue, jobs and workers.
RQ's calls block, so a node makes them in a thread. Source: decision 0025.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.connection import SSLConnection, parse_url
from redis.exceptions import RedisError
from redis.sentinel import Sentinel
from rq import Queue, Retry, SimpleWorker, get_current_job
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker_registration import clean_worker_registry, get_keys

from eventrouter.errors import Unavailable
from eventrouter.redis_url import read_redis_url

JOB_TIMEOUT_S = 30
"""When RQ breaks off a turn; turns are far shorter."""

LOST_AFTER_S = 60
"""A job that made no turn for this long is lost: Redis forgets it, and it can be enqueued anew."""

WORKER_TTL_S = 60
CONNECT_TIMEOUT_S = 2.0
_TURNS = 1_000_000_000


def queue_name(prefix: str) -> str:
    """Return the name of an installation's queue, as `rq info` shows it."""
    return f"{prefix}-jobs"


def notes() -> dict[str, Any]:  # Any: JSON values
    """Return what the job that runs keeps from turn to turn; whoever changes it changes what the next turn sees."""
    return _current_job().meta


def others_wait() -> bool:
    """Say whether there are jobs that no worker has time for."""
    job = _current_job()
    return Queue(job.origin, connection=job.connection).count > 0


def again() -> Retry:
    """Return what a job answers that wants another turn: it is enqueued once more, behind the others."""
    return Retry(max=_TURNS)


def _current_job() -> Job:
    job = get_current_job()
    assert job is not None, "no job runs in this process"
    return job


def _connect(url: str) -> Redis:
    """Return a client of the server, or of whichever is the primary by what the sentinels say."""
    named = read_redis_url(url)
    if named.kind == "server":
        return Redis.from_url(named.one, socket_connect_timeout=CONNECT_TIMEOUT_S)
    assert named.kind == "sentinel", "RQ's keys do not share a slot, so a cluster has none of its jobs"
    sentinels = Sentinel([])  # type: ignore[no-untyped-call]  # redis-py's gap
    sentinels.sentinels = [
        Redis.from_url(named.sentinel_at(address), socket_timeout=CONNECT_TIMEOUT_S) for address in named.hosts
    ]
    options: dict[str, Any] = parse_url(named.at(named.hosts[0]))  # type: ignore[no-untyped-call]  # as above
    is_secure = options.pop("connection_class", None) is SSLConnection
    kept = {name: value for name, value in options.items() if name not in {"host", "port"}}
    client: Redis = sentinels.master_for(  # type: ignore[no-untyped-call]  # as above
        named.service, ssl=is_secure, socket_connect_timeout=CONNECT_TIMEOUT_S, **kept
    )
    return client


class Jobs:
    """The jobs of one installation. Every method may block, and raises Unavailable."""

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = _connect(url)
        self._prefix = prefix
        self.queue = Queue(queue_name(prefix), connection=self._redis, serializer=JSONSerializer)

    def ensure(self, function: str, name: str, arguments: Sequence[str]) -> bool:
        """Enqueue a job unless there is one of this name; say whether it was enqueued now."""
        job_id = f"{self._prefix}-{name}"
        try:
            return self._enqueue(job_id, function, arguments)
        except RedisError as error:
            raise Unavailable(f"RQ could not enqueue {job_id}: {error}") from error

    def _enqueue(self, job_id: str, function: str, arguments: Sequence[str]) -> bool:
        try:
            self.queue.enqueue_call(
                function,
                args=tuple(arguments),
                job_id=job_id,
                timeout=JOB_TIMEOUT_S,
                ttl=LOST_AFTER_S,
                failure_ttl=LOST_AFTER_S,
                result_ttl=0,
                description=f"{function.rpartition('.')[2]} {' '.join(arguments)}",
                unique=True,
            )
        except DuplicateJobError:
            # RQ takes the time limit off a job that starts. Its next turn renews the one that is set here.
            self._redis.expire(Job.key_for(job_id), LOST_AFTER_S, nx=True)
            return False
        return True

    def release(self, host: str) -> None:
        """Forget the workers of a host, of which none lives any more, with the jobs that they were at."""
        try:
            for key in get_keys(self.queue):
                if key.removeprefix(SimpleWorker.redis_worker_namespace_prefix).startswith(f"{self._prefix}-{host}-"):
                    self._forget(key)
            clean_worker_registry(self.queue)
        except RedisError as error:
            raise Unavailable(f"RQ could not release the jobs of {host}: {error}") from error

    def _forget(self, key: str) -> None:
        job_id = self._redis.hget(key, "current_job")
        if isinstance(job_id, bytes):
            with contextlib.suppress(NoSuchJobError):
                Job.fetch(job_id.decode(), connection=self._redis, serializer=JSONSerializer).delete()
        self._redis.delete(key)

    def close(self) -> None:
        self._redis.close()

    def work(self, worker: str, *, idle_s: int) -> None:
        """Work off jobs in this process until none has come for `idle_s`, or SIGTERM asks to end after this one."""
        # RQ asks for its own address, which a user of the server without +client|list may not see; it does without.
        warnings.filterwarnings("ignore", message="CLIENT ", module="rq")
        # Jobs run in the worker itself: the code is ours, and nothing has to be forked for a turn of two seconds.
        SimpleWorker(
            [self.queue], name=worker, connection=self._redis, serializer=JSONSerializer, worker_ttl=WORKER_TTL_S
        ).work(logging_level="WARNING", max_idle_time=idle_s)
