"""The tool `python` on a bench: a real interpreter in what passes for a sandbox, and its calls."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from acp_agent.errors import ToolFailed
from acp_agent.events import Event, ToolCallUpdated, ToolOutput
from acp_agent.sandbox.bare import open_bare
from acp_agent.sandbox.base import Policy, Running, Sandbox
from acp_agent.tools.base import Prepared, ToolResult
from acp_agent.tools.python import PythonTool
from acp_agent.tools.raw_body import RawBody


@dataclass
class WithPath:
    """A sandbox that brings a PATH, as all do."""

    inner: Sandbox
    name: str = "test"

    def start(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Running]:
        return self.inner.start(argv, cwd=cwd, env={"PATH": os.environ["PATH"], **env})


@dataclass
class Sandboxing:
    """Opens what passes for a sandbox, and remembers what was asked for."""

    policies: list[Policy] = field(default_factory=list[Policy])
    closed: int = 0
    trouble: str = ""
    fails: str = ""

    @asynccontextmanager
    async def open(self, policy: Policy) -> AsyncGenerator[Sandbox]:
        if self.fails:
            raise ToolFailed(self.fails)
        self.policies.append(policy)
        async with open_bare(policy) as bare:
            yield WithPath(bare)
        self.closed += 1

    async def find_trouble(self) -> str:
        return self.trouble


@dataclass
class Bench:
    """The tool on a real directory; `call` does what a turn does with one call."""

    root: Path
    tool: PythonTool
    sandboxing: Sandboxing
    events: list[Event] = field(default_factory=list[Event])
    on_event: Callable[[Event], None] = lambda _: None

    async def emit(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)

    async def prepare(self, body: str) -> Prepared:
        return await self.tool.prepare("call-1", RawBody(body=body))

    async def call(self, body: str) -> ToolResult:
        return await (await self.prepare(body)).run(self.emit)

    async def text(self, body: str) -> str:
        return (await self.call(body)).text

    async def cancelled_at(self, sign: str, body: str) -> None:
        """Call, and cancel the call once it has written `sign`."""
        seen = anyio.Event()

        def look(event: Event) -> None:
            if isinstance(event, ToolOutput) and sign in event.snapshot:
                seen.set()

        self.on_event = look
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.call, body)
            await seen.wait()
            tasks.cancel_scope.cancel()

    @property
    def titles(self) -> list[str]:
        changed = [event for event in self.events if isinstance(event, ToolCallUpdated)]
        return [event.title for event in changed if event.title is not None]
