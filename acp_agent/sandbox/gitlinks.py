"""Which directories a repository takes for submodules.

The user's own git enters each of them at every `git status`, and runs what the settings there name.
So programs must not make what looks like one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_GITLINK = b"\0\0\xe0\0"  # the mode 0160000
_EXTENDED, _LENGTH = 0x4000, 0x0FFF
_STAT, _MODE = 40, 24


def gitlinks(git: Path) -> frozenset[str]:
    """Return the paths of submodules in the index of the repository at `git`."""
    hash_size = 32 if b"sha256" in _read(git / "config").lower() else 20
    found: set[bytes] = set()
    files = [git / "index"]
    with suppress(OSError):
        files += sorted(git.glob("sharedindex.*"))
    for file in files:
        data = _read(file)
        if _GITLINK in data:
            with suppress(ValueError, IndexError):
                found.update(_paths(data, hash_size))
    return frozenset(map(os.fsdecode, found))


def _paths(data: bytes, hash_size: int) -> Iterator[bytes]:
    """Give the paths of gitlinks (gitformat-index, versions 2 to 4)."""
    version = int.from_bytes(data[4:8], "big")
    at, path = 12, b""
    for _ in range(int.from_bytes(data[8:12], "big")):
        flags_at = at + _STAT + hash_size
        flags = int.from_bytes(data[flags_at : flags_at + 2], "big")
        begin = flags_at + (4 if flags & _EXTENDED and version > 2 else 2)
        left_out = 0
        if version == 4:
            left_out, begin = _number(data, begin)
        length = flags & _LENGTH
        end = begin + length if version < 4 and length < _LENGTH else data.index(b"\0", begin)
        path = (path[: len(path) - left_out] if version == 4 else b"") + data[begin:end]
        if data[at + _MODE : at + _MODE + 4] == _GITLINK:
            yield path
        at = end + 1 if version == 4 else at + (end - at + 8) // 8 * 8


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1) << 7 | data[at] & 0x7F
    return value, at + 1


def _read(path: Path) -> bytes:
    """Return what is in a file, nothing if it is a link or no file."""
    with suppress(OSError):
        if stat.S_ISREG(path.lstat().st_mode):
            return path.read_bytes()
    return b""
