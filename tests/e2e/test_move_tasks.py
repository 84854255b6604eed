"""Move tasks on real nodes: dead letters go back, at the rate asked for, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue as RqQueue
from rq import Worker

from eventrouter.store.embedded import socket_path
from tests.chaos.servers import ValkeyProcess
from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, wait_until

BATCH = 10


class Letters:
    """A dead-letter queue full of messages, and the queue that they are moved to."""

    def __init__(self, account: Account, count: int, name: str = "letters") -> None:
        self.account = account
        self.sqs = account.sqs
        self.dead = self._queue(f"{name}-dead")
        self.jobs = self._queue(name, self.dead)
        self.bodies = {f"message {number}" for number in range(count)}
        pending = sorted(self.bodies)
        for start in range(0, count, BATCH):
            batch = [
                {"Id": str(index), "MessageBody": body} for index, body in enumerate(pending[start : start + BATCH])
            ]
            assert not self.sqs.send_message_batch(QueueUrl=self.dead, Entries=batch).get("Failed")

    def _queue(self, name: str, dead: str | None = None) -> str:
        redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": 5})}
        return str(self.sqs.create_queue(QueueName=name, Attributes=redrive if dead else {})["QueueUrl"])

    def arn(self, url: str | None) -> str:
        return (
            str(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])
            if url
            else ""
        )

    def start(self, **settings: Any) -> str:
        arns = {"SourceArn": self.arn(self.dead), "DestinationArn": self.arn(self.jobs)}
        return str(self.sqs.start_message_move_task(**arns, **settings)["TaskHandle"])

    @property
    def task(self) -> dict[str, Any]:
        """Return the newest task, as it is listed."""
        task: dict[str, Any] = self.sqs.list_message_move_tasks(SourceArn=self.arn(self.dead))["Results"][0]
        return task

    @property
    def moved(self) -> int:
        return int(self.task["ApproximateNumberOfMessagesMoved"])

    def wait_for(self, status: str, seconds: float = 20) -> None:
        wait_until(f"the task to be {status}", lambda: self.task["Status"] == status, seconds=seconds)

    def drain(self, url: str) -> list[str]:
        """Receive and delete everything in a queue."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH).get("Messages"):
            found += [message["Body"] for message in messages]
            entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
            self.sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return found

    def check_all_moved_once(self) -> None:
        assert sorted(self.drain(self.jobs)) == sorted(self.bodies)
        assert self.drain(self.dead) == []
        assert self.moved == len(self.bodies)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path / "data")
    try:
        yield process.start()
    finally:
        process.stop()


@pytest.fixture
def account(node: NodeProcess) -> Iterator[Account]:
    account = Account(node.url)
    yield account
    account.close()


def workers(node: NodeProcess) -> list[Any]:
    """Return the workers that `rq info` shows on the node's server."""
    with Redis(unix_socket_path=str(socket_path(node.data_dir / "valkey"))) as client:
        return list(Worker.all(queue=RqQueue("er-jobs", connection=client)))


def the_worker(node: NodeProcess) -> int:
    """Wait for the node's worker; return its process id."""
    [worker] = wait_until("a worker", lambda: workers(node))
    return int(worker.pid)


def test_all_messages_are_moved_by_a_worker_that_rq_knows(node: NodeProcess, account: Account) -> None:
    letters = Letters(account, 250)
    assert workers(node) == []

    letters.start()
    letters.wait_for("COMPLETED")

    letters.check_all_moved_once()
    assert [worker.name.split("-")[0] for worker in workers(node)] == ["er"]


def test_two_tasks_take_turns_and_each_keeps_its_rate(node: NodeProcess, account: Account) -> None:
    slow, fast = Letters(account, 60, "slow"), Letters(account, 200, "fast")
    began = time.monotonic()
    slow.start(MaxNumberOfMessagesPerSecond=10)
    fast.start(MaxNumberOfMessagesPerSecond=100)

    while slow.task["Status"] == "RUNNING":
        moved = slow.moved
        assert moved <= 10 * (time.monotonic() - began) + 5, f"{moved} after {time.monotonic() - began:.1f} s"
        time.sleep(0.1)

    assert time.monotonic() - began > 5
    fast.wait_for("COMPLETED")
    slow.check_all_moved_once()
    fast.check_all_moved_once()


def test_a_cancelled_task_stops_and_leaves_the_rest(node: NodeProcess, account: Account) -> None:
    letters = Letters(account, 100)
    handle = letters.start(MaxNumberOfMessagesPerSecond=10)
    wait_until("the first messages", lambda: letters.moved > 3)

    account.sqs.cancel_message_move_task(TaskHandle=handle)
    letters.wait_for("CANCELLED")

    moved = letters.moved
    assert 3 < moved < 100
    assert len(letters.drain(letters.jobs)) == moved
    assert len(letters.drain(letters.dead)) == 100 - moved


def test_a_task_whose_destination_is_deleted_fails_and_keeps_the_messages(node: NodeProcess, account: Account) -> None:
    letters = Letters(account, 100)
    letters.start(MaxNumberOfMessagesPerSecond=20)
    wait_until("the first messages", lambda: letters.moved > 3)

    account.sqs.delete_queue(QueueUrl=letters.jobs)
    letters.wait_for("FAILED")

    assert letters.task["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert letters.drain(letters.dead) != []


def test_a_worker_that_is_killed_is_replaced_and_goes_on_where_it_was(node: NodeProcess, account: Account) -> None:
    letters = Letters(account, 1_200)
    letters.start(MaxNumberOfMessagesPerSecond=400)

    killed = set()
    for mark in (50, 400, 750):
        wait_until(f"{mark} messages", lambda mark=mark: letters.moved >= mark)  # type: ignore[misc]
        pid = the_worker(node)
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
        wait_until("another worker", lambda: all(worker.pid not in killed for worker in workers(node)))

    letters.wait_for("COMPLETED", seconds=30)
    letters.check_all_moved_once()
    assert len(killed) == 3


@pytest.mark.parametrize("is_crash", [False, True], ids=["drained", "killed"])
def test_a_node_that_starts_again_takes_up_its_tasks(node: NodeProcess, account: Account, is_crash: bool) -> None:
    letters = Letters(account, 300)
    letters.start(MaxNumberOfMessagesPerSecond=60)
    wait_until("the first messages", lambda: letters.moved > 20)
    worker = the_worker(node)

    node.kill() if is_crash else node.stop()
    wait_until("the worker to end with its node", lambda: not Path(f"/proc/{worker}").exists())
    node.start()

    assert letters.task["Status"] == "RUNNING"
    letters.wait_for("COMPLETED")
    letters.check_all_moved_once()


def test_another_node_takes_up_the_task_of_one_that_is_gone(tmp_path: Path) -> None:
    valkey = ValkeyProcess(tmp_path).start()
    one, two = (NodeProcess(tmp_path / name, redis_url=valkey.url).start() for name in ("one", "two"))
    first = Account(one.url)
    second = Account(two.url, account_id=first.id)
    try:
        letters = Letters(first, 600)
        letters.start(MaxNumberOfMessagesPerSecond=60)
        wait_until("the first messages", lambda: letters.moved > 20)

        one.kill()

        letters.sqs = second.sqs
        letters.wait_for("COMPLETED", seconds=60)
        letters.check_all_moved_once()
    finally:
        first.close()
        second.close()
        one.stop()
        two.stop()
        valkey.kill()


def test_a_task_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    valkey = ValkeyProcess(tmp_path).start()
    node = NodeProcess(tmp_path / "node", redis_url=valkey.url).start()
    account = Account(node.url)
    try:
        letters = Letters(account, 600)
        letters.start(MaxNumberOfMessagesPerSecond=100)
        wait_until("the first messages", lambda: letters.moved > 50)

        valkey.kill()
        valkey.start()

        wait_until("the node to be ready", node.is_ready)
        letters.wait_for("COMPLETED", seconds=60)
        letters.check_all_moved_once()
    finally:
        account.close()
        node.stop()
        valkey.kill()
