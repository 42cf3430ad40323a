"""A command in a process group of its own, which never outlives the block that runs it.

The command reads nothing; what it writes to stdout and stderr comes as one stream of bytes. When
the block is left, for whatever reason, the whole group is ended: politely first, then for certain.
Should this program itself be killed, a watching shell, whose input then ends, kills the group.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from subprocess import DEVNULL, PIPE, STDOUT

import anyio
from anyio.abc import Process

from acp_agent.errors import ToolFailed

GRACE = 0.3
_WATCH = 'read -r _; kill -s KILL -- "-$1"'


@asynccontextmanager
async def process_group(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str] | None = None,
    stdin: int = DEVNULL,
    stderr: int = STDOUT,
) -> AsyncGenerator[Process]:
    """Run `argv`; its output is `process.stdout`. Raises ToolFailed if it cannot start."""
    try:
        process = await anyio.open_process(
            argv,
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ToolFailed(f"cannot run {argv[0]!r} in {cwd!r}: {error}") from None
    watcher: Process | None = None
    try:
        watcher = await anyio.open_process(
            ["/bin/sh", "-c", _WATCH, "watch", str(process.pid)],
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,
        )
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
            if watcher is not None:
                watcher.kill()
                await watcher.aclose()


async def _end(process: Process) -> None:
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with anyio.move_on_after(GRACE):
            await process.wait()
    # Also after a normal end: what the command left running belongs to it.
    _signal(process.pid, signal.SIGKILL)
    await process.aclose()


def _signal(group: int, number: signal.Signals) -> None:
    # macOS answers EPERM for a group of zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
