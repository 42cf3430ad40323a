"""One server of a session, from its first start to the session's end: one task, `run`, owns it.

It is started at once, told of when it fails, and started again by a call that needs it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from acp_agent.errors import ToolFailed
from acp_agent.plain import one_line
from acp_agent.servers import ServerConfig
from acp_agent.tools.base import ToolResult
from acp_agent.tools.mcp.offer import LONGEST_NAME, Offer

if TYPE_CHECKING:
    from acp_agent.tools.mcp.connection import Account, Link, News

logger = logging.getLogger(__name__)

RESTARTS = 3  # in a row, without a call between them that was answered
OBITUARY = 1.0
PAUSE = 1.0  # seconds from one listing to the next
SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds: to start and be introduced (a package may have to be fetched), to list, to call.

    `patience` is how long after the session was opened a prompt waits for servers.
    """

    connect: float = 60.0
    list: float = 30.0
    call: float = 120.0
    patience: float = 5.0


class McpServer:
    """A server and what it offers; `tell` is how the user hears of its troubles."""

    def __init__(
        self, config: ServerConfig, cwd: str, limits: TimeLimits, tell: Callable[[str], None]
    ) -> None:
        self.name = config.name
        self.offers: tuple[Offer, ...] = ()
        self._config = config
        self._cwd = cwd
        self._limits = limits
        self._tell = tell
        self._scope = anyio.CancelScope()
        self._settled = anyio.Event()
        self._wanted = anyio.Event()
        self._gone = anyio.Event()
        self._ended = anyio.Event()
        self._link: Link | None = None
        self._news: News | None = None
        self._closing = False
        self._restarts = RESTARTS
        self._reason = "it has not been started"

    # ------------------------------------------------------------ for the session

    @property
    def is_settled(self) -> bool:
        """Whether it is known if it works."""
        return self._settled.is_set()

    async def settled(self) -> None:
        await self._settled.wait()

    async def call(self, tool: str, arguments: dict[str, Any]) -> ToolResult:
        """Call a tool, starting the server again if it has ended. Raises ToolFailed."""
        from acp_agent.tools.mcp.connection import Ended, Forgotten

        link = await self._running()
        try:
            with anyio.fail_after(self._limits.call):
                result = await link.call(tool, arguments)
        except ToolFailed as error:
            raise ToolFailed(_without(str(error), self._config.secrets)) from None
        except TimeoutError:
            raise ToolFailed(
                f"{one_line(tool, LONGEST_NAME)} of mcp server {self.name!r} did not answer"
                f" within {self._limits.call:g} s"
            ) from None
        except Forgotten:
            self._lose(link)
            raise ToolFailed(f"mcp server {self.name!r} was restarted; call again") from None
        except Ended:
            self._lose(link)
            with anyio.move_on_after(OBITUARY):
                await self._gone.wait()
            raise ToolFailed(
                f"mcp server {self.name!r} ended during the call{_because(self._reason)}"
            ) from None
        self._restarts = RESTARTS
        return result

    def close(self) -> None:
        """Let it end by itself; `ended` returns when it has."""
        self._closing = True
        if self._link is None or self._news is None:
            self._scope.cancel()
        else:
            self._news.lost()

    def kill(self) -> None:
        self._scope.cancel()

    async def ended(self) -> None:
        await self._ended.wait()

    # ------------------------------------------------------------ the task

    async def run(self) -> None:
        """Keep the server until `close`; never fails."""
        try:
            with self._scope:
                connection = "acp_agent.tools.mcp.connection"
                await to_thread.run_sync(import_module, connection, abandon_on_cancel=True)
                await self._live()
                while not self._closing:
                    await self._wanted.wait()
                    self._wanted = anyio.Event()
                    await self._live()
        finally:
            self._link = None
            self._settled.set()
            self._ended.set()

    async def _live(self) -> None:
        """Start it and stay until it has ended."""
        from acp_agent.tools.mcp.connection import Account, News, connect, explain

        account, self._news = Account(), News()
        trouble = ""
        with anyio.CancelScope(deadline=anyio.current_time() + self._limits.connect) as limit:
            try:
                async with connect(self._config, self._cwd, account, self._news) as link:
                    limit.deadline = anyio.current_time() + self._limits.list
                    self.offers = await link.tools()
                    limit.deadline = float("inf")
                    self._up(link)
                    await self._attend(link, self._news)
            except Exception as error:
                # The boundary between somebody else's server and the session, which goes on.
                trouble = explain(error)
        if limit.cancelled_caught:
            trouble = "it did not answer in time"
        self._down(account, trouble)

    async def _attend(self, link: Link, news: News) -> None:
        """Keep the list of tools up to date until the connection has ended."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.watch, news.changed)
            while not news.is_lost:
                await news.wait()
                if news.has_changed and not news.is_lost:
                    news.has_changed = False
                    await self._list_again(link)
                    # A server may answer every listing with news.
                    with anyio.move_on_after(PAUSE):
                        await news.end()
            tasks.cancel_scope.cancel()

    async def _list_again(self, link: Link) -> None:
        from acp_agent.tools.mcp.connection import explain

        try:
            with anyio.fail_after(self._limits.list):
                self.offers = await link.tools()
        except Exception as error:  # as in _live; what was listed before may well still be there
            why = _without(explain(error), self._config.secrets)
            self._tell(f"mcp server {self.name!r} does not list its tools: {why}")

    def _up(self, link: Link) -> None:
        logger.info("mcp server %r is ready: %d tools", self.name, len(self.offers))
        self._link, self._gone = link, anyio.Event()
        self._settled.set()

    def _down(self, account: Account, trouble: str) -> None:
        was_up, self._link = self._link is not None, None
        details = "; ".join(filter(None, (trouble, str(account)))) or "it ended"
        self._reason = _without(details, self._config.secrets)
        self._settled.set()
        self._gone.set()
        if self._closing:
            return
        if was_up:
            what = "has ended; it is started again when one of its tools is called"
        else:
            what, self.offers = "does not work; its tools are missing", ()
        # Why is for the user alone: a server may write on stderr what no log should hold.
        logger.warning("mcp server %r %s", self.name, what)
        self._tell(f"mcp server {self.name!r} {what} ({self._reason})")

    def _lose(self, link: Link) -> None:
        if self._link is link and self._news is not None:
            self._news.lost()

    async def _running(self) -> Link:
        """Return the connection, a new one if the last has ended. Raises ToolFailed."""
        if self._news is not None and self._news.is_lost:
            with anyio.move_on_after(OBITUARY):
                await self._gone.wait()
        if self._link is None and self._settled.is_set() and not self._closing:
            if self._restarts == 0:
                raise ToolFailed(f"mcp server {self.name!r} does not run{_because(self._reason)}")
            self._restarts -= 1
            self._settled = anyio.Event()
            self._wanted.set()
        await self._settled.wait()
        if self._link is None:
            raise ToolFailed(f"mcp server {self.name!r} does not run{_because(self._reason)}")
        return self._link


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "…")
    return text
