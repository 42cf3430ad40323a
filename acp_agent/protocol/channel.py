"""The wire under the event loop: a Transport over two file descriptors of any kind.

Reads wait in the loop's own poller, so there is no reader thread that an exit would have to wait
for. Frames that a writable pipe surely takes are written in place; others go to a daemon thread,
since a client that stops reading must not stop us.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio import from_thread, lowlevel

from acp_agent.protocol.jsonrpc import Oversized
from acp_agent.protocol.lines import LineSplitter
from acp_agent.protocol.outbox import Outbox
from acp_agent.protocol.stdio import Wire, read, write_all

FLUSH = 0.2
# Beyond this the client is flooding us and not reading; it is then not read either.
BACKLOG = 16 * 1024 * 1024
# A socket that polls as writable has room for its low-water mark, 2048 by default on macOS.
SOCKET_ROOM = 2048


class Channel:
    """Lines from one file descriptor, frames to another."""

    def __init__(
        self, wire: Wire, splitter: LineSplitter, lines: Sequence[bytes | Oversized] = ()
    ) -> None:
        """Take the wire, and what was already read from it."""
        self._wire = wire
        self._splitter = splitter
        self._lines = tuple(lines)
        self._room = _room(wire.stdout)
        self._writable = select.poll()
        self._writable.register(wire.stdout, select.POLLOUT)
        self._gone = False
        self._reading = anyio.CancelScope()
        self.outbox = Outbox(self._write, self._write_now)
        self.put = self.outbox.put
        self.send = self.outbox.send

    async def receive(self) -> Sequence[bytes | Oversized]:
        """Return the next lines, none once stdin has ended or stdout is closed."""
        with anyio.CancelScope() as self._reading:
            while not self._lines and not self._gone:
                await self.outbox.below(BACKLOG)
                await _wait_readable(self._wire.stdin)
                data = read(self._wire.stdin)
                if data:
                    self._lines = tuple(self._splitter.feed(data))
                elif data is not None:
                    self._lines = tuple(self._splitter.finish())
                    self._gone = True
        lines, self._lines = self._lines, ()
        return lines

    def end(self) -> None:
        """Let `receive` find that the client has gone."""
        self._gone = True
        self._reading.cancel()

    async def watch(self) -> None:
        """Notice that the client closed our stdout, also while nothing is being written."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_wait_closed, self._wire, self.outbox.broken)
            await self.outbox.broken.wait()
            tasks.cancel_scope.cancel()
        self.end()

    def _write_now(self, data: bytes) -> bool:
        if len(data) > self._room:
            return False
        ready = self._writable.poll(0)
        if not ready or not ready[0][1] & select.POLLOUT:
            return False
        write_all(self._wire.stdout, data)
        return True

    async def _write(self, data: bytes) -> None:
        if self._write_now(data):
            return
        done = anyio.Event()
        failed: list[OSError] = []
        token = lowlevel.current_token()

        def work() -> None:
            try:
                write_all(self._wire.stdout, data)
            except OSError as error:
                failed.append(error)
            try:
                from_thread.run_sync(done.set, token=token)
            except RuntimeError:
                return  # the loop did not wait for a client that does not read

        threading.Thread(target=work, name="stdout", daemon=True).start()
        await done.wait()
        if failed:
            raise failed[0]


@asynccontextmanager
async def open_channel(
    wire: Wire, splitter: LineSplitter, lines: Sequence[bytes | Oversized] = ()
) -> AsyncGenerator[Channel]:
    """Serve the wire; on leaving, what was sent gets a moment to be read."""
    channel = Channel(wire, splitter, lines)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(channel.outbox.run)
        tasks.start_soon(channel.watch)
        try:
            yield channel
        finally:
            with anyio.move_on_after(FLUSH, shield=True):
                await channel.outbox.below(0)
            tasks.cancel_scope.cancel()


def _room(fd: int) -> int:
    """Return how many bytes may be written at once when poll says writable."""
    kind = os.fstat(fd).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISREG(kind):
        return select.PIPE_BUF
    return SOCKET_ROOM if stat.S_ISSOCK(kind) else 0


async def _wait_readable(fd: int) -> None:
    # A regular file is always ready: epoll does not take it, and kqueue is silent at its end.
    if stat.S_ISREG(os.fstat(fd).st_mode):
        await lowlevel.checkpoint()
    else:
        await anyio.wait_readable(fd)


async def _wait_closed(wire: Wire, broken: anyio.Event) -> None:
    out, into = os.fstat(wire.stdout), os.fstat(wire.stdin)
    is_socket = stat.S_ISSOCK(out.st_mode)
    same = (out.st_dev, out.st_ino) == (into.st_dev, into.st_ino)
    if same or not (is_socket or stat.S_ISFIFO(out.st_mode)):
        return
    # The writing end of a pipe becomes "readable" when its reading end is closed.
    await anyio.wait_readable(wire.stdout)
    hung_up = select.poll()
    hung_up.register(wire.stdout, 0)
    if hung_up.poll(0) or not is_socket:
        broken.set()
