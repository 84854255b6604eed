"""Two nodes on one server: a call that the first has no room for is run by the second, once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from eventrouter.rules.names import FunctionName
from eventrouter.store import Store
from tests.chaos.processes import descendants, is_alive
from tests.chaos.servers import ValkeyProcess, look
from tests.e2e.accounts import REGION, Account, Answer, Notes
from tests.e2e.nodes import NodeProcess, wait_until

CROWDED = {"EVENTROUTER_MAX_ENVIRONMENTS": "1"}
SOURCE = """
import os, time

def handler(event, context):
    folder = event["notes"]
    print("printed by", os.getpid())
    with open(os.path.join(folder, "started"), "a") as file:
        file.write(f"{context.aws_request_id} {event['name']}\\n")
    deadline = time.monotonic() + 50
    while not event.get("open") and not os.path.exists(os.path.join(folder, event["name"])):
        assert time.monotonic() < deadline, "nobody opened the gate"
        time.sleep(0.01)
    with open(os.path.join(folder, "ended"), "a") as file:
        file.write(f"{event['name']}\\n")
    return {"arn": context.invoked_function_arn, "echo": event.get("echo")}
"""
"""Notes its start in `event["notes"]`, waits for a file of its event's name there, notes its end, and echoes."""


class Pair:
    """Two nodes with room for one environment each, and a function that is warm on neither."""

    def __init__(self, folder: Path, valkey: ValkeyProcess, notes: Notes) -> None:
        self.notes = notes
        self.valkey = valkey
        self.first, self.second = (
            NodeProcess(folder / name, redis_url=valkey.url, environment=CROWDED) for name in ("first", "second")
        )

    def start(self) -> Pair:
        self.second.start()
        self.first.start()
        self.account = Account(self.first.url)
        self.name = self.account.function(SOURCE, Timeout=60)
        wait_until("a call to cross", self.lets_a_call_cross, seconds=30)
        return self

    def stop(self) -> None:
        self.account.close()
        self.first.stop()
        self.second.stop()

    def lets_a_call_cross(self) -> bool:
        """Try whether the second node takes a call now; it has then fetched the package, too."""
        before = self.runs_on(self.second)
        with self.busy():
            crossing = self.start_call("probe", event={"open": True})
            with contextlib.suppress(TimeoutError):
                crossing.result(4)
        crossing.result(20)
        return self.runs_on(self.second) > before

    def event(self, name: str, **more: Any) -> dict[str, Any]:
        return {"notes": self.notes.path, "name": name, **more}

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Keep the first node's only environment in use while the block lasts."""
        name = f"busy-{time.monotonic_ns()}"
        answer = self.call(name)
        try:
            yield
        finally:
            self.notes.write(name)
            assert answer.result(20).status == 200

    def call(self, name: str, **settings: Any) -> Future[Answer]:
        """Start a call of the first node; return once the function has begun."""
        answer = self.start_call(name, **settings)
        wait_until(f"{name} to begin", lambda: name in self.begun() or answer.done())
        return answer

    def start_call(self, name: str, **settings: Any) -> Future[Answer]:
        """Start a call of the first node on a thread of its own."""
        answer: Future[Answer] = Future()
        event = self.event(name, **settings.pop("event", {}))

        def run() -> None:
            account = Account(self.first.url, account_id=self.account.id)
            try:
                answer.set_result(account.invoke(self.name, event, **settings))
            except Exception as error:
                answer.set_exception(error)
            finally:
                account.close()

        threading.Thread(target=run, daemon=True).start()
        return answer

    def begun(self) -> list[str]:
        return [line.split()[1] for line in self.notes.lines("started")]

    def runs_on(self, node: NodeProcess) -> float:
        return node.metric("Invocations", self.name)

    def undecided(self) -> int:
        """Return how many offers lie in the second node's inbox."""

        async def count(store: Store) -> int:
            hosts = await store.hosts.list()
            inc = next(inc for inc, info in hosts.items() if info.url == self.second.url)
            return int(await store.scripts.command("HLEN", store.keys.inbox(inc, "open")))

        return look(self.valkey.url, count)

    def slots_in_use(self) -> int:
        key = FunctionName(account=self.account.id, region=REGION, name=self.name).key
        return look(self.valkey.url, lambda store: store.slots.in_use(key))


@pytest.fixture
def valkey() -> Iterator[ValkeyProcess]:
    with tempfile.TemporaryDirectory(prefix="er-") as folder:
        server = ValkeyProcess(Path(folder)).start()
        yield server
        server.kill()


@pytest.fixture
def pair(tmp_path: Path, valkey: ValkeyProcess, notes: Notes) -> Iterator[Pair]:
    pair = Pair(tmp_path, valkey, notes)
    try:
        yield pair.start()
    finally:
        pair.stop()


def test_a_call_beyond_the_first_nodes_room_is_run_by_the_second_and_answered_as_usual(pair: Pair) -> None:
    echo = "x" * 5_900_000
    with pair.busy():
        before = (pair.runs_on(pair.first), pair.runs_on(pair.second))
        event = pair.event("large", open=True, echo=echo)
        answer = pair.account.invoke(pair.name, json.dumps(event).encode(), LogType="Tail")

        assert (pair.runs_on(pair.first), pair.runs_on(pair.second)) == (before[0], before[1] + 1)
    assert answer.status == 200
    assert answer.function_error is None
    assert answer.executed_version == "$LATEST"
    assert answer.json["echo"] == echo
    assert answer.json["arn"].endswith(f":function:{pair.name}")
    assert "printed by" in answer.log
    assert f"START RequestId: {answer.request_id}" in answer.log
    wait_until("the slots to be free", lambda: pair.slots_in_use() == 0)


def test_the_death_of_the_node_that_runs_a_call_answers_it_and_starts_it_nowhere_else(pair: Pair) -> None:
    with pair.busy():
        crossing = pair.call("crossing-2")
        assert pair.slots_in_use() == 2
        below = descendants(pair.second.process.pid)
        killed_at = time.monotonic()
        pair.second.kill()

        error = crossing.exception(20)

        took_s = time.monotonic() - killed_at
        assert isinstance(error, ClientError)
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        assert took_s < 15
        assert pair.begun().count("crossing-2") == 1
        wait_until("its slot to be free", lambda: pair.slots_in_use() == 1)
    wait_until("its processes to be gone", lambda: not [pid for pid in below if is_alive(pid)])
    assert pair.begun().count("crossing-2") == 1


def test_a_stopped_node_is_not_waited_for_and_does_not_begin_when_it_goes_on(pair: Pair) -> None:
    with pair.busy():
        os.kill(pair.second.process.pid, signal.SIGSTOP)
        try:
            answer = pair.start_call("alone", event={"open": True})
            wait_until("the offer to be sent", lambda: pair.undecided() == 1)
            wait_until("the offer to be taken back", lambda: pair.undecided() == 0)
            assert "alone" not in pair.begun()
        finally:
            os.kill(pair.second.process.pid, signal.SIGCONT)
    assert answer.result(20).status == 200
    wait_until("a call to cross again", pair.lets_a_call_cross, seconds=30)
    assert pair.begun().count("alone") == 1
    wait_until("the slots to be free", lambda: pair.slots_in_use() == 0)


def test_a_caller_that_hangs_up_stops_nothing_and_its_slot_comes_back(pair: Pair) -> None:
    with pair.busy():
        impatient = boto3.client(
            "lambda",
            endpoint_url=pair.first.url,
            region_name=REGION,
            aws_access_key_id=pair.account.id,
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=1.5),
        )
        with pytest.raises(ReadTimeoutError):
            impatient.invoke(FunctionName=pair.name, Payload=json.dumps(pair.event("left")).encode())
        impatient.close()
        assert pair.begun().count("left") == 1
        assert pair.slots_in_use() == 2

        pair.notes.write("left")

        wait_until("its end", lambda: "left" in pair.notes.lines("ended"))
        wait_until("its slot to be free", lambda: pair.slots_in_use() == 1)
    assert pair.begun().count("left") == 1
