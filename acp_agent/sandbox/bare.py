"""No sandbox at all, in the shape of one: for what the user has allowed to run unconfined.

A program gets a process group of its own, which ends with the block, or with this process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

import anyio
from anyio.abc import Process

from acp_agent.errors import ToolFailed
from acp_agent.sandbox.base import Policy

GRACE = 0.3
# Should this process be killed, its end of the pipe closes, and the group is killed.
_WATCH = 'read -r _; kill -s KILL -- "-$1"'


@asynccontextmanager
async def open_bare(policy: Policy) -> AsyncGenerator[Bare]:
    """Open what is no sandbox; the policy is not kept."""
    yield Bare()


class Bare:
    """A `Sandbox` that confines nothing."""

    name = "none"

    @asynccontextmanager
    async def start(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> AsyncGenerator[BareProgram]:
        """Run a program; `env` is its whole environment. Raises ToolFailed if it cannot."""
        try:
            process = await anyio.open_process(
                argv,
                cwd=cwd,
                env=env,
                stdin=PIPE,
                stdout=PIPE,
                stderr=STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ToolFailed(f"cannot run {argv[0]!r} in {str(cwd)!r}: {error}") from None
        watcher: Process | None = None
        try:
            watcher = await anyio.open_process(
                ["/bin/sh", "-c", _WATCH, "watch", str(process.pid)],
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=DEVNULL,
                start_new_session=True,
            )
            yield BareProgram(process)
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)
                if watcher is not None:
                    watcher.kill()
                    await watcher.aclose()


class BareProgram:
    """A `Running`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def output(self) -> AsyncIterator[bytes]:
        assert self._process.stdout is not None  # piped above
        return aiter(self._process.stdout)

    async def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            raise BrokenPipeError("the program does not read any more") from None

    async def interrupt(self) -> None:
        _signal(self._process.pid, signal.SIGINT)

    async def wait(self) -> int:
        return await self._process.wait()


async def _end(process: Process) -> None:
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with anyio.move_on_after(GRACE):
            await process.wait()
    _signal(process.pid, signal.SIGKILL)  # also what it has left running
    await process.aclose()


def _signal(group: int, number: signal.Signals) -> None:
    # macOS answers EPERM for a group of zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
