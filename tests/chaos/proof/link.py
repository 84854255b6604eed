"""The wire between a node and its server, as a proxy that can be slow, silent, or cut in the middle of an answer."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading

_RESET = struct.pack("ii", 1, 0)
"""Lingering for no time: closing then resets."""


class Link:
    """Forwards each connection to the server. Runs on a thread with a loop of its own."""

    def __init__(self, host: str, target: tuple[str, int]) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self.delay_s = 0.0
        self._is_open = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda *_: None)  # what is cut in the middle says so
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._serve(host), self._loop).result(10)

    def hold(self) -> None:
        """Pass nothing on from now on, as a black hole would."""
        self._loop.call_soon_threadsafe(self._is_open.clear)

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self._is_open.set)

    def cut(self) -> None:
        """Reset every connection, wherever it stands."""

        def abort() -> None:
            for writer in list(self._writers):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    def close(self) -> None:
        """Cut every connection, and end the thread."""
        self.release()
        self.cut()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the next turn

    async def _serve(self, host: str) -> int:
        self._is_open.set()
        self._server = await asyncio.start_server(self._accept, host, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, far_writer))
                both.create_task(self._pass_on(far_reader, writer))
        except* OSError:
            pass
        finally:
            self._writers -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._is_open.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError
