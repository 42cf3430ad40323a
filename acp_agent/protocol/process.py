"""An agent as a child process: a Transport over its pipes, its last words, and its end."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import Process

from acp_agent.errors import AgentError
from acp_agent.protocol.jsonrpc import Oversized
from acp_agent.protocol.lines import LineSplitter
from acp_agent.protocol.outbox import Outbox

EXIT = 2
LAST_WORDS = 1
STDERR_LINES = 20


class AgentDied(AgentError):
    """The agent ended, or never began to answer; the text ends with its last lines on stderr."""


class AgentProcess:
    """The pipes of a running agent."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdout = process.stdout
        self._splitter = LineSplitter()
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._silent = anyio.Event()
        self.outbox = Outbox(process.stdin.send)
        self.put = self.outbox.put
        self.send = self.outbox.send

    @property
    def pid(self) -> int:
        return self._process.pid

    async def receive(self) -> Sequence[bytes | Oversized]:
        try:
            while True:
                if lines := self._splitter.feed(await self._stdout.receive(256 * 1024)):
                    return lines
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return self._splitter.finish()

    async def drain_stderr(self) -> None:
        """Read what it says on stderr, so that it never blocks there, and keep the last lines."""
        assert self._process.stderr is not None
        rest = ""
        try:
            async for data in self._process.stderr:
                *lines, rest = (rest + data.decode("utf-8", "replace"))[-65536:].split("\n")
                self._stderr.extend(line for line in lines if line.strip())
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass
        if rest.strip():
            self._stderr.append(rest)
        self._silent.set()

    async def obituary(self, what: str) -> AgentDied:
        """Return the error that says what happened, with exit code and last words."""
        code = None
        with anyio.move_on_after(LAST_WORDS):
            code = await self._process.wait()
            await self._silent.wait()
        ended = "" if code is None else f" (exit code {code})"
        said = "".join(f"\n  {line}" for line in self._stderr)
        return AgentDied(f"{what}{ended}{said and '; its last words:'}{said}")

    async def end(self) -> None:
        """Close its stdin, and kill it with all its children if it does not go by itself."""
        assert self._process.stdin is not None
        with anyio.CancelScope(shield=True):
            await self._process.stdin.aclose()
            with anyio.move_on_after(EXIT):
                await self._process.wait()
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                await self._process.wait()


@asynccontextmanager
async def agent_process(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> AsyncGenerator[AgentProcess]:
    """Start `command` in a process group of its own; on leaving, it is gone.

    Raises:
        AgentDied: It cannot be started.

    """
    try:
        process = await anyio.open_process(
            list(command),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise AgentDied(f"cannot start {command[0]!r}: {error.strerror}") from None
    agent = AgentProcess(process)
    failure: AgentError | None = None
    async with process:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.drain_stderr)
            tasks.start_soon(agent.outbox.run)
            try:
                yield agent
            except AgentError as error:
                failure = error  # raised below, outside the group, which would wrap it
            finally:
                await agent.end()
                tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
