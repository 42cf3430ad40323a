"""An editor made with the official SDK: a peer that owes nothing to this package.

It starts the real agent, answers what the agent asks, and keeps what the agent says as the SDK
understood it.
"""

from __future__ import annotations

import os
import sys
from asyncio.subprocess import Process  # the SDK is asyncio's; this is only its type
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import anyio
from acp import Client, RequestError, spawn_agent_process
from acp.client import ClientSideConnection
from acp.connection import StreamDirection, StreamEvent
from acp.schema import (
    AllowedOutcome,
    ClientCapabilities,
    CreateTerminalResponse,
    DeniedOutcome,
    EnvVariable,
    FileSystemCapabilities,
    NewSessionResponse,
    PermissionOption,
    ReadTextFileResponse,
    ReleaseTerminalResponse,
    RequestPermissionResponse,
    TerminalExitStatus,
    TerminalOutputResponse,
    TextContentBlock,
    ToolCallUpdate,
    WaitForTerminalExitResponse,
    WriteTextFileResponse,
)

from tests.e2e.processes import PATIENCE
from tests.e2e.terminals import Terminals

Json = dict[str, Any]
Decide = Callable[[ToolCallUpdate, Sequence[PermissionOption]], str | None]

SERVE = (sys.executable, "-m", "acp_agent", "serve")
FRAME_LIMIT = 32 * 1024 * 1024


def choose(kind: str) -> Decide:
    """Answer every permission question with the option of this kind."""

    def decide(_call: ToolCallUpdate, options: Sequence[PermissionOption]) -> str | None:
        return next(option.option_id for option in options if option.kind == kind)

    return decide


@dataclass
class Turn:
    """What one prompt brought: why it stopped, and its updates in their order."""

    stop: str
    updates: list[Json]

    @property
    def answer(self) -> str:
        return _text(self.updates, "agent_message_chunk")

    @property
    def thoughts(self) -> str:
        return _text(self.updates, "agent_thought_chunk")

    @property
    def plans(self) -> list[Json]:
        return [update for update in self.updates if update["sessionUpdate"] == "plan"]

    @property
    def calls(self) -> list[Json]:
        """The tool calls, each as all its updates together left it."""
        return list(merged_calls(self.updates).values())

    def statuses(self, call: Json) -> list[str]:
        """Every status that the call was in, in order."""
        mine = [u for u in self.updates if u.get("toolCallId") == call["toolCallId"]]
        said = [update["status"] for update in mine if "status" in update]
        return [status for number, status in enumerate(said) if status not in said[:number]]


def merged_calls(updates: Sequence[Json]) -> dict[str, Json]:
    """Return each tool call with everything that is known about it."""
    calls: dict[str, Json] = {}
    for update in updates:
        if update["sessionUpdate"] in ("tool_call", "tool_call_update"):
            calls[update["toolCallId"]] = calls.get(update["toolCallId"], {}) | update
    return calls


def _text(updates: Sequence[Json], kind: str) -> str:
    chunks = [update for update in updates if update["sessionUpdate"] == kind]
    return "".join(chunk["content"]["text"] for chunk in chunks)


def _set() -> anyio.Event:
    event = anyio.Event()
    event.set()
    return event


@dataclass
class Editor(Client):
    """The client; `buffers` and `terminals` are offered unless None.

    `decide` answers questions, as soon as `answering` is set.
    """

    decide: Decide = field(default_factory=lambda: choose("allow_once"))
    buffers: dict[str, str] | None = None
    terminals: Terminals | None = None
    answering: anyio.Event = field(default_factory=_set)
    updates: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    frames: list[Json] = field(default_factory=list[Json])
    asked: list[Json] = field(default_factory=list[Json])
    news: anyio.Event = field(default_factory=anyio.Event)

    @property
    def capabilities(self) -> ClientCapabilities:
        files = self.buffers is not None
        return ClientCapabilities(
            fs=FileSystemCapabilities(read_text_file=files, write_text_file=files),
            terminal=self.terminals is not None,
        )

    @property
    def methods(self) -> list[str]:
        """What the agent has asked for, method by method."""
        return [request["method"] for request in self.asked]

    @property
    def questions(self) -> list[Json]:
        """The tool calls about which the user was asked, as the question showed them."""
        method = "session/request_permission"
        return [r["params"]["toolCall"] for r in self.asked if r["method"] == method]

    def observe(self, event: StreamEvent) -> None:
        """Keep every frame, in the order of the wire."""
        message = event.message
        self.frames.append(message)
        if event.direction is StreamDirection.INCOMING and "id" in message and "method" in message:
            self.asked.append(message)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what the agent has said makes `condition` true."""
        with anyio.fail_after(PATIENCE):
            while not condition():
                self.news = anyio.Event()
                await self.news.wait()

    async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
        told = update.model_dump(mode="json", by_alias=True, exclude_unset=True)
        self.updates.setdefault(session_id, []).append(told)
        self.news.set()

    async def request_permission(
        self,
        session_id: str,
        tool_call: ToolCallUpdate,
        options: list[PermissionOption],
        **kwargs: Any,
    ) -> RequestPermissionResponse:
        self.news.set()
        await self.answering.wait()
        chosen = self.decide(tool_call, options)
        if chosen is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(
            outcome=AllowedOutcome(outcome="selected", option_id=chosen)
        )

    async def read_text_file(
        self,
        session_id: str,
        path: str,
        line: int | None = None,
        limit: int | None = None,
        **kwargs: Any,
    ) -> ReadTextFileResponse:
        assert self.buffers is not None
        if path not in self.buffers:
            raise RequestError.resource_not_found(path)
        return ReadTextFileResponse(content=self.buffers[path])

    async def write_text_file(
        self, session_id: str, path: str, content: str, **kwargs: Any
    ) -> WriteTextFileResponse:
        assert self.buffers is not None
        self.buffers[path] = content
        return WriteTextFileResponse()

    async def create_terminal(
        self,
        session_id: str,
        command: str,
        args: list[str] | None = None,
        env: list[EnvVariable] | None = None,
        cwd: str | None = None,
        output_byte_limit: int | None = None,
        **kwargs: Any,
    ) -> CreateTerminalResponse:
        assert self.terminals is not None
        values = dict(os.environ) | {variable.name: variable.value for variable in env or []}
        return CreateTerminalResponse(
            terminal_id=self.terminals.create(command, args or [], cwd, values)
        )

    async def terminal_output(
        self, session_id: str, terminal_id: str, **kwargs: Any
    ) -> TerminalOutputResponse:
        assert self.terminals is not None
        text, code = self.terminals.output(terminal_id)
        ended = None if code is None else TerminalExitStatus(exit_code=code)
        return TerminalOutputResponse(output=text, truncated=False, exit_status=ended)

    async def wait_for_terminal_exit(
        self, session_id: str, terminal_id: str, **kwargs: Any
    ) -> WaitForTerminalExitResponse:
        assert self.terminals is not None
        return WaitForTerminalExitResponse(exit_code=await self.terminals.wait(terminal_id))

    async def release_terminal(
        self, session_id: str, terminal_id: str, **kwargs: Any
    ) -> ReleaseTerminalResponse:
        assert self.terminals is not None
        self.terminals.release(terminal_id)
        return ReleaseTerminalResponse()


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

    async def new_session(self, cwd: Path) -> Session:
        with anyio.fail_after(PATIENCE):
            return Session(self, await self.connection.new_session(str(cwd)))

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
                    editor,
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
