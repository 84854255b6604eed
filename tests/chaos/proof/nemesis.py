"""The hand that kills, stops, cuts off, fills and shifts things, one after the other, by a seed; and notes what it did.

A fault is noted once it is over: what it was, when it began, by when all that it took with it was dead, and the
processes that it killed or may have killed. What is to kill nothing names none, and so excuses nothing. Environments
are killed beside all that, all the time.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random

import redis

from eventrouter.rules.witness import FENCE_KILL_S
from tests.chaos.processes import is_alive
from tests.chaos.proof.machine import LINKED, SHIFTED, Machine, Node
from tests.chaos.proof.network import Namespaces
from tests.chaos.proof.recorder import Recorder
from tests.chaos.proof.setting import Setting
from tests.e2e.nodes import wait_until

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. One that is not repeated is caused once; `needs` says what the machine must grant."""

    name: str
    cause: Callable[[Nemesis], None]
    is_repeated: bool = False
    needs: str = ""


class Nemesis:
    """Works through every kind of fault once, in an order that the seed decides, then repeats the short ones."""

    def __init__(self, machine: Machine, setting: Setting, recorder: Recorder, *, seed: int, kills: int) -> None:
        self.machine = machine
        self.setting = setting
        self.recorder = recorder
        self.random = Random(seed)
        self.caused: list[str] = []
        self.left_out: list[str] = []
        self._killers = Killers(self, kills)
        self._lock = threading.Lock()

    def work(self, *, seconds: float) -> None:
        """Cause faults for so long; what has begun is finished."""
        until = time.monotonic() + seconds
        self._killers.start(seconds)
        waiting = [fault for fault in self.machine_faults() if self._is_possible(fault)]
        repeated = [fault for fault in waiting if fault.is_repeated]
        self.random.shuffle(waiting)
        self.left_out = [fault.name for fault in waiting]
        while time.monotonic() < until:
            fault = waiting.pop() if waiting else self.random.choice(repeated)
            print(f"  {fault.name}", flush=True)
            fault.cause(self)
            self.caused.append(fault.name)
            self.left_out = [fault.name for fault in waiting]
            time.sleep(self.random.uniform(0.2, 0.6))
        self._killers.stop()

    @property
    def kills(self) -> int:
        return self._killers.count

    def machine_faults(self) -> Sequence[Fault]:
        """Return what can be done to the servers that this machine has, and to its nodes."""
        return FAILOVERS if self.machine.is_replicated else FAULTS

    def _is_possible(self, fault: Fault) -> bool:
        machine = self.machine
        granted = {
            "": True,
            "namespaces": machine.network.can_partition,
            "clock": machine.server is not None and machine.server.clock is not None,
            "disk": machine.server is not None and machine.server.has_own_disk,
        }
        return granted[fault.needs]

    # Noting.

    @contextmanager
    def fault(self, kind: str, target: str, *, pids: Sequence[int] | None = ()) -> Iterator[None]:
        """Note a fault that lasts from the beginning of the block to its end. `pids` None: it may hit any run."""
        began = time.monotonic_ns()
        try:
            yield
        finally:
            self.note(kind, target, began, None if pids is None else list(pids))

    def note(self, kind: str, target: str, began: int, pids: list[int] | None, **more: list[int]) -> None:
        with self._lock:
            until = time.monotonic_ns()
            self.recorder.note("fault", t=began, kind=kind, target=target, until=until, pids=pids, **more)
            self.recorder.flush()

    def any_node(self) -> Node:
        return self.random.choice(self.machine.nodes)

    def restart(self, node: Node) -> None:
        """Start a node again and note when it was ready: how long a machine takes to have its node back."""
        began = time.monotonic_ns()
        self.machine.spawn(node)
        node.wait_ready()
        with self._lock:
            self.recorder.note("started", target=node.name, spawned=began)


class Killers:
    """A thread that kills one environment after the other."""

    def __init__(self, nemesis: Nemesis, kills: int) -> None:
        self._nemesis = nemesis
        self._random = Random(nemesis.random.random())
        self._kills = kills
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self.failure: Exception | None = None
        self.count = 0

    def start(self, seconds: float) -> None:
        self._thread = threading.Thread(target=self._run, args=(seconds / max(self._kills, 1),), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Kill what is left to kill, and end."""
        self._is_over.set()
        assert self._thread is not None
        self._thread.join(60)
        if self.failure is not None:
            raise self.failure

    def _run(self, pause_s: float) -> None:
        began = time.monotonic()
        try:
            while self.count < self._kills and not self._is_over.wait(
                max(began + (self.count + 1) * pause_s - time.monotonic(), 0)
            ):
                self._kill_one()
        except Exception as error:
            self.failure = error

    def _kill_one(self) -> None:
        node = self._random.choice(self._nemesis.machine.nodes)
        try:
            victim = self._random.choice(node.environments())
            began = time.monotonic_ns()
            os.kill(victim, signal.SIGKILL)
        except (OSError, ValueError, IndexError, AssertionError):
            time.sleep(0.05)  # this node is down, or has no environment now
            return
        deadline = time.monotonic() + 5
        while is_alive(victim) and time.monotonic() < deadline:
            time.sleep(0.002)
        self.count += 1
        self._nemesis.note("environment kill", "environment", began, [victim])


# What can be caused.


def _wait_gone(pids: list[int]) -> None:
    wait_until("its processes to be gone", lambda: not any(is_alive(pid) for pid in pids), seconds=20)


def _kill(here: Nemesis, node: Node) -> None:
    below = node.below()
    with here.fault("node kill", node.name, pids=below):
        node.process.kill()
        node.process.wait(10)
        _wait_gone(below)


def kill_and_restart_node(here: Nemesis) -> None:
    """As a machine does whose node crashed: it is started again at once."""
    node = here.any_node()
    below = node.below()
    with here.fault("node kill, restart", node.name, pids=below):
        node.process.kill()
        node.process.wait(10)
        here.machine.spawn(node)
        _wait_gone(below)
    node.wait_ready()


def kill_node_for_good(here: Nemesis) -> None:
    """The others must find out by silence; it comes back long after."""
    node = here.any_node()
    _kill(here, node)
    time.sleep(13.5)
    here.restart(node)


def drain_node(here: Nemesis) -> None:
    node = here.any_node()
    below = node.below()
    began = time.monotonic_ns()
    code = node.end()
    assert code in {0, 143}, f"{node.name} drained with {code}"
    here.note("drain", node.name, began, [], below=below)
    time.sleep(1)
    here.restart(node)


def stop_node_briefly(here: Nemesis) -> None:
    _stop(here, here.any_node(), 4)


def stop_node_for_long(here: Nemesis) -> None:
    """Its environments are killed by their keeper, its work is done elsewhere; then it goes on, and changes nothing."""
    _stop(here, here.any_node(), 12.5)


def _stop(here: Nemesis, node: Node, seconds: float) -> None:
    is_long = seconds > FENCE_KILL_S
    below = node.below() if is_long else ()
    with here.fault("long stop" if is_long else "stop", node.name, pids=below):
        node.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        node.process.send_signal(signal.SIGCONT)
    wait_until(f"{node.name} to take part again", node.is_ready, seconds=30)


def kill_keeper(here: Nemesis) -> None:
    node = here.any_node()
    zygote, below = node.zygote(), node.below()
    with here.fault("keeper kill", node.name, pids=below):
        os.kill(zygote, signal.SIGKILL)
        _wait_gone(below)
    wait_until(f"{node.name} to run functions again", lambda: node.is_running() and node.below(), seconds=30)


def stop_keeper(here: Nemesis) -> None:
    node = here.any_node()
    zygote = node.zygote()
    with here.fault("keeper stop", node.name):
        os.kill(zygote, signal.SIGSTOP)
        time.sleep(3)
        os.kill(zygote, signal.SIGCONT)


def stop_environments(here: Nemesis) -> None:
    """Half of a node's environments hang for a while; some run into their timeout."""
    node = here.any_node()
    victims = node.environments()[::2]
    with here.fault("environments stop", node.name):
        for pid in victims:
            with suppress(OSError):
                os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in victims:
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)


def kill_server(here: Nemesis) -> None:
    server = here.machine.one_server
    with here.fault("server kill", "server"):
        server.process.kill()
        server.process.wait(10)
        time.sleep(here.random.choice((0, 1.5)))
        server.start()


def stop_server(here: Nemesis) -> None:
    with here.fault("server stop", "server"):
        here.machine.one_server.process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        here.machine.one_server.process.send_signal(signal.SIGCONT)


def cut_off_briefly(here: Nemesis) -> None:
    _cut_off(here, 4)


def cut_off_for_long(here: Nemesis) -> None:
    _cut_off(here, 13)


def _cut_off(here: Nemesis, seconds: float) -> None:
    network = here.machine.network
    assert isinstance(network, Namespaces)
    at = here.random.randrange(len(here.machine.nodes))
    node = here.machine.nodes[at]
    is_long = seconds > FENCE_KILL_S
    below = node.below() if is_long else ()
    with here.fault("long partition" if is_long else "partition", node.name, pids=below):
        network.cut(at)
        time.sleep(seconds)
        network.heal(at)
    wait_until(f"{node.name} to take part again", node.is_ready, seconds=40)


def slow_link(here: Nemesis) -> None:
    link = here.machine.link
    assert link is not None
    with here.fault("slow link", here.machine.nodes[LINKED].name):
        link.delay_s = 0.2
        time.sleep(4)
        link.delay_s = 0.0


def hold_link(here: Nemesis) -> None:
    """The server is a black hole for one node for a while; then connections are reset in the middle of answers."""
    node, link = here.machine.nodes[LINKED], here.machine.link
    assert link is not None
    with here.fault("held link", node.name):
        link.hold()
        time.sleep(4)
        link.cut()
        link.release()


def reset_link(here: Nemesis) -> None:
    node, link = here.machine.nodes[LINKED], here.machine.link
    assert link is not None
    with here.fault("reset link", node.name):
        for _ in range(10):
            link.cut()
            time.sleep(0.2)


def fill_memory(here: Nemesis) -> None:
    """The server has no room: what is new is refused, what is there goes on."""
    client = here.machine.one_server.client
    with here.fault("memory full", "server"):
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", used)
        time.sleep(4)
        client.config_set("maxmemory", "2gb")


def fill_disk(here: Nemesis) -> None:
    """The server cannot write its log: it refuses all writes until there is room again."""
    server = here.machine.one_server
    with here.fault("disk full", "server"):
        ballast = server.fill_disk()
        time.sleep(4)
        ballast.unlink()

        def writes() -> bool:
            with suppress(redis.exceptions.RedisError):
                return bool(server.client.set("chaos:probe", "1"))
            return False

        wait_until("the server to take writes again", writes, seconds=20, poll_s=0.1)
        server.client.delete("chaos:probe")


def shift_node_clock(here: Nemesis) -> None:
    clock = here.machine.node_clock
    with here.fault("clock", here.machine.nodes[SHIFTED].name):
        for offset in (HOUR_S, -HOUR_S, 0):
            clock.shift(offset)
            time.sleep(1.5)


def shift_server_clock(here: Nemesis) -> None:
    clock = here.machine.one_server.clock
    assert clock is not None
    with here.fault("clock", "server"):
        for offset in (30, -30, HOUR_S, 0):
            clock.shift(offset)
            time.sleep(1.6)


def deploy(here: Nemesis) -> None:
    """New code under load. It may take a few tries while something else is down."""
    for _ in range(3):
        name = here.random.choice(("events", "calls"))
        began = time.monotonic_ns()
        version = here.setting.deploy(name)
        here.recorder.note("deploy", function=name, version=version, began=began)
        time.sleep(0.5)


def empty_script_cache(here: Nemesis) -> None:
    with here.fault("script flush", "server"):
        here.machine.one_server.client.script_flush()


def kill_primary(here: Nemesis) -> None:
    """The sentinels promote a replica; the old primary comes back as one."""
    group = here.machine.group
    assert group is not None
    old = group.primary
    with here.fault("failover", "server", pids=None):
        old.kill()
        group.wait_for_promotion(old)
    time.sleep(1)
    group.rejoin(old.start())
    time.sleep(3)


def stop_primary(here: Nemesis) -> None:
    """As by a partition: the old primary goes on later, and believes for a moment that it still is one."""
    group = here.machine.group
    assert group is not None
    old = group.primary
    with here.fault("failover", "server", pids=None):
        old.freeze()
        group.wait_for_promotion(old)
        time.sleep(1)
        old.thaw()
        time.sleep(1)
    group.rejoin(old)
    time.sleep(3)


FAULTS = (
    Fault("node: kill -9, started again at once", kill_and_restart_node, is_repeated=True),
    Fault("node: kill -9, started again after 13.5 s", kill_node_for_good),
    Fault("node: drained and started again", drain_node, is_repeated=True),
    Fault("node: SIGSTOP for 4 s", stop_node_briefly, is_repeated=True),
    Fault("node: SIGSTOP for 12.5 s", stop_node_for_long),
    Fault("keeper: kill -9", kill_keeper, is_repeated=True),
    Fault("keeper: SIGSTOP for 3 s", stop_keeper, is_repeated=True),
    Fault("environments: SIGSTOP for 3 s", stop_environments, is_repeated=True),
    Fault("server: kill -9 and restart", kill_server, is_repeated=True),
    Fault("server: SIGSTOP for 4 s", stop_server),
    Fault("server: memory full for 4 s", fill_memory, is_repeated=True),
    Fault("server: disk full for 4 s", fill_disk, needs="disk"),
    Fault("server: clock +30 s, -30 s, +1 h, and back", shift_server_clock, needs="clock"),
    Fault("server: SCRIPT FLUSH", empty_script_cache, is_repeated=True),
    Fault("network: a node cut off for 4 s", cut_off_briefly, is_repeated=True, needs="namespaces"),
    Fault("network: a node cut off for 13 s", cut_off_for_long, needs="namespaces"),
    Fault("network: 200 ms between a node and the server", slow_link, is_repeated=True),
    Fault("network: silence between a node and the server for 4 s", hold_link),
    Fault("network: connections reset, ten times", reset_link, is_repeated=True),
    Fault("node: clock +1 h, -1 h, and back", shift_node_clock),
    Fault("deploys", deploy, is_repeated=True),
)

FAILOVERS = (
    Fault("failover: the primary is killed", kill_primary, is_repeated=True),
    Fault("failover: the primary is stopped, and goes on later", stop_primary, is_repeated=True),
)
