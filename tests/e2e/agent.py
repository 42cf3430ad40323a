"""The real agent as a child of the official SDK, and its sessions seen from the editor."""

from __future__ import annotations

import sys
from asyncio.subprocess import Process  # the SDK is asyncio's; this is only its type
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import cast

import anyio
from acp import Client, spawn_agent_process
from acp.client import ClientSideConnection
from acp.schema import McpServerStdio, NewSessionResponse, TextContentBlock

from tests.e2e.editor import Editor
from tests.e2e.processes import PATIENCE
from tests.e2e.turn import Json, Turn

SERVE = (sys.executable, "-m", "acp_agent", "serve")
FRAME_LIMIT = 32 * 1024 * 1024


class Session:
    """A session of the agent, seen from the editor."""

    def __init__(self, agent: Agent, opened: NewSessionResponse) -> None:
        self.agent = agent
        self.opened = opened
        self.id = opened.session_id

    @property
    def updates(self) -> list[Json]:
        return self.agent.editor.updates.setdefault(self.id, [])

    async def prompt(self, text: str) -> Turn:
        """Send a prompt and return its turn. Raises RequestError."""
        begin = len(self.updates)
        with anyio.fail_after(PATIENCE):
            answer = await self.agent.connection.prompt(
                self.id, [TextContentBlock(type="text", text=text)]
            )
        return Turn(answer.stop_reason, self.updates[begin:])

    async def cancel(self) -> None:
        await self.agent.connection.cancel(self.id)

    async def says(self, text: str) -> None:
        """Wait until the answers of this session hold `text`."""
        await self.agent.editor.until(lambda: text in Turn("", self.updates).answer)

    async def runs(self, title: str) -> Json:
        """Wait until a call with this title is in progress, and return it."""

        def started() -> list[Json]:
            calls = Turn("", self.updates).calls
            return [c for c in calls if c["title"] == title and c["status"] == "in_progress"]

        await self.agent.editor.until(lambda: bool(started()))
        return started()[0]


class Agent:
    """The running agent, with the SDK's connection to it."""

    def __init__(self, connection: ClientSideConnection, process: Process, editor: Editor) -> None:
        self.connection = connection
        self.process = process
        self.editor = editor

    async def new_session(self, cwd: Path, servers: Sequence[McpServerStdio] = ()) -> Session:
        with anyio.fail_after(PATIENCE):
            opened = await self.connection.new_session(str(cwd), mcp_servers=list(servers))
            return Session(self, opened)

    async def has_gone(self, seconds: float) -> int:
        """Return the exit code, which must be there within `seconds`."""
        with anyio.fail_after(seconds):
            return await self.process.wait()


@asynccontextmanager
async def open_agent(
    env: Mapping[str, str],
    *flags: str,
    editor: Editor | None = None,
    command: Sequence[str] = SERVE,
    cwd: Path | None = None,
) -> AsyncGenerator[Agent]:
    """Start and initialize the agent; at the end, look at what SDK and agent complained about."""
    editor = editor or Editor()
    with TemporaryFile() as log:
        stack = AsyncExitStack()
        try:
            connection, process = await stack.enter_async_context(
                spawn_agent_process(
                    cast("Client", editor),  # the SDK's protocol holds much that nobody offers
                    *command,
                    *flags,
                    env=env,
                    cwd=cwd or Path(env["HOME"]),
                    transport_kwargs={"stderr": log.fileno(), "limit": FRAME_LIMIT},
                    observers=[editor.observe],
                )
            )
            with anyio.fail_after(PATIENCE):
                await connection.initialize(1, editor.capabilities)
            yield Agent(connection, process, editor)
        finally:
            # The SDK would leave the process alone if the test were cancelled here.
            with anyio.CancelScope(shield=True):
                await stack.aclose()
        log.seek(0)
        complaints = log.read().decode()
    assert "Traceback" not in complaints, complaints
    sent = [frame for frame in editor.frames if frame.get("method") == "session/update"]
    understood = sum(map(len, editor.updates.values()))
    assert understood == len(sent), "the SDK could not read some updates"
