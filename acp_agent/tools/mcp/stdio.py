"""A server as a child process: its pipes as the streams of a session, and its last words.

The package's own transport is not used: it waits for seconds before it ends a server that does not
go, has no bound for a line, and leaves a server alone when this program is killed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from subprocess import PIPE

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from acp_agent.plain import one_line
from acp_agent.sandbox.process import process_group
from acp_agent.servers import StdioServer
from acp_agent.tools.mcp.leniency import readable

GRACE = 0.3
LONGEST_LINE = 16 * 1024 * 1024
LAST_LINES = 3
LONGEST_WORDS = 300

# What a program needs to run at all, and to reach the network; the rest the client has to pass.
_INHERITED = frozenset(
    "HOME LANG LC_ALL LC_CTYPE LOGNAME PATH SHELL TERM TMPDIR TZ USER SSL_CERT_FILE SSL_CERT_DIR"
    " HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy XDG_CACHE_HOME"
    " XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR".split()
)

ToSession = MemoryObjectSendStream[SessionMessage | Exception]
FromSession = MemoryObjectReceiveStream[SessionMessage]


class Endless(Exception):
    """A line is longer than any message."""


class LastWords:
    """The last lines of a server's stderr, and how it ended if it was not asked to."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self.is_leaving = False
        self.exit_code: int | None = None
        self.nonsense = 0
        self.is_endless = False

    def heard(self, line: str) -> None:
        if line.strip():
            self._lines.append(one_line(line, LONGEST_WORDS))

    def __str__(self) -> str:
        parts = [] if self.exit_code is None else [f"exit code {self.exit_code}"]
        if self.is_endless:
            parts.append(f"it sent a line of more than {LONGEST_LINE // 1024**2} MiB")
        if self.nonsense:
            parts.append(f"{self.nonsense} lines on its stdout were no MCP")
        said = " / ".join(self._lines)
        return "; ".join([*parts, said] if said else parts)


@asynccontextmanager
async def stdio_streams(
    server: StdioServer,
    cwd: str,
    words: LastWords,
    lost: Callable[[], None],
    environ: Mapping[str, str] = os.environ,
) -> AsyncGenerator[TransportStreams]:
    """Start the server; leaving the block ends it and all it started.

    Raises:
        ToolFailed: It cannot be started.

    """
    env = {name: value for name, value in environ.items() if name in _INHERITED} | dict(server.env)
    argv = [server.command, *server.args]
    async with process_group(argv, cwd=cwd, env=env, stdin=PIPE, stderr=PIPE) as process:
        to_session, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, from_session = anyio.create_memory_object_stream[SessionMessage](0)
        with to_session, read, write, from_session:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_hear, process, words)
                tasks.start_soon(_read, process, to_session, words, lost)
                tasks.start_soon(_write, process, from_session)
                try:
                    yield read, write
                finally:
                    words.is_leaving = True
                    with anyio.CancelScope(shield=True):
                        await _ask_to_go(process)
                    tasks.cancel_scope.cancel()


async def _ask_to_go(process: Process) -> None:
    """Close its stdin, which tells a server that it is not needed any more."""
    assert process.stdin is not None
    with anyio.move_on_after(GRACE):
        await process.stdin.aclose()
        await process.wait()


async def _read(
    process: Process, to_session: ToSession, words: LastWords, lost: Callable[[], None]
) -> None:
    assert process.stdout is not None
    try:
        with to_session:
            async for line in _lines(process.stdout):
                if not line.strip():
                    continue
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    words.nonsense += 1  # many servers print what belongs on stderr
                    continue
                await to_session.send(SessionMessage(readable(message)))
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # the session is over
    except Endless:
        words.is_endless = True
    if not words.is_leaving:
        with anyio.move_on_after(GRACE):
            words.exit_code = await process.wait()
    lost()


async def _lines(stream: ByteReceiveStream) -> AsyncGenerator[bytes]:
    """Give the lines. Raises Endless."""
    buffer = bytearray()
    while True:
        try:
            data = await stream.receive(256 * 1024)
        except (anyio.EndOfStream, anyio.BrokenResourceError, ConnectionError):
            return
        begin = 0
        while (end := data.find(b"\n", begin)) >= 0:
            buffer += data[begin:end]
            yield bytes(buffer)
            buffer.clear()
            begin = end + 1
        buffer += data[begin:]
        if len(buffer) > LONGEST_LINE:
            raise Endless


async def _write(process: Process, from_session: FromSession) -> None:
    assert process.stdin is not None
    try:
        with from_session:
            async for message in from_session:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.stdin.send(f"{text}\n".encode())
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        return  # its stdout ends as well, and that is where its end is seen


async def _hear(process: Process, words: LastWords) -> None:
    """Read what it says on stderr, so that it never blocks there; it goes to no log."""
    assert process.stderr is not None
    try:
        async for line in _lines(process.stderr):
            words.heard(line.decode("utf-8", "replace"))
    except (anyio.ClosedResourceError, Endless):
        return
