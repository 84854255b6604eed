"""The report of a chaos run, and the small things it is made of."""

from __future__ import annotations

import asyncio
import socket
import xml.etree.ElementTree as ElementTree
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.proof import plots, report
from tests.chaos.proof.link import Link
from tests.chaos.proof.network import make_network
from tests.chaos.proof.recorder import Recorder, merge
from tests.chaos.proof.recovery import measure
from tests.chaos.proof.run import Result, Wanted
from tests.chaos.proof.wire import Connection, NotSent, Unknown
from tests.chaos.test_judge import Told


def a_result(folder: Path, *broken: str) -> Result:
    wanted = Wanted(minutes=1, events=1, kills=1, seed=7, is_replicated=False, server=None, report=folder)
    return Result(wanted, versions={"valkey": "9"}, limits=["no <net>"], caused=["deploys"], broken=list(broken))


def test_the_report_tells_what_happened_in_words_and_pictures(tmp_path: Path) -> None:
    told = Told().event("a", 0).run("a", 10, None).run("a", 1_520, 1_530, pid=2)
    chronicle = told.fault("node kill, restart", 20, 25, [9]).read()

    report.write(tmp_path, a_result(tmp_path), chronicle, measure(chronicle))

    text = (tmp_path / "report.md").read_text()
    assert "**Every promise was kept.** 1 events" in text
    assert "| events: started again at once | 1 | 1.50 s | 1.50 s | median 2 s |" in text
    assert "- 1 event runs repeat one that was in flight: node kill, restart" in text
    page = (tmp_path / "report.html").read_text()
    assert "no &lt;net&gt;" in page
    pictures = list(tmp_path.glob("*.svg"))
    assert len(pictures) == page.count("<svg") == 4
    for picture in pictures:
        assert ElementTree.fromstring(picture.read_text()).tag.endswith("svg")


def test_broken_promises_come_last_and_are_counted(tmp_path: Path) -> None:
    chronicle = Told().event("a", 0).run("a", 10, 20).read()
    result = a_result(tmp_path, "A1 lost: a", "A1 lost: b")

    report.write(tmp_path, result, chronicle, measure(chronicle))

    assert "**2 promises were broken.**" in (tmp_path / "report.md").read_text()
    assert report.summary(result, chronicle, measure(chronicle)).endswith("A1 lost: a\nA1 lost: b")


def test_plots_without_values_are_pictures_too() -> None:
    for svg in (
        plots.lines("none", {}, 0, "s"),
        plots.timeline("none", {}, 0),
        plots.strip("none", {"a: b": []}, "s", {}),
    ):
        ElementTree.fromstring(svg)


def test_histories_are_merged_in_the_order_of_time_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    for name, t in (("one", 2), ("other", 1)):
        recorder = Recorder(tmp_path / f"{name}.jsonl")
        recorder.note("inv", t=t, op=name)
        recorder.close()
    with (tmp_path / "one.jsonl").open("a") as file:
        file.write('{"what":"ok","t"')

    assert [note["op"] for note in merge(tmp_path)] == ["other", "one"]


def test_a_machine_that_grants_no_namespaces_is_used_as_it_is_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    network = make_network(3)

    assert not network.can_partition
    assert network.why
    assert network.command(0) == []
    network.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def ask(serve: Serve, *, seconds: float = 5) -> tuple[int, bytes]:
    """Send one request to a server that behaves so, and return its answer."""
    served = asyncio.Event()

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
    connection = Connection("1", "r")
    try:
        await connection.open(server.sockets[0].getsockname()[:2])
        answer = await connection.post("lambda", "/", {}, b"{}", seconds=seconds)
        return answer.status, answer.body
    finally:
        await connection.close()
        await served.wait()
        server.close()


def answering(data: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(data)
        await writer.drain()

    return serve


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    ],
)
def test_a_whole_answer_is_an_answer(data: bytes) -> None:
    assert asyncio.run(ask(answering(data))) == (202, b"ok")


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 202 Acc", b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\no"])
def test_half_an_answer_leaves_the_fate_unknown(data: bytes) -> None:
    with pytest.raises(Unknown):
        asyncio.run(ask(answering(data)))


def test_no_answer_in_time_leaves_the_fate_unknown() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(Unknown):
        asyncio.run(ask(never, seconds=0.05))


def test_where_nobody_listens_nothing_is_sent() -> None:
    with pytest.raises(NotSent):
        asyncio.run(Connection("1", "r").open(("127.0.0.1", 1)))


def test_a_link_passes_on_holds_and_cuts() -> None:
    """On plain sockets: the link has a thread and a loop of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = Link("127.0.0.1", server.getsockname()[:2])
        with socket.create_connection(("127.0.0.1", link.port), timeout=5) as near, server.accept()[0] as far:
            near.sendall(b"one")
            assert far.recv(100) == b"one"

            link.hold()
            far.sendall(b"two")
            near.settimeout(0.2)
            with pytest.raises(TimeoutError):
                near.recv(100)
            link.release()
            near.settimeout(5)
            assert near.recv(100) == b"two"

            link.cut()
            with pytest.raises(ConnectionResetError):
                near.recv(100)
        link.close()
