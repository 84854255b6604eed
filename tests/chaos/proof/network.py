"""A network of its own for each node, so that a node can be cut off; on the loopback where the machine grants none.

Each node lives in a network namespace behind a bridge; the server and the senders live on the bridge's own address.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from tests.e2e.nodes import free_port

PREFIX = 24


class Loopback:
    """No network but the machine's own: nodes cannot be cut off, and the report says why."""

    can_partition = False
    server = "127.0.0.1"

    def __init__(self, why: str) -> None:
        self.why = why

    def address(self, node: int) -> str:
        return self.server

    def port(self, node: int) -> int:
        return free_port()

    def command(self, node: int) -> list[str]:
        return []

    def close(self) -> None:
        pass


class Namespaces:
    """A bridge, and a namespace for each node."""

    can_partition = True
    why = ""

    def __init__(self, nodes: int) -> None:
        """Raises OSError where the machine does not grant it; nothing is left behind then."""
        self._tag = f"{os.getpid() % 36**3:x}"
        self._subnet = f"10.{os.getpid() % 100 + 100}.{os.getpid() // 100 % 250}"
        self._nodes = nodes
        self.server = f"{self._subnet}.1"
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
            _ip("address", "add", f"{self.server}/{PREFIX}", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            for node in range(nodes):
                self._add(node)
        except OSError:
            self.close()
            raise

    @property
    def _bridge(self) -> str:
        return f"erb{self._tag}"

    def _link(self, node: int) -> str:
        return f"erv{self._tag}-{node}"

    def _name(self, node: int) -> str:
        return f"er-{self._tag}-{node}"

    def _add(self, node: int) -> None:
        name, link, inner = self._name(node), self._link(node), f"eri{self._tag}-{node}"
        _ip("netns", "add", name)
        _ip("link", "add", link, "type", "veth", "peer", "name", inner)
        _ip("link", "set", inner, "netns", name)
        _ip("link", "set", link, "master", self._bridge)
        _ip("link", "set", link, "up")
        _ip("-n", name, "address", "add", f"{self.address(node)}/{PREFIX}", "dev", inner)
        _ip("-n", name, "link", "set", inner, "up")
        _ip("-n", name, "link", "set", "lo", "up")

    def address(self, node: int) -> str:
        return f"{self._subnet}.{11 + node}"

    def port(self, node: int) -> int:
        return 4566

    def command(self, node: int) -> list[str]:
        """Return what to put before a command so that it runs in a node's network."""
        return ["ip", "netns", "exec", self._name(node)]

    def cut(self, node: int) -> None:
        """Take a node off the network: what is sent either way from now on disappears."""
        _ip("link", "set", self._link(node), "down")

    def heal(self, node: int) -> None:
        _ip("link", "set", self._link(node), "up")

    def close(self) -> None:
        for node in range(self._nodes):
            subprocess.run(["ip", "netns", "del", self._name(node)], check=False, capture_output=True)
            subprocess.run(["ip", "link", "del", self._link(node)], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self._bridge], check=False, capture_output=True)


Network = Loopback | Namespaces


def make_network(nodes: int) -> Network:
    """Give each node a network of its own if the machine grants it."""
    try:
        return Namespaces(nodes)
    except OSError as error:
        return Loopback(str(error))


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(command: Sequence[str]) -> None:
    """Raises OSError if the command fails, or does not exist."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise OSError(f"`{' '.join(command)}` says: {done.stderr.strip() or done.returncode}")
