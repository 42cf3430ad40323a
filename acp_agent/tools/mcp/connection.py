"""One open connection to a server, by the `mcp` package: introduced, its tools listed and called.

What can go wrong is told by `explain`, in words that hold nothing secret.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httpx2
from mcp.client.session import ClientSession, IncomingMessage
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost, listen
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    METHOD_NOT_FOUND,
    UNSUPPORTED_PROTOCOL_VERSION,
    CallToolResult,
    Implementation,
    PaginatedRequestParams,
    Tool,
    ToolListChangedNotification,
)
from pydantic import ValidationError

from acp_agent import __version__
from acp_agent.errors import ToolFailed
from acp_agent.plain import one_line
from acp_agent.servers import HttpServer, ServerConfig
from acp_agent.tools.base import ToolResult
from acp_agent.tools.mcp.http import LastStatus, http_streams
from acp_agent.tools.mcp.offer import LONGEST_NAME, Offer, make_offer
from acp_agent.tools.mcp.results import tool_result
from acp_agent.tools.mcp.stdio import LastWords, stdio_streams

MOST_TOOLS = 500
MOST_PAGES = 50
LONGEST_MESSAGE = 500
SESSION_GONE = "Session terminated"

# The loggers that write whole messages and addresses, which are no business of any log.
TALKERS = ("mcp", "client", "httpx2", "httpcore2")


class Forgotten(Exception):
    """The server does not know this connection any more, and has not done what was asked."""


class Ended(Exception):
    """The connection ended during the request."""


class _Session(ClientSession):
    async def validate_tool_result(self, name: str, result: CallToolResult) -> None:
        """Take what the tool said: that it breaks its own promise makes it no less useful."""


class Link:
    """A connection whose server has introduced itself."""

    def __init__(self, session: ClientSession, status: LastStatus) -> None:
        self._session = session
        self._status = status

    async def tools(self) -> tuple[Offer, ...]:
        """Return all tools, page by page. Raises as `explain` explains."""
        capabilities = self._session.server_capabilities
        if capabilities is None or capabilities.tools is None:
            return ()
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self._session.list_tools(params=PaginatedRequestParams(cursor=cursor))
            found += page.tools
            cursor = page.next_cursor
            if not cursor or len(found) >= MOST_TOOLS:
                break
        return tuple(_offer(tool) for tool in found[:MOST_TOOLS])

    async def call(self, tool: str, arguments: dict[str, Any]) -> ToolResult:
        """Call a tool; cancelling this cancels the call at the server.

        Raises:
            Forgotten: It can be called again, on a new connection.
            Ended: How far it came is not known.
            ToolFailed: The server refused, or what it answered is no answer.

        """
        name = one_line(tool, LONGEST_NAME)
        self._status.forget()
        try:
            answer = await self._session.call_tool(tool, arguments)
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                raise Ended from None
            # A server that was restarted knows no session; it may say so in words of its own.
            if error.message == SESSION_GONE or self._status.is_not_found:
                raise Forgotten from None
            raise ToolFailed(f"{name}: {one_line(error.message, LONGEST_MESSAGE)}") from None
        except ValidationError:
            raise ToolFailed(f"{name} answered with something that is no result") from None
        except RuntimeError:
            raise ToolFailed(f"{name} wants to ask the user, which it cannot here") from None
        return tool_result(name, answer)

    async def watch(self, changed: Callable[[], None]) -> None:
        """Hear of changes of the list, where the server tells only those who listen."""
        try:
            async with listen(self._session, tools_list_changed=True) as events:
                async for _ in events:
                    changed()
        except (ListenNotSupportedError, SubscriptionLost, MCPError):
            return


@asynccontextmanager
async def connect(
    server: ServerConfig, cwd: str, account: Account, news: News
) -> AsyncGenerator[Link]:
    """Start or reach the server and be introduced; leaving the block ends it.

    Raises whatever the package raises; `explain` says what it means.
    """
    for name in TALKERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)

    async def hear(message: IncomingMessage) -> None:
        await anyio.lowlevel.checkpoint()
        if isinstance(message, ToolListChangedNotification):
            news.changed()

    if isinstance(server, HttpServer):
        opening = http_streams(server, account.status, news.lost)
    else:
        opening = stdio_streams(server, cwd, account.words, news.lost)
    about = Implementation(name="gpt-oss-acp", version=__version__)
    async with opening as (read, write):
        async with _Session(read, write, message_handler=hear, client_info=about) as session:
            await _introduce(session)
            yield Link(session, account.status)


async def _introduce(session: ClientSession) -> None:
    """By the handshake that nearly all servers know; by the newer way where that is refused."""
    try:
        await session.initialize()
    except MCPError as error:
        if error.code not in (METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION):
            raise
        await session.discover()


class Account:
    """What a connection left behind that says why it ended."""

    def __init__(self) -> None:
        self.words = LastWords()
        self.status = LastStatus()

    def __str__(self) -> str:
        return "; ".join(filter(None, (str(self.words), str(self.status))))


class News:
    """What can happen to a connection while nobody calls: it ends, or its tools change."""

    def __init__(self) -> None:
        self.has_changed = False
        self._happened = anyio.Event()
        self._lost = anyio.Event()

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

    def lost(self) -> None:
        self._lost.set()
        self._happened.set()

    def changed(self) -> None:
        self.has_changed = True
        self._happened.set()

    async def wait(self) -> None:
        """Return when something has happened since the last time."""
        await self._happened.wait()
        self._happened = anyio.Event()

    async def end(self) -> None:
        """Return when the connection has ended."""
        await self._lost.wait()


def explain(error: Exception) -> str:
    """Return what an error of this module means; never what was sent."""
    match _first(error):
        case ToolFailed():
            return str(error)
        case MCPError(code=code, message=message):
            return "" if code == CONNECTION_CLOSED else one_line(message, LONGEST_MESSAGE)
        case httpx2.HTTPStatusError():
            return ""  # the account has the status
        case httpx2.ConnectError():
            return "nothing answers at its address"
        case httpx2.TimeoutException() | TimeoutError():
            return "no answer in time"
        case httpx2.InvalidURL() | httpx2.UnsupportedProtocol():
            return "its address is no address"
        case ValidationError() | RuntimeError():
            return "what it says is no MCP"
        case other:
            return type(other).__name__


def _first(error: Exception) -> Exception:
    """Return the error that the package's task groups have wrapped."""
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error


def _offer(tool: Tool) -> Offer:
    hints = tool.annotations
    return make_offer(
        tool.name,
        tool.title or (hints.title if hints else None) or "",
        tool.description or "",
        tool.input_schema,
        reads=hints is not None and hints.read_only_hint is True,
    )
