"""Real MCP servers, as children and at addresses, and the toolbox of a session that has them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from acp_agent.errors import ToolFailed
from acp_agent.events import Event
from acp_agent.servers import ServerConfig, StdioServer
from acp_agent.tools.base import Prepared, ToolResult
from acp_agent.tools.mcp.server import TimeLimits
from acp_agent.tools.mcp.tools import McpTools, open_mcp_tools

HERE = Path(__file__).parent
GOOD, BAD = str(HERE / "good_server.py"), str(HERE / "bad_server.py")
SECRET = "s3cret-key"


def good(name: str = "rich", called: str = "") -> StdioServer:
    return StdioServer(called or name, sys.executable, (GOOD, name), (("KEY", SECRET),))


def bad(how: str) -> StdioServer:
    return StdioServer(how, sys.executable, (BAD, how), (("KEY", SECRET),))


@dataclass
class McpBench:
    """The tools of some servers; `call` does what a turn does with one call."""

    tools: McpTools
    notes: list[str]
    events: list[Event] = field(default_factory=list[Event])

    async def emit(self, event: Event) -> None:
        self.events.append(event)

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

    def names(self) -> list[str]:
        """Return the tools that stand in the prompt."""
        return [spec.name for spec in self.tools.specs if not spec.deferred]


@asynccontextmanager
async def open_bench(
    *servers: ServerConfig, limits: TimeLimits | None = None, budget: int = 5_000, cwd: str = "/"
) -> AsyncGenerator[McpBench]:
    """Open the tools of these servers; at the end the servers are gone."""
    notes: list[str] = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tools = open_mcp_tools(
                servers,
                cwd,
                tasks.start_soon,
                notes.append,
                limits=limits or TimeLimits(patience=40),  # machines may be busy
                budget=budget,
                count=lambda text: len(text) // 4,
            )
            try:
                await tools.ready()
                yield McpBench(tools, notes)
            finally:
                with anyio.CancelScope(shield=True):
                    await tools.close()


@contextmanager
def served(name: str, transport: str, port: int = 0) -> Generator[tuple[str, Callable[[], None]]]:
    """Serve on a (free) port until the block is left; give the address, and how to stop it now."""
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    command = [sys.executable, GOOD, name, transport, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            path = "sse" if transport == "sse" else "mcp"
            yield f"http://127.0.0.1:{port}/{path}", lambda: (process.kill(), process.wait())[0]
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server does not listen")


@pytest.fixture(scope="session")
def http_server() -> Iterator[str]:
    with served("rich", "http") as (url, _):
        yield url


@pytest.fixture(scope="session")
def sse_server() -> Iterator[str]:
    with served("rich", "sse") as (url, _):
        yield url
