"""The HTTP server in the node's own loop: uvicorn, bounded, and without a will of its own about signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from eventrouter.api.http import HEADER_NAMES, Receive, Scope, Send

HEAD_LIMIT_BYTES = 65_536
HEAD_TIMEOUT_S = 30.0
STALL_TIMEOUT_S = 60.0
"""The longest that a body may stand still on its way in, or an answer on its way out."""
KEEP_ALIVE_S = 75
BACKLOG = 2_048

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\nconnection: close\r\n"
    b"content-length: 41\r\n\r\nrequest line and headers pass 65536 bytes"
)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A request's line and headers are bounded in size, and in the time they may take to come.

    Bodies and answers may take long, but not stand still: who stops sending or reading, and stays, is cut off.
    Names of headers are kept as the client wrote them too, in an extension of the scope.
    """

    _head_bytes = 0
    _in_body = False
    _completed = False
    _moved_at = 0.0
    _unread = 0
    _head_timer: asyncio.TimerHandle | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None
    _names: list[bytes]
    _earlier: list[Any]
    """Requests of a pipeline that were not answered when the next one came; uvicorn forgets them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._earlier = []
        self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._names = []
        self.scope["extensions"] = {HEADER_NAMES: {"names": self._names}}

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer: what came after the head was decided on is no part of it
        self._names.append(name)
        super().on_header(name, value)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._body_timer, self._answer_timer):
            if timer is not None:
                timer.cancel()
        for cycle in self._earlier:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_bytes > HEAD_LIMIT_BYTES:
            return  # already refused, and closing
        self._completed = False
        super().data_received(data)
        if self._completed or self.transport.is_closing():
            return
        if self._in_body:
            self._moved_at = self.loop.time()
            if self._body_timer is None:
                self._body_timer = self.loop.call_later(STALL_TIMEOUT_S, self._look_at_body)
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        earlier: Any = self.cycle  # None before the first request, whatever uvicorn's types say
        super().on_headers_complete()
        if earlier is not None and not earlier.response_complete:
            self._earlier = [cycle for cycle in (*self._earlier, earlier) if not cycle.response_complete]

    def on_message_complete(self) -> None:
        self._in_body = False
        self._completed = True
        super().on_message_complete()

    def end_answer(self) -> None:
        """End an answer that goes on, between two of its chunks: whoever sends it is told that the caller left."""
        cycle: Any = self.cycle  # None before the first request, whatever uvicorn's types say
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            if cycle.chunked_encoding:
                self.transport.write(b"0\r\n\r\n")
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._answer_timer = self.loop.call_later(STALL_TIMEOUT_S, self._look_at_answer)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _look_at_body(self) -> None:
        """Cut off a caller whose body does not come. That it is not read, since others come first, is not its fault."""
        self._body_timer = None
        if not self._in_body:
            return
        still_s = 0.0 if self.flow.read_paused else self.loop.time() - self._moved_at
        if still_s >= STALL_TIMEOUT_S:
            self.transport.close()
        else:
            self._body_timer = self.loop.call_later(STALL_TIMEOUT_S - still_s, self._look_at_body)

    def _look_at_answer(self) -> None:
        """Cut off a caller who has read nothing of its answer since the last look."""
        unread = self.transport.get_write_buffer_size()
        if unread >= self._unread:
            self.transport.abort()
            return
        self._unread = unread
        self._answer_timer = self.loop.call_later(STALL_TIMEOUT_S, self._look_at_answer)


class HttpServer:
    """Serves one ASGI application on one listening socket."""

    def __init__(self, application: Any) -> None:  # Any: uvicorn's own type of an ASGI application
        self._application = application
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http=BoundedProtocol,
            ws="none",
            proxy_headers=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            backlog=BACKLOG,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> None:
        """Begin to serve; return once connections are accepted."""
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        started = asyncio.create_task(self._server.is_serving.wait(), name="http-started")
        await asyncio.wait({self._task, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        """Close the listener and every connection, and return when the server has ended.

        An answer that goes on (an event stream) is complete as far as it has come. A caller whose answer has not
        begun a moment later (a long poll) finds its connection cut.
        """
        self._server.force_exit = True
        for connection in self._connections():
            connection.end_answer()
        self._server.is_stopping.set()
        if self._task is not None:
            await self._task
        for connection in self._connections():
            connection.transport.abort()
        answering = list(self._server.server_state.tasks)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)

    def _connections(self) -> list[BoundedProtocol]:
        return [known for known in self._server.server_state.connections if isinstance(known, BoundedProtocol)]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application. That the end of the server is the end of it too is no error to be logged."""
        try:
            await self._application(scope, receive, send)
        except asyncio.CancelledError:
            if not self._server.is_stopping.is_set():
                raise


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling; it waits to be stopped instead of looking ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_serving = asyncio.Event()
        self.is_stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        self.is_serving.set()
        await self.is_stopping.wait()
        self.should_exit = True
