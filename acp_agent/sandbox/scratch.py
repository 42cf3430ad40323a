"""The private directory of one sandbox for temporary files, which is gone with the sandbox.

Its maker holds a lock on it, which the kernel takes back should the maker be killed: who makes the
next directory removes those that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio.to_thread

from acp_agent.errors import ToolFailed

PREFIX = "acp-agent-box."
# Between the making of a directory and its lock, nobody may take it for a left one.
NEW_SECONDS = 60.0
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@asynccontextmanager
async def scratch() -> AsyncGenerator[Path]:
    """Make such a directory. Raises ToolFailed if there is no room for one."""
    try:
        path = Path(os.path.realpath(tempfile.mkdtemp(prefix=PREFIX)))
        held = os.open(path, _DIRECTORY)
    except OSError as error:
        raise ToolFailed(f"no directory for temporary files: {error}") from None
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await anyio.to_thread.run_sync(_sweep, path.parent)
        yield path
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, path, ignore_errors=True))
        os.close(held)


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            made = path.lstat()
            if made.st_uid == os.getuid() and time.time() - made.st_mtime > NEW_SECONDS:
                _remove_left(path)


def _remove_left(path: Path) -> None:
    held = os.open(path, _DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(held)
