"""One at a time may change a model, over all processes; who waits sees how far the other is.

The kernel lets go of the lock when its holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

import anyio

from acp_agent.models.base import Progress, Tell

PAUSE = 0.2  # seconds between tries for the lock
TOLD = 0.5  # seconds between two notes for those who wait


@asynccontextmanager
async def locked(
    path: Path, tell: Tell, waiting: Callable[[], None], *, shared: bool = False
) -> AsyncGenerator[Tell]:
    """Hold the lock at `path`; gives a `Tell` that those who wait hear too.

    `waiting` is called once if another holds it; meanwhile `tell` gets the other's progress.
    """
    with path.open("ab") as file:
        if not _takes(file, shared):
            waiting()
            while not _takes(file, shared):
                _pass_on(path, tell)
                await anyio.sleep(PAUSE)
        notes = _notes(path)
        try:
            yield tell if shared else _Telling(tell, notes)
        finally:
            if not shared:
                notes.unlink(missing_ok=True)


@asynccontextmanager
async def if_free(path: Path) -> AsyncGenerator[bool]:
    """Hold the lock if nobody does; gives whether it could be had."""
    with path.open("ab") as file:
        yield _takes(file, shared=False)


def progress_of(path: Path) -> Progress | None:
    """Return how far the holder of the lock at `path` is; None if nobody holds it, or says."""
    if not is_held(path):
        return None
    try:
        fields = json.loads(_notes(path).read_text(encoding="utf-8"))
        return Progress(**fields)
    except (OSError, ValueError, TypeError):
        return None


def is_held(path: Path) -> bool:
    """Tell whether somebody changes the model now."""
    try:
        with path.open("rb") as file:
            return not _takes(file, shared=True)
    except OSError:
        return False


class _Telling:
    """Passes progress on, and writes it down now and then."""

    def __init__(self, tell: Tell, notes: Path) -> None:
        self._tell = tell
        self._notes = notes
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        self._tell(progress)
        now = anyio.current_time()
        if now >= self._next or progress.note:
            self._next = now + TOLD
            draft = self._notes.with_suffix(".new")
            with suppress(OSError):  # a full disk is told by whoever writes what matters
                draft.write_text(json.dumps(asdict(progress)), encoding="utf-8")
                draft.replace(self._notes)


def _pass_on(path: Path, tell: Tell) -> None:
    progress = progress_of(path)
    if progress is not None:
        tell(progress)


def _notes(path: Path) -> Path:
    return path.with_name(f".{path.name}.progress")


def _takes(file: IO[bytes], shared: bool) -> bool:
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
