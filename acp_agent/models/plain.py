"""Models that are one file on the web, or files on this machine already."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import anyio
import anyio.to_thread
import httpx

from acp_agent.models import web
from acp_agent.models.base import InstallFailed, Listing, RemoteFile
from acp_agent.models.origin import Origin

PIECE = 1 << 20


class UrlSource:
    """The one file at `url`, by HTTP; `sha256` is what it must be, "" if nobody says.

    A listing's revision is the file's strong ETag, so a file that changes meanwhile is noticed.
    """

    def __init__(self, url: str, sha256: str = "", *, silent: float = web.SILENT_SECONDS) -> None:
        self._url = url
        self._sha256 = sha256
        self._silent = silent

    @property
    def name(self) -> str:
        return str(Origin("url", self._url))

    async def list(self) -> Listing:
        """Ask how large it is. Raises InstallFailed, Interrupted."""
        async with web.answer(self._url, {}, {}, silent=self._silent) as response:
            path = _file_name(response, self._url)
            if response.status_code != 200:
                raise web.refused(response, repr(path))
            length, tag = response.headers.get("content-length", ""), response.headers.get("etag")
        if not web.NUMBER.fullmatch(length) or not int(length):
            raise InstallFailed(
                f"{response.url.host} does not say how large {path!r} is; download it by other"
                " means and name the file"
            )
        strong = tag if tag and not tag.startswith("W/") else ""
        return Listing(strong, (RemoteFile(path, int(length), self._sha256),))

    @asynccontextmanager
    async def read(
        self, listing: Listing, file: RemoteFile, start: int
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open the bytes from `start` on. Raises InstallFailed, Interrupted."""
        name = repr(file.path)
        wanted = web.Wanted(self._url, name, file.size, start, tag=listing.revision)
        explain = partial(web.refused, name=name)
        async with web.reading(wanted, explain, silent=self._silent) as body:
            yield body


def _file_name(response: httpx.Response, url: str) -> str:
    name = unquote(httpx.URL(url).path).rpartition("/")[2]
    if name in ("", ".", "..") or "\0" in name:
        raise InstallFailed(f"{url!r} names no file; give the address of the file itself")
    return name


class PathSource:
    """A file of this machine, or all files below a folder but hidden ones."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return f"path:{self._path}"

    async def list(self) -> Listing:
        """Look what is there. Raises InstallFailed."""
        try:
            files = await anyio.to_thread.run_sync(_files, self._path)
        except OSError as error:
            raise _unread(error, self._path) from error
        if not files:
            raise InstallFailed(f"there is no file in {str(self._path)!r}; name another folder")
        return Listing("", tuple(files))

    @asynccontextmanager
    async def read(
        self, listing: Listing, file: RemoteFile, start: int
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open the bytes from `start` on. Raises InstallFailed."""
        path = self._path / file.path if self._path.is_dir() else self._path
        try:
            opened = await anyio.open_file(path, "rb")
        except OSError as error:
            raise _unread(error, path) from error
        async with opened, aclosing(_pieces(opened, path, start, file.size)) as pieces:
            yield pieces


async def _pieces(
    opened: anyio.AsyncFile[bytes], path: Path, start: int, size: int
) -> AsyncGenerator[bytes]:
    done = start
    try:
        await opened.seek(start)
        while piece := await opened.read(PIECE):
            done += len(piece)
            yield piece
    except OSError as error:
        raise _unread(error, path) from error
    if done != size:
        raise InstallFailed(f"{str(path)!r} changed while it was copied; install again")


def _files(path: Path) -> list[RemoteFile]:
    if not path.is_dir():
        return [RemoteFile(path.name, path.stat().st_size)]
    found = [entry for entry in sorted(path.rglob("*")) if entry.is_file()]
    names = ((entry.relative_to(path), entry.stat().st_size) for entry in found)
    return [
        RemoteFile(name.as_posix(), size)
        for name, size in names
        if not any(part.startswith(".") for part in name.parts)
    ]


def _unread(error: OSError, path: Path) -> InstallFailed:
    return InstallFailed(
        f"cannot read {str(path)!r}: {error.strerror or error}; mend that or name another"
    )
