"""Bringing the bytes of a file from its source to the disk, through interruptions and kills.

What has come lies in a part file, which any later call takes up where it ends. It is hashed as it
arrives, in a thread beside the loop. Locks, names and manifests are the store's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from acp_agent.models.base import (
    BLOCK,
    InstalledFile,
    InstallFailed,
    Interrupted,
    Listing,
    RemoteFile,
    Source,
)
from acp_agent.models.part import PIECE, Part, opened, place, why_not_kept
from acp_agent.models.patience import PATIENCE, Patience

LATEST = 0.2  # seconds that bytes stay in memory while more arrive


async def ask(source: Source, *, patience: Patience = PATIENCE) -> Listing:
    """Return what `source` has, asked again after interruptions. Raises InstallFailed."""
    failed = 0
    while True:
        try:
            return await source.list()
        except Interrupted as error:
            failed += 1
            await patience.wait(failed, error, f"cannot ask {source.name}")


async def fetch(
    source: Source,
    listing: Listing,
    file: RemoteFile,
    part: Path,
    tell: Callable[[int], None],
    *,
    patience: Patience = PATIENCE,
) -> InstalledFile:
    """Bring `file` into `part`, checked and on the disk; return its size and hashes.

    What `part` holds already is hashed and gone on from. `tell` gets the bytes that are there, from
    the loop's thread, many times a second; less than before when it is begun anew. Cancelled or
    failed, `part` keeps what has come. Two calls must not have the same `part` at once.

    Raises:
        InstallFailed: It cannot be had, or not kept; the text says why and what to do.

    """
    try:
        with opened(part, file.size) as kept:
            return await _Arrival(source, listing, file, kept, tell, patience).whole()
    except OSError as error:
        raise InstallFailed(why_not_kept(error, part, file.size)) from error


@dataclass(frozen=True, slots=True)
class _Arrival:
    source: Source
    listing: Listing
    file: RemoteFile
    part: Part
    tell: Callable[[int], None]
    patience: Patience

    async def whole(self) -> InstalledFile:
        await self._taken_over()
        for _ in range(2):
            await self._complete()
            found = await anyio.to_thread.run_sync(self.part.whole, self.file.path)
            if self.file.sha256 in ("", found.sha256):
                return found
            self.part.clear()
        raise InstallFailed(
            f"{self.file.path!r} came from {self.source.name} with wrong bytes, twice (its SHA-256"
            f" is not {self.file.sha256[:12]}…); a proxy or a mirror may alter it, try another"
            " network or another source"
        )

    async def _taken_over(self) -> None:
        done = False
        while not done:
            done = await anyio.to_thread.run_sync(self.part.take_over, BLOCK)
            self.tell(self.part.size)

    async def _complete(self) -> None:
        failed = 0
        while self.part.size < self.file.size:
            before = self.part.size
            error = await self._stretch()
            if error is not None and not isinstance(error, Interrupted):
                raise error
            failed = 1 if self.part.size > before else failed + 1
            if self.part.size < self.file.size:
                error = error or Interrupted(f"{self.source.name} sent less than it has")
                doing = f"cannot fetch {self.file.path!r}"
                await self.patience.wait(failed, error, doing, " (what has come is kept)")

    async def _stretch(self) -> Interrupted | InstallFailed | OSError | None:
        """Keep what comes on one connection; return what ended it too early."""
        ended: list[Interrupted | InstallFailed | OSError] = []
        # One piece waits here and one is being written while the next is gathered.
        send, receive = anyio.create_memory_object_stream[list[bytes]](1)
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep, receive, ended)
            async with send:
                try:
                    await self._gather(send)
                except (Interrupted, InstallFailed) as error:
                    ended.append(error)
                except anyio.BrokenResourceError:
                    pass  # the disk has ended it
        return ended[0] if ended else None

    async def _gather(self, send: MemoryObjectSendStream[list[bytes]]) -> None:
        left = self.file.size - self.part.size
        async with self.source.read(self.listing, self.file, self.part.size) as pieces:
            gathered: list[bytes] = []
            size, since = 0, anyio.current_time()
            try:
                async for piece in pieces:
                    left -= len(piece)
                    if left < 0:
                        raise InstallFailed(
                            f"{self.source.name} sends more than the {self.file.size} bytes of"
                            f" {self.file.path!r}; it is another file now, install again"
                        )
                    gathered.append(piece)
                    size += len(piece)
                    now = anyio.current_time()
                    if size >= PIECE or now - since >= LATEST:
                        await send.send(gathered)
                        gathered, size, since = [], 0, now
            except Interrupted:
                await send.send(gathered)
                raise
            await send.send(gathered)

    async def _keep(
        self,
        receive: MemoryObjectReceiveStream[list[bytes]],
        ended: list[Interrupted | InstallFailed | OSError],
    ) -> None:
        async with receive:
            try:
                async for pieces in receive:
                    await anyio.to_thread.run_sync(self.part.add, pieces)
                    self.tell(self.part.size)
            except OSError as error:
                ended.append(error)


async def fetch_block(
    source: Source,
    listing: Listing,
    file: InstalledFile,
    index: int,
    target: Path,
    *,
    patience: Patience = PATIENCE,
) -> None:
    """Write block `index` of `file` into `target`, fetched anew, and nothing if it is not right.

    `listing` must be of the revision that the manifest names; its files are not looked at. `target`
    is made if it is missing, and `file.size` bytes long afterwards; it may be in use.

    Raises:
        InstallFailed: The source has no such bytes any more, or the disk does not take them.

    """
    remote = RemoteFile(file.path, file.size, file.sha256)
    for _ in range(2):
        data = await _block(source, listing, remote, index * BLOCK, patience)
        if await anyio.to_thread.run_sync(_digest, data) == file.blocks[index]:
            break
    else:
        raise InstallFailed(
            f"{source.name} has other bytes in block {index} of {file.path!r} than were installed;"
            " remove the model and install it again"
        )
    try:
        await anyio.to_thread.run_sync(place, target, data, index * BLOCK, file.size)
    except OSError as error:
        raise InstallFailed(why_not_kept(error, target, file.size)) from error


async def _block(
    source: Source, listing: Listing, file: RemoteFile, start: int, patience: Patience
) -> bytes:
    size, data, failed = min(BLOCK, file.size - start), bytearray(), 0
    while len(data) < size:
        before = len(data)
        try:
            async with source.read(listing, file, start + before) as pieces:
                await _fill(data, pieces, size)
            error = Interrupted(f"{source.name} sent less than it has")
        except Interrupted as interrupted:
            error = interrupted
        failed = 1 if len(data) > before else failed + 1
        if len(data) < size:
            await patience.wait(failed, error, f"cannot repair {file.path!r}")
    return bytes(data[:size])


async def _fill(data: bytearray, pieces: AsyncIterator[bytes], size: int) -> None:
    async for piece in pieces:
        data += piece
        if len(data) >= size:
            return


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
