"""A workspace with tools in it, and an editor that does what its script says."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from acp_agent.errors import ToolFailed
from acp_agent.events import Event, ToolCallUpdated
from acp_agent.ports import EditorTerminal, PermissionOption, TerminalResult
from acp_agent.tools.base import Prepared, Toolbox, ToolResult
from acp_agent.tools.toolbox import make_tools
from acp_agent.tools.workspace import Workspace


@dataclass
class ScriptedTerminal:
    """A terminal that ends at once with `output`, or never when `hangs`."""

    output: str = ""
    exit_code: int | None = 0
    hangs: bool = False
    truncated: bool = False
    terminal_id: str = "term-1"
    killed: bool = False
    released: bool = False

    async def wait(self) -> None:
        if self.hangs:
            await anyio.sleep_forever()

    async def result(self) -> TerminalResult:
        code, signal = (None, "SIGKILL") if self.killed else (self.exit_code, None)
        return TerminalResult(self.output, code, signal, self.truncated)

    async def kill(self) -> None:
        self.killed = True


@dataclass
class ScriptedEditor:
    """An editor with open files; `refuses` maps a path to the text of its refusal."""

    can_read_files: bool = False
    can_write_files: bool = False
    terminal: ScriptedTerminal | None = None
    buffers: dict[str, str] = field(default_factory=dict[str, str])
    refuses: dict[str, str] = field(default_factory=dict[str, str])
    panes: Callable[[dict[str, object]], object] | None = None
    opened: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    environments: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])

    @property
    def has_terminals(self) -> bool:
        return self.terminal is not None

    @property
    def has_panes(self) -> bool:
        return self.panes is not None

    async def extension(self, method: str, params: dict[str, object]) -> object:
        assert self.panes is not None and method == "_openagents/ui_pane"
        return self.panes(params)

    async def read_text_file(self, path: str) -> str:
        if path in self.refuses:
            raise ToolFailed(self.refuses[path])
        if path not in self.buffers:
            raise FileNotFoundError(path)
        return self.buffers[path]

    async def write_text_file(self, path: str, content: str) -> None:
        if path in self.refuses:
            raise ToolFailed(self.refuses[path])
        self.buffers[path] = content
        Path(path).write_text(content, encoding="utf-8", newline="")

    @asynccontextmanager
    async def open_terminal(
        self, command: str, args: Sequence[str], cwd: str, env: Mapping[str, str], output_limit: int
    ) -> AsyncGenerator[EditorTerminal]:
        assert self.terminal is not None
        self.opened.append((command, *args, cwd))
        self.environments.append(env)
        try:
            yield self.terminal
        finally:
            self.terminal.released = True

    async def request_permission(
        self, call: ToolCallUpdated, options: Sequence[PermissionOption]
    ) -> str | None:
        raise AssertionError("tools never ask by themselves")


@dataclass
class Bench:
    """The tools on a real directory; `call` does what a turn does with one call."""

    root: Path
    workspace: Workspace
    tools: Toolbox
    events: list[Event] = field(default_factory=list[Event])
    on_event: Callable[[Event], None] | None = None

    async def emit(self, event: Event) -> None:
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)

    async def call_until(self, happened: anyio.Event, recipient: str, **arguments: object) -> None:
        """Call, and cancel the call as soon as `happened` is set."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: self.call(recipient, **arguments))
            await happened.wait()
            tasks.cancel_scope.cancel()

    async def prepare(self, recipient: str, **arguments: object) -> Prepared:
        return await self.tools.prepare("call-1", recipient, json.dumps(arguments))

    async def call(self, recipient: str, **arguments: object) -> ToolResult:
        return await (await self.prepare(recipient, **arguments)).run(self.emit)

    async def text(self, recipient: str, **arguments: object) -> str:
        return (await self.call(recipient, **arguments)).text

    async def refusal(self, recipient: str, **arguments: object) -> str:
        """Return the words of the failure that must come."""
        with pytest.raises(ToolFailed) as failure:
            await self.call(recipient, **arguments)
        return str(failure.value)

    def put(self, path: str, text: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> MakeBench:
    def make(
        editor: ScriptedEditor | None = None, *, roots: Sequence[Path] = (), timeout: float = 20
    ) -> Bench:
        root = tmp_path / "work"
        root.mkdir(exist_ok=True)
        workspace = Workspace(root, roots, editor)
        return Bench(root, workspace, make_tools(workspace, editor, command_timeout=timeout))

    return make


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()


@pytest.fixture
async def patient() -> AsyncIterator[None]:
    """Fail instead of waiting for ever."""
    with anyio.fail_after(30):
        yield
