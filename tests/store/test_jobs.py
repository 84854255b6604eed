"""RQ's queue and worker, on a real server: a job is there once, is forgotten when lost, and is worked off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from eventrouter.errors import Unavailable
from eventrouter.settings import Settings
from eventrouter.store.embedded import EmbeddedValkey
from eventrouter.store.jobs import LOST_AFTER_S, Jobs
from eventrouter.worker import worker_environment

pytestmark = pytest.mark.integration

NOTHING_TO_DO = "eventrouter.jobs.move_messages"
QUEUE = "000000000000:us-east-1:no-such-queue"
RIGHTS = ["~{er:*", "+@read", "+@write", "+@connection", "+@pubsub", "+@scripting", "-@admin", "-@dangerous", "+info"]
"""The node's own."""
MORE_RIGHTS = ["~rq:*", "&rq:*", "+@transaction"]


@pytest.fixture
def client(valkey: EmbeddedValkey) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def jobs(valkey: EmbeddedValkey, client: Redis) -> Iterator[Jobs]:
    jobs = Jobs(valkey.url, "er")
    yield jobs
    jobs.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@contextmanager
def a_worker(url: str, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker as a node does."""
    environment = {**os.environ, **worker_environment(Settings(), url)}
    with subprocess.Popen([sys.executable, "-m", "eventrouter.worker", name], env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def names(client: Redis) -> list[str]:
    return [worker.name for worker in Worker.all(queue=Queue("er-jobs", connection=client))]


def test_a_job_is_enqueued_once_as_json(jobs: Jobs, client: Redis) -> None:
    assert jobs.ensure(NOTHING_TO_DO, "h", (QUEUE, "h"))
    assert not jobs.ensure(NOTHING_TO_DO, "h", (QUEUE, "h"))

    assert client.lrange("rq:queue:er-jobs", 0, -1) == [b"er-h"]
    job = Job.fetch("er-h", connection=client, serializer=JSONSerializer)
    assert (job.func_name, job.args) == (NOTHING_TO_DO, [QUEUE, "h"])


def test_a_job_that_makes_no_turn_is_forgotten(jobs: Jobs, client: Redis) -> None:
    jobs.ensure(NOTHING_TO_DO, "h", (QUEUE, "h"))
    assert 0 < client.ttl("rq:job:er-h") <= LOST_AFTER_S
    client.persist("rq:job:er-h")  # as RQ does when it starts a job

    jobs.ensure(NOTHING_TO_DO, "h", (QUEUE, "h"))

    assert 0 < client.ttl("rq:job:er-h") <= LOST_AFTER_S


def test_what_a_dead_worker_of_the_host_was_at_may_be_enqueued_again(jobs: Jobs, client: Redis) -> None:
    for host in ("mine", "other"):
        name = f"er-{host}-1"
        jobs.ensure(NOTHING_TO_DO, host, (QUEUE, host))
        client.lpop("rq:queue:er-jobs")
        client.hset(f"rq:worker:{name}", mapping={"birth": "", "current_job": f"er-{host}"})
        client.sadd("rq:workers", f"rq:worker:{name}")
        client.sadd("rq:workers:er-jobs", f"rq:worker:{name}")

    jobs.release("mine")

    assert client.smembers("rq:workers:er-jobs") == {b"rq:worker:er-other-1"}
    assert jobs.ensure(NOTHING_TO_DO, "mine", (QUEUE, "mine"))
    assert not jobs.ensure(NOTHING_TO_DO, "other", (QUEUE, "other"))


def test_a_worker_does_its_jobs_and_ends_when_it_is_asked_to(jobs: Jobs, client: Redis, valkey: EmbeddedValkey) -> None:
    jobs.ensure(NOTHING_TO_DO, "h", (QUEUE, "h"))

    with a_worker(valkey.url, "er-host-1") as process:
        until(lambda: not client.exists("rq:job:er-h"))
        assert names(client) == ["er-host-1"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert names(client) == []


def test_a_worker_needs_rights_on_its_own_keys_and_rq_s(jobs: Jobs, client: Redis, valkey: EmbeddedValkey) -> None:
    client.execute_command("ACL", "SETUSER", "worker", "on", ">secret", *RIGHTS, *MORE_RIGHTS)
    client.execute_command("ACL", "SETUSER", "narrow", "on", ">secret", *RIGHTS)
    try:
        url = valkey.url.replace("unix://", "unix://worker:secret@")
        own = Jobs(url, "er")
        assert own.ensure(NOTHING_TO_DO, "h", (QUEUE, "h"))
        own.release("host")
        own.close()
        with a_worker(url, "er-host-1") as process:
            until(lambda: not client.exists("rq:job:er-h"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        narrow = Jobs(url.replace("worker:", "narrow:"), "er")
        with pytest.raises(Unavailable, match="RQ could not enqueue er-h"):
            narrow.ensure(NOTHING_TO_DO, "h", (QUEUE, "h"))
        narrow.close()
    finally:
        client.execute_command("ACL", "DELUSER", "worker", "narrow")
