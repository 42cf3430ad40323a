"""A file that is not whole yet, on the disk, with the hashes of what is in it.

Its methods block, and are for one thread at a time. After a kill at any moment the file holds the
first bytes of what was added; after a power cut it may hold anything of that length, which the
hash of the whole tells.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from acp_agent.models.base import InstalledFile
from acp_agent.models.hashes import Hashes

PIECE = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Part:
    """What is there of one file; `size` counts the bytes that were hashed."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._hashes = Hashes()

    @property
    def size(self) -> int:
        return self._hashes.size

    def take_over(self, most: int) -> bool:
        """Hash up to `most` more bytes of what is there; tell whether that is all now."""
        self._file.seek(self.size)
        buffer, end = memoryview(bytearray(PIECE)), self.size + most
        while self.size < end:
            count = self._file.readinto(buffer[: end - self.size])
            if not count:
                return True
            self._hashes.add(buffer[:count])
        return False

    def add(self, pieces: list[bytes]) -> None:
        """Write the next bytes, and hash them."""
        # Few large steps: after each, the thread waits for the interpreter's lock.
        data = b"".join(pieces)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._hashes.add(data)

    def clear(self) -> None:
        """Begin anew."""
        self._file.truncate(0)
        self._hashes = Hashes()

    def whole(self, path: str) -> InstalledFile:
        """Have it on the disk, and return what it is."""
        os.fsync(self._file.fileno())
        return self._hashes.installed(path)


@contextmanager
def opened(path: Path, limit: int) -> Generator[Part]:
    """Open what is there, or nothing; more than `limit` bytes cannot be the right ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileIO(path, "a+") as file:
        if os.fstat(file.fileno()).st_size > limit:
            file.truncate(0)
        yield Part(file)


def place(path: Path, data: bytes, start: int, size: int) -> None:
    """Write `data` at `start` of a file that is `size` bytes long then, and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+") as file:
        file.truncate(size)
        file.seek(start)
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def why_not_kept(error: OSError, path: Path, size: int) -> str:
    """Return why a file of `size` bytes cannot be kept at `path`, and what would help."""
    if error.errno not in FULL:
        where = str(error.filename or path)
        return f"cannot write {where!r}: {error.strerror or error}; mend that and try again"
    there = path.stat().st_size if path.exists() else 0
    free = shutil.disk_usage(path.parent).free
    limit = "" if error.errno == errno.ENOSPC else f" ({error.strerror})"
    return (
        f"no room for {str(path)!r}{limit}: {_mb(size - there)} more are needed, {_mb(free)} are"
        " free; make room and install again, what has come is kept"
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
