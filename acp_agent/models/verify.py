"""Whether the files are what the manifest says: every block is hashed again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import anyio.from_thread
import anyio.to_thread

from acp_agent.models.base import BLOCK, InstalledFile, Tell
from acp_agent.models.hashes import Hashes
from acp_agent.models.manifest import Manifest
from acp_agent.models.meter import Meter

PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one file; `blocks` are those that hold other bytes, or lack some."""

    path: str
    kind: Literal["missing", "unreadable", "size", "bytes"]
    text: str
    blocks: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return it as a sentence."""
        return f"{self.path} {self.text}"


async def verify(manifest: Manifest, place: Path, tell: Tell) -> list[Fault]:
    """Hash all files again and return what is wrong."""
    meter = Meter("verifying", manifest.size, tell)
    faults: list[Fault] = []
    for file in manifest.files:
        fault = await anyio.to_thread.run_sync(_check, file, place / file.path, _in_loop(meter.at))
        meter.file_done(file.size)
        if fault is not None:
            faults.append(fault)
    return faults


async def hash_file(path: Path, name: str, tell: Callable[[int], None]) -> InstalledFile:
    """Return what a file is; `tell` hears how many bytes are hashed. Raises OSError."""
    return await anyio.to_thread.run_sync(_hashed, path, name, _in_loop(tell))


def _in_loop(tell: Callable[[int], None]) -> Callable[[int], None]:
    """Return what a thread may call, and where it ends if the task was cancelled."""

    def told(done: int) -> None:
        anyio.from_thread.check_cancelled()
        anyio.from_thread.run_sync(tell, done)

    return told


def _check(file: InstalledFile, path: Path, tell: Callable[[int], None]) -> Fault | None:
    try:
        with path.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            digests = _digests(opened, file.size, tell)
    except FileNotFoundError:
        return Fault(file.path, "missing", "is missing", tuple(range(len(file.blocks))))
    except OSError as error:
        return Fault(file.path, "unreadable", f"cannot be read ({error.strerror or error})")
    wrong = tuple(i for i, block in enumerate(file.blocks) if digests[i : i + 1] != [block])
    if size != file.size:
        return Fault(file.path, "size", f"has {size} bytes instead of {file.size}", wrong)
    if wrong:
        shown = ", ".join(map(str, wrong[:10])) + (", …" if len(wrong) > 10 else "")
        of = f"block{'s' if len(wrong) > 1 else ''} {shown} of {len(file.blocks)}"
        return Fault(file.path, "bytes", f"holds other bytes than it should in {of}", wrong)
    return None


def _digests(opened: BinaryIO, size: int, tell: Callable[[int], None]) -> list[str]:
    digests: list[str] = []
    for start in range(0, size, BLOCK):
        digest, left = hashlib.sha256(), min(BLOCK, size - start)
        while left and (piece := opened.read(min(PIECE, left))):
            digest.update(piece)
            left -= len(piece)
        digests.append(digest.hexdigest())
        tell(min(start + BLOCK, size))
    return digests


def _hashed(path: Path, name: str, tell: Callable[[int], None]) -> InstalledFile:
    hashes = Hashes()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hashes.add(piece)
            if hashes.size % BLOCK == 0:
                tell(hashes.size)
    return hashes.installed(name)
