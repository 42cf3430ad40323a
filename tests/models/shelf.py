"""A model in memory and a store to put it in: what the tests of the store share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import anyio

from acp_agent.engine.gguf import F32, Tensor, gguf_chunks
from acp_agent.models.base import BLOCK, Listing, Progress, RemoteFile
from acp_agent.models.catalog import Entry
from acp_agent.models.install import Ears, Wish, install
from acp_agent.models.manifest import Accepted, Manifest
from acp_agent.models.origin import Origin
from acp_agent.models.store import Store

ACCEPTED = Accepted("Apache-2.0", "0" * 64, "2026-01-01T00:00:00+00:00")
PIECE = 1 << 16


def gguf(architecture: str = "gpt-oss", size: int = 200_000) -> bytes:
    """Return a file that begins as a model of this architecture does."""
    tensor = Tensor("noise", (size // 4,), F32, bytes(range(250)) * (size // 250))
    return b"".join(gguf_chunks({"general.architecture": architecture}, [tensor]))


def large_gguf(path: Path, size: int = 2 * BLOCK + 12_345) -> Path:
    """Write a model of more than two blocks, most of which takes no room on the disk."""
    with path.open("wb") as file:
        file.write(gguf())
        file.truncate(size)
    return path


@dataclass
class Memory:
    """A source whose files are in memory; `served` counts the bytes that left it."""

    files: dict[str, bytes]
    revision: str = "c0ffee"
    name: str = "memory:model"
    served: int = 0
    before_piece: Callable[[], None] = lambda: None
    opened: list[Origin] = field(default_factory=list[Origin])
    listing: Listing | None = None  # what it says it has, if that is something else

    async def list(self) -> Listing:
        if self.listing is not None:
            return self.listing
        files = (RemoteFile(p, len(d), sha256(d).hexdigest()) for p, d in self.files.items())
        return Listing(self.revision, tuple(files))

    @asynccontextmanager
    async def read(
        self, listing: Listing, file: RemoteFile, start: int
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        yield self._pieces(self.files[file.path], start)

    async def _pieces(self, data: bytes, start: int) -> AsyncIterator[bytes]:
        for at in range(start, len(data), PIECE):
            self.before_piece()
            piece = data[at : at + PIECE]
            self.served += len(piece)
            yield piece

    def open(self, origin: Origin) -> Memory:
        self.opened.append(origin)
        return self


ENTRY = Entry(
    "gpt-oss-tiny", "a tiny one", Origin("hub", "me/tiny", ("*.gguf",)), licence="Apache-2.0"
)


def tiny(more: Mapping[str, bytes] | None = None) -> Memory:
    """Return a source of one small model."""
    return Memory({"gpt-oss-tiny.gguf": gguf(), **(more or {})})


@dataclass
class Heard:
    """What an installer said."""

    progress: list[Progress] = field(default_factory=list[Progress])
    waited: int = 0
    sizes: list[int] = field(default_factory=list[int])

    def ears(self) -> Ears:
        return Ears(self.progress.append, self.wait, self.sizes.append)

    def wait(self) -> None:
        self.waited += 1


async def put(
    store: Store, source: Memory, entry: Entry = ENTRY, heard: Heard | None = None
) -> Manifest:
    """Install `entry` from `source`."""
    return await install(store, Wish(entry, ACCEPTED), source.open, (heard or Heard()).ears())


async def begin(store: Store, source: Memory, size: int, heard: Heard | None = None) -> None:
    """Install `ENTRY`, and cancel that once `size` bytes have come."""
    with anyio.CancelScope() as scope:

        def check() -> None:
            if source.served >= size:
                scope.cancel()

        source.before_piece = check
        await put(store, source, heard=heard)
    assert scope.cancelled_caught
    source.before_piece = lambda: None
