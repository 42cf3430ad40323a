"""The hijacked connection of a program in a container: bytes to its stdin, its output in frames."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel

_HEADER = struct.Struct(">BxxxL")
_PIECE = 65536
_WAIT_READ = (BlockingIOError, ssl.SSLWantReadError)
_WAIT_WRITE = (BlockingIOError, ssl.SSLWantWriteError)


class Frames:
    """Takes the multiplexed stream apart: a kind, a length, and so many bytes."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what `data` adds to stdout and stderr."""
        while data:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                yield piece
            else:
                missing = _HEADER.size - len(self._header)
                self._header, data = self._header + data[:missing], data[missing:]
                if len(self._header) == _HEADER.size:
                    _, self._left = _HEADER.unpack(self._header)
                    self._header = b""


class Stream:
    """`holder` is what the `docker` package gives; the connection lasts as long as it."""

    def __init__(self, holder: Any) -> None:
        self._holder = holder
        self._socket: socket.socket = getattr(holder, "_sock", holder)
        self._socket.setblocking(False)
        self._frames = Frames()
        self._rest: list[bytes] = []

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        while not self._rest:
            data = await self._receive()
            if not data:
                raise StopAsyncIteration
            self._rest = list(self._frames.feed(data))
        return self._rest.pop(0)

    def push_back(self, data: bytes) -> None:
        """Let `data` be what comes next."""
        if data:
            self._rest.insert(0, data)

    async def send(self, data: bytes) -> None:
        """Write all of `data`. Raises BrokenPipeError."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except _WAIT_WRITE:
                await anyio.wait_writable(self._socket)
            except OSError as error:
                raise BrokenPipeError(str(error)) from None

    def close(self) -> None:
        self._socket.close()
        self._holder.close()

    async def _receive(self) -> bytes:
        # An encrypted connection may hold data that the socket does not show, so reading comes
        # before waiting.
        while True:
            try:
                return self._socket.recv(_PIECE)
            except _WAIT_READ:
                await anyio.wait_readable(self._socket)
            except OSError:
                return b""
