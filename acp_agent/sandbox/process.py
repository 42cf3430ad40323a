"""A program in a process group of its own, which never outlives the block that runs it.

What it writes to stdout and stderr comes as one stream of bytes. When the block is left, for
whatever reason, the whole group is ended: politely first, then for certain. Should this program
itself be killed, a watching shell, whose input then ends, kills the group, and removes what must
not outlast it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

import anyio
from anyio.abc import ByteReceiveStream, Process

from acp_agent.errors import ToolFailed

GRACE = 0.3
# After a program has ended, what it left in the pipe comes at once; a process that it left behind
# may hold the pipe open for ever.
LINGER = 0.2
_LAST_SIGNAL = 64
# It looks again, because a program may be writing while it dies.
_WATCH = """
read -r _; kill -s KILL -- "-$1"; shift
[ $# = 0 ] || { rm -rf -- "$@"; sleep 1; rm -rf -- "$@"; }
"""


@asynccontextmanager
async def process_group(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str] | None = None,
    stdin: int = DEVNULL,
    stderr: int = STDOUT,
    unwanted: Sequence[Path] = (),
) -> AsyncGenerator[Process]:
    """Run `argv`; its output is `process.stdout`. Raises ToolFailed if it cannot start.

    `unwanted` is removed should this program be killed meanwhile; else that is the caller's part.
    """
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
            ["/bin/sh", "-c", _WATCH, "watch", str(process.pid), *map(str, unwanted)],
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


class Program:
    """A `Running` program: one that `process_group` runs, and that listens."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def output(self) -> AsyncIterator[bytes]:
        return _Output(self._process)

    async def send(self, data: bytes) -> None:
        assert self._process.stdin is not None  # it listens
        try:
            await self._process.stdin.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            raise BrokenPipeError("the program does not read any more") from None

    async def interrupt(self) -> None:
        _signal(self._process.pid, signal.SIGINT)

    async def wait(self) -> int:
        status = await self._process.wait()
        # bubblewrap tells as a shell does that a signal ended the program.
        return 128 - status if 128 < status <= 128 + _LAST_SIGNAL else status


class _Output:
    """Iterates over what a process writes, until a moment after its end."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None  # process_group pipes it
        self._process = process
        self._stdout: ByteReceiveStream = process.stdout

    def __aiter__(self) -> _Output:
        return self

    async def __anext__(self) -> bytes:
        data = b""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._expire, tasks.cancel_scope)
            with suppress(anyio.EndOfStream, anyio.ClosedResourceError):
                data = await self._stdout.receive()
            tasks.cancel_scope.cancel()
        if not data:
            raise StopAsyncIteration
        return data

    async def _expire(self, scope: anyio.CancelScope) -> None:
        await self._process.wait()
        scope.deadline = anyio.current_time() + LINGER


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
