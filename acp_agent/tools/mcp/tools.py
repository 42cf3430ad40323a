"""The tools of a session's MCP servers as a `Toolbox`."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
from anyio import to_thread
from pydantic import BaseModel

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, Text, ToolKind
from acp_agent.fence import fenced
from acp_agent.plain import one_line
from acp_agent.servers import ServerConfig
from acp_agent.tools.base import Permission, Prepared, ToolResult
from acp_agent.tools.call_arguments import parse_arguments
from acp_agent.tools.mcp.arguments import read_arguments
from acp_agent.tools.mcp.catalog import Catalog, Entry, Listing
from acp_agent.tools.mcp.finding import find_tools, told
from acp_agent.tools.mcp.names import key
from acp_agent.tools.mcp.server import McpServer, TimeLimits
from acp_agent.tools.spec import tool_spec

FIND = "find_tool"
END = 2.0
LONGEST_SHOWN = 20_000

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]


class FindToolArguments(BaseModel):
    """What the tool should do."""

    query: str


class McpTools:
    """A `Toolbox`; its servers run in tasks of whoever made it."""

    def __init__(
        self,
        servers: Sequence[McpServer],
        *,
        budget: int,
        count: Callable[[str], int],
        tell: Callable[[str], None],
        patience: float,
    ) -> None:
        """Take servers whose tasks run, what their tools may cost, and how to count that."""
        self._servers = servers
        self._tell = tell
        self._catalog = Catalog(budget, count, tool_spec(FIND, FindToolArguments))
        self._patience = anyio.current_time() + patience
        self._refreshing = anyio.Lock()

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return self._catalog.specs

    def knows(self, recipient: str) -> bool:
        """Tell whether a call is for a tool of a server, be it there or not."""
        return self._finds(recipient) or self._catalog.find(recipient) is not None

    def announce(self, recipient: str) -> tuple[str, ToolKind]:
        """Return name and kind of the tool that `recipient` means."""
        entry = None if self._finds(recipient) else self._catalog.find(recipient)
        return (FIND, "search") if entry is None else (entry.name, _kind(entry))

    async def prepare(self, call_id: str, recipient: str, arguments: str) -> Prepared:
        """Check the arguments, prepare the call. Raises ToolFailed."""
        if self._finds(recipient):
            return self._finding(arguments)
        entry = self._catalog.find(recipient)
        if entry is None:
            raise ToolFailed(f"unknown tool {recipient[:80]!r}")
        values = await read_arguments(entry.name, entry.offer, arguments)
        server = self._servers[entry.number]

        async def run(emit: Emit) -> ToolResult:
            return await server.call(entry.offer.name, values)

        return Prepared(
            title=f"{one_line(server.name, 40)}: {entry.offer.title}",
            kind=_kind(entry),
            run=run,
            raw_input=values,
            # The user is asked about what is sent, so all of it is shown.
            content=(Text(_block(values)),) if values else (),
            permission=Permission("mcp", entry.name, reads=entry.offer.reads),
        )

    async def ready(self) -> None:
        """Wait for servers that are being started, once in a session; see what they offer now."""
        async with self._refreshing:
            with anyio.CancelScope(deadline=self._patience) as limit:
                for server in self._servers:
                    await server.settled()
            if limit.cancelled_caught:
                self._tell_of_the_slow()
            listings = [
                Listing(number, server.name, server.offers)
                for number, server in enumerate(self._servers)
            ]
            # In a thread, for the first count may have to load the vocabulary.
            await to_thread.run_sync(self._catalog.update, listings)

    async def close(self) -> None:
        """End every server, also one that does not want to go."""
        for server in self._servers:
            server.close()
        with anyio.move_on_after(END):
            await self._all_ended()
        for server in self._servers:
            server.kill()
        with anyio.move_on_after(END, shield=True):
            await self._all_ended()

    async def _all_ended(self) -> None:
        for server in self._servers:
            await server.ended()

    def _tell_of_the_slow(self) -> None:
        slow = [repr(server.name) for server in self._servers if not server.is_settled]
        if slow and self._patience != -float("inf"):
            self._tell(f"mcp servers still starting, their tools come later: {', '.join(slow)}")
        self._patience = -float("inf")

    def _finds(self, recipient: str) -> bool:
        return bool(self._catalog.deferred) and key(recipient) == FIND

    def _finding(self, arguments: str) -> Prepared:
        asked = parse_arguments(FIND, FindToolArguments, arguments).model_dump()
        query = str(asked["query"])

        async def run(emit: Emit) -> ToolResult:
            entries = self._catalog.deferred
            found = find_tools(entries, query)
            return ToolResult(told(found, entries, query), failed=not found)

        return Prepared(f"Find a tool: {one_line(query, 80)}", "search", run, asked)


def open_mcp_tools(
    servers: Sequence[ServerConfig],
    cwd: str,
    spawn: Spawn,
    tell: Callable[[str], None],
    *,
    limits: TimeLimits,
    budget: int,
    count: Callable[[str], int],
) -> McpTools:
    """Start the servers, each in a task by `spawn`, and return their tools, as they come.

    The tasks end with `McpTools.close`; cancelling them does the same.
    """
    running = [McpServer(config, cwd, limits, tell) for config in servers]
    for server in running:
        spawn(server.run)
    patience = limits.patience
    return McpTools(running, budget=budget, count=count, tell=tell, patience=patience)


def _kind(entry: Entry) -> ToolKind:
    """Never an edit: a session may allow all of these, and the server only claims what it is."""
    return "read" if entry.offer.reads else "other"


def _block(values: dict[str, Any]) -> str:
    return fenced(json.dumps(values, ensure_ascii=False, indent=1)[:LONGEST_SHOWN], "json")
