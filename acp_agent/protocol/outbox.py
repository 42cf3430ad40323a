"""Frames on their way out, in order: written at once where that cannot block, else in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio import lowlevel

BATCH = 256 * 1024
FULL = 1024 * 1024
YIELD_EVERY = 32


def _never(_: bytes) -> bool:
    return False


class Outbox:
    """Holds what `write` has not taken yet; `broken` is set once nobody reads any more."""

    def __init__(
        self, write: Callable[[bytes], Awaitable[None]], write_now: Callable[[bytes], bool] = _never
    ) -> None:
        """Take how to write, and how to write only if it cannot block; both may raise OSError."""
        self.broken = anyio.Event()
        self._write = write
        self._write_now = write_now
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._writing = False
        self._filled = anyio.Event()
        self._drained = anyio.Event()
        self._sent = 0

    def put(self, frame: bytes) -> None:
        """Send without waiting; what nobody reads any more is dropped."""
        if self.broken.is_set():
            return
        if not self._frames and not self._writing:
            try:
                if self._write_now(frame):
                    return
            except OSError:
                self._break()
                return
        self._frames.append(frame)
        self._size += len(frame)
        self._filled.set()

    async def send(self, frame: bytes) -> None:
        """Send, and wait while much is under way. Sometimes lets others run even if nothing is."""
        self._sent += 1
        if self._sent % YIELD_EVERY == 0:
            await lowlevel.checkpoint()
        if self._size > FULL:
            await self.below(FULL)
        self.put(frame)

    async def below(self, size: int) -> None:
        """Wait until no more than `size` bytes are under way, or nobody reads any more."""
        while self._size > size and not self.broken.is_set():
            await self._drained.wait()

    async def run(self) -> None:
        """Write what is put in, until nobody reads it."""
        while not self.broken.is_set():
            if not self._frames:
                self._filled = anyio.Event()
                await self._filled.wait()
            batch = self._take()
            try:
                await self._write(batch)
            except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._break()
            self._writing = False
            self._size -= len(batch)
            self._wake()

    def _take(self) -> bytes:
        taken: list[bytes] = []
        size = 0
        while self._frames and size < BATCH:
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        self._writing = True
        return b"".join(taken)

    def _break(self) -> None:
        self.broken.set()
        self._frames.clear()
        self._filled.set()
        self._wake()

    def _wake(self) -> None:
        self._drained.set()
        self._drained = anyio.Event()
