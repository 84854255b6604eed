"""A function that keeps a history, the node it runs on, and the hand that kills things."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from eventrouter.rules.names import FunctionName
from tests.chaos.checker import violations
from tests.chaos.history import SOURCE, Fault, History
from tests.chaos.processes import descendants, is_alive
from tests.chaos.servers import ValkeyProcess, look
from tests.e2e.accounts import REGION, Account
from tests.e2e.nodes import NodeProcess, wait_until

RETRIES = 2
QUICK = {"EVENTROUTER_ASYNC_RETRY_BASE_DELAY": "0.2"}


class World:
    """One node, one function with a reserved concurrency, one history."""

    def __init__(self, folder: Path, *, reserved: int, valkey: ValkeyProcess | None = None) -> None:
        self.valkey = valkey
        self.reserved = reserved
        self.history = History(folder / "history.jsonl")
        self.node = NodeProcess(folder / "data", redis_url=valkey.url if valkey else None, environment=QUICK)
        self.node.start()
        self.account = Account(self.node.url)
        self.name = self.account.function(SOURCE, Timeout=20)
        self.account.reserve(self.name, reserved)

    @property
    def key(self) -> str:
        return FunctionName(account=self.account.id, region=REGION, name=self.name).key

    def event(self, seconds: float, **more: float) -> dict[str, object]:
        return {"history": str(self.history.path), "seconds": seconds, **more}

    def send(self, count: int, seconds: float, **more: float) -> set[str]:
        """Send events that must all be accepted, and return their ids."""
        with ThreadPoolExecutor(4) as senders:
            event = self.event(seconds, **more)
            sent = set(senders.map(lambda _: self.account.send(self.name, event), range(count)))
        self.history.accepted |= sent
        return sent

    def run_once_on(self, node: NodeProcess) -> None:
        """Run the function once on that node, so that it has the package: packages are fetched on first use."""
        account = Account(node.url, account_id=self.account.id)
        answer = wait_until("a run there", lambda: _answer(account, self.name, self.event(0)))
        self.history.accepted.add(answer)
        account.close()

    def try_to_send(self, seconds: float) -> bool:
        """Send one event, and note honestly what the caller knows afterwards."""
        try:
            self.history.accepted.add(self.account.send(self.name, self.event(seconds)))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in {429, 500, 503}:
                raise
            self.history.unknown += 1
            return False
        except BotoCoreError:
            self.history.unknown += 1
            return False
        return True

    def call(self, seconds: float) -> Future[str]:
        """Start a synchronous call on a thread of its own. Its id is known once it is answered."""
        self.history.unknown += 1
        answer: Future[str] = Future()

        def run() -> None:
            try:
                answer.set_result(self.account.invoke(self.name, self.event(seconds)).json)
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return answer

    def kill_environment(self, pid: int) -> None:
        with self.fault(f"environment {pid}", frozenset({pid})):
            os.kill(pid, signal.SIGKILL)

    def kill_node(self) -> None:
        """Kill the node; what it leaves behind ends by itself."""
        below = descendants(self.node.process.pid)
        with self.fault("node"):
            self.node.kill()
            wait_until("its processes to be gone", lambda: not [pid for pid in below if is_alive(pid)])

    def kill_valkey(self) -> None:
        assert self.valkey is not None
        with self.fault("valkey"):
            self.valkey.kill()

    @contextmanager
    def fault(self, what: str, pids: frozenset[int] | None = None) -> Iterator[None]:
        """Note a fault that lasts from the beginning of the block to its end."""
        began = time.monotonic_ns()
        yield
        self.history.faults.append(Fault(what, began, time.monotonic_ns(), pids))

    def settle(self, *, seconds: float = 30) -> None:
        """Wait until everything accepted has come to a good end; then check all promises and the slots."""
        missing = self.history.accepted - self.history.done()
        if missing:
            try:
                wait_until("all accepted events", lambda: self.history.accepted <= self.history.done(), seconds=seconds)
            except AssertionError:
                left = sorted(self.history.accepted - self.history.done())
                raise AssertionError(f"{len(left)} of {len(self.history.accepted)} lost: {left[:5]}") from None
        wait_until("running calls to end", lambda: not self.history.in_flight())
        if self.valkey is not None:
            url = self.valkey.url
            wait_until("an empty queue", lambda: look(url, lambda store: store.events.depth(self.key)) == 0)
            wait_until("all slots to be free", lambda: look(url, lambda store: store.slots.in_use(self.key)) == 0)
        broken = violations(self.history, retries=RETRIES, reserved=self.reserved)
        assert not broken, "\n".join(broken)

    def all_slots_work(self) -> bool:
        """Say whether as many calls as are reserved can run at once: the slots as callers see them."""
        calls = [self.call(0.5) for _ in range(self.reserved)]
        return all(call.exception(20) is None for call in calls)

    def close(self) -> None:
        self.account.close()
        self.node.stop()


def _answer(account: Account, name: str, event: dict[str, object]) -> str | None:
    try:
        return str(account.invoke(name, event).json)
    except account.lambda_.exceptions.ClientError:
        return None


@contextmanager
def world(folder: Path, *, reserved: int, valkey: ValkeyProcess | None = None) -> Iterator[World]:
    """Run a world for the length of the block; everything it started is ended with it."""
    made = World(folder, reserved=reserved, valkey=valkey)
    try:
        yield made
    finally:
        made.close()
