"""One package downloaded by pip, whose own settings say from where; its failures as sentences.

pip runs in a process group of its own, asks nothing, and never outlives the call. It keeps its
working files where it is told to, so that what it leaves behind can be removed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

import anyio
from anyio.abc import Process

LOOK = 0.5  # seconds between looks at what has arrived
OPTIONS = (
    "--no-input",
    "--no-color",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--no-cache-dir",  # it is kept by us, once is enough
    "--no-deps",
    "--only-binary=:all:",
    "--require-hashes",
)


class PipFailed(Exception):
    """No wheel came; the text says why, and what would help where that is known."""


async def download(pin: Path, folder: Path, *, python: str, stalled: float) -> Path:
    """Return the wheel that `pin` names, a requirements file with a hash; it is below `folder`.

    After `stalled` seconds in which nothing arrives, pip is taken to hang.

    Raises:
        PipFailed: There is none to be had.
        OSError: `folder` cannot be written.

    """
    wheels, work, log = folder / "wheels", folder / "work", folder / "pip.log"
    work.mkdir()
    with log.open("wb") as output:
        # -P: Python would look for modules in the current directory first, the user's project.
        command = [python, "-P", "-m", "pip", "download", *OPTIONS, "-r", str(pin)]
        async with _running([*command, "-d", str(wheels)], work, output) as process:
            await _ended(process, folder, stalled)
    if process.returncode:
        raise PipFailed(explain(log.read_text(encoding="utf-8", errors="replace")))
    found = list(wheels.glob("*.whl"))
    if len(found) != 1:
        raise PipFailed(f"pip downloaded {len(found)} wheels instead of one; look at its settings")
    return found[0]


@asynccontextmanager
async def _running(command: list[str], work: Path, output: IO[bytes]) -> AsyncGenerator[Process]:
    try:
        process = await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "TMPDIR": str(work)},
            start_new_session=True,
        )
    except OSError as error:
        raise PipFailed(f"cannot run {command[0]!r}: {error.strerror or error}") from None
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            # macOS answers EPERM for a group of zombies.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.aclose()


async def _ended(process: Process, folder: Path, stalled: float) -> None:
    size, since = -1, anyio.current_time()
    while process.returncode is None:
        with anyio.move_on_after(LOOK):
            await process.wait()
        now, before, size = anyio.current_time(), size, _size(folder)
        since = now if size != before else since
        if now - since >= stalled:
            raise PipFailed(f"pip got nothing for {stalled:g} s; look at the network and try again")


def _size(folder: Path) -> int:
    """Return how many bytes are below `folder`, which pip is at work in."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # it has just been moved
            total += path.lstat().st_size
    return total


# The first pattern that pip's output holds decides; `{0}` is what it caught.
SENTENCES: tuple[tuple[str, str], ...] = (
    (
        r"No module named pip\b",
        "this Python has no pip to download with; add it (python -m ensurepip)",
    ),
    (r"No space left on device|Disk quota exceeded", "the disk is full; make room"),
    (
        r"DO NOT MATCH THE HASHES",
        "the package index offers another file under this name; look at pip's settings",
    ),
    (
        r"Retrying \(|Could not fetch URL|Connection(?:Error| broken)|Read timed out",
        "pip reaches no package index; look at the network and at pip's settings",
    ),
    (
        r"ERROR: (No matching distribution found for .+?)(?: \(from -r.*\))?\n",
        "pip's package index does not have it ({0})",
    ),
    (r"(?s).*^ERROR: (?!Exception:)(.+?)$", "pip says: {0}"),
)


def explain(log: str) -> str:
    """Return why pip downloaded nothing, from what it said."""
    for pattern, sentence in SENTENCES:
        found = re.search(pattern, log, re.MULTILINE)
        if found:
            return sentence.format(*(part.strip()[:200] for part in found.groups()))
    last = log.strip().rpartition("\n")[2].strip()[:200]
    return f"pip ended with {last!r}" if last else "pip ended without a word"
