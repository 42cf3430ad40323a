"""What the tools cost: a cell of python and a command in each sandbox that works, an MCP call.

The same without a sandbox, or by a bare client, stands beside each.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from bench_figures import Figure

from acp_agent.sandbox.bare import open_bare
from acp_agent.sandbox.base import Policy, Sandbox, Sandboxes
from acp_agent.sandbox.bubblewrap import BubblewrapSandboxes
from acp_agent.sandbox.docker import DockerSandboxes
from acp_agent.sandbox.interpreter import open_interpreter
from acp_agent.sandbox.landlock import LandlockSandboxes
from acp_agent.servers import StdioServer
from acp_agent.tools.mcp.server import TimeLimits
from acp_agent.tools.mcp.tools import open_mcp_tools

ROOT = Path(__file__).parents[1]
SERVER = str(ROOT / "tests" / "tools" / "mcp" / "good_server.py")
OPENINGS, CELLS, CALLS = 6, 30, 30
ENV = {"PATH": os.environ["PATH"]}


def bench_tools(workspace: Path) -> list[Figure]:
    """Measure what waits for a sandbox, and for a server."""
    return anyio.run(_measure, workspace)


async def _measure(workspace: Path) -> list[Figure]:
    bare: dict[str, list[float]] = defaultdict(list)
    await _sandboxed(workspace, lambda policy: open_bare(policy), bare)
    figures: list[Figure] = []
    for sandboxes in _known():
        figures += await _figures(sandboxes, workspace, bare)
    return [*figures, await _mcp(workspace)]


def _known() -> tuple[Sandboxes, ...]:
    image = os.environ.get("ACP_AGENT_SANDBOX_IMAGE", "")
    return (DockerSandboxes(image), BubblewrapSandboxes(), LandlockSandboxes())


async def _figures(
    sandboxes: Sandboxes, workspace: Path, bare: dict[str, list[float]]
) -> list[Figure]:
    name = sandboxes.name
    if trouble := await sandboxes.trouble():
        return [Figure(name, f"{name}: {trouble}"[:100], "", ())]
    values: dict[str, list[float]] = defaultdict(list)
    await _sandboxed(workspace, sandboxes.open, values)
    labels = {
        "first": f"{name}: python opened → first cell done",
        "next": f"{name}: a cell after it",
        "command": f"{name}: a command in it",
    }
    return [
        Figure(f"{name}_{key}", label, "ms", tuple(values[key]), tuple(bare[key]))
        for key, label in labels.items()
    ]


async def _sandboxed(
    workspace: Path, open_sandbox: Callable[[Policy], Any], values: dict[str, list[float]]
) -> None:
    for _ in range(OPENINGS):
        began = time.perf_counter()
        async with AsyncExitStack() as stack:
            policy = Policy(readable=(workspace,))
            sandbox: Sandbox = await stack.enter_async_context(open_sandbox(policy))
            python = await stack.enter_async_context(
                open_interpreter(sandbox, cwd=workspace, env=ENV)
            )
            await python.run("6 * 7", lambda _: None)
            values["first"].append(1000 * (time.perf_counter() - began))
            for _ in range(CELLS // OPENINGS):
                cell = partial(python.run, "6 * 7", lambda _: None)
                values["next"].append(await _milliseconds(cell))
                command = partial(_command, sandbox, workspace)
                values["command"].append(await _milliseconds(command))


async def _command(sandbox: Sandbox, workspace: Path) -> None:
    async with sandbox.start(["true"], cwd=workspace, env=ENV) as program:
        await program.wait()


async def _milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return 1000 * (time.perf_counter() - began)


async def _mcp(workspace: Path) -> Figure:
    """Call the same tool through the agent's toolbox and through the package's own client."""
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    server = StdioServer("bench", sys.executable, (SERVER, "rich"), ())
    ours: list[float] = []
    direct: list[float] = []
    parameters = StdioServerParameters(command=sys.executable, args=[SERVER, "rich"])
    async with Client(stdio_client(parameters)) as client, anyio.create_task_group() as tasks:
        tools = open_mcp_tools(
            [server],
            str(workspace),
            tasks.start_soon,
            print,
            limits=TimeLimits(call=30),
            budget=5000,
            count=len,
        )
        await tools.ready()

        async def ask() -> None:
            call = await tools.prepare("1", "functions.bench__echo", json.dumps({"text": "a"}))
            await call.run(_ignore)

        for _ in range(CALLS):
            ours.append(await _milliseconds(ask))
            direct.append(await _milliseconds(lambda: client.call_tool("echo", {"text": "a"})))
        await tools.close()
    return Figure("mcp_call", "MCP: a call over stdio", "ms", tuple(ours), tuple(direct))


async def _ignore(_event: object) -> None:
    """Take what a call says on the way."""
