"""An editor made with the official SDK: a peer that owes nothing to this package.

It answers what the agent asks, and keeps what the agent says as the SDK understood it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from acp import RequestError
from acp.connection import StreamDirection, StreamEvent
from acp.schema import (
    AllowedOutcome,
    ClientCapabilities,
    CreateTerminalResponse,
    DeniedOutcome,
    EnvVariable,
    FileSystemCapabilities,
    PermissionOption,
    ReadTextFileResponse,
    ReleaseTerminalResponse,
    RequestPermissionResponse,
    TerminalExitStatus,
    TerminalOutputResponse,
    ToolCallUpdate,
    WaitForTerminalExitResponse,
    WriteTextFileResponse,
)

from tests.e2e.processes import PATIENCE
from tests.e2e.terminals import Terminals
from tests.e2e.turn import Json

Decide = Callable[[ToolCallUpdate, Sequence[PermissionOption]], str | None]


def choose(kind: str) -> Decide:
    """Answer every permission question with the option of this kind."""

    def decide(_call: ToolCallUpdate, options: Sequence[PermissionOption]) -> str | None:
        return next(option.option_id for option in options if option.kind == kind)

    return decide


def _set() -> anyio.Event:
    event = anyio.Event()
    event.set()
    return event


@dataclass
class Editor:
    """The client; `buffers` and `terminals` are offered unless None.

    `decide` answers questions, as soon as `answering` is set. `opening` is called with the session
    while a terminal is being opened.
    """

    decide: Decide = field(default_factory=lambda: choose("allow_once"))
    buffers: dict[str, str] | None = None
    terminals: Terminals | None = None
    answering: anyio.Event = field(default_factory=_set)
    opening: Callable[[str], Awaitable[None]] | None = None
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
        terminal_id = self.terminals.create(command, args or [], cwd, values)
        if self.opening is not None:
            await self.opening(session_id)
        return CreateTerminalResponse(terminal_id=terminal_id)

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
