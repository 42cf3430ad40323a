"""A server at an address: the package's streams for it, and a memory of what HTTP said last."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from acp_agent.servers import HttpServer
from acp_agent.tools.mcp.leniency import readable

SECONDS = 30.0
A_DAY = 86_400.0  # that a stream may be silent; how long a call may take is decided elsewhere


class LastStatus:
    """The status of the last answer that was an error."""

    def __init__(self) -> None:
        self.code = 0

    @property
    def is_not_found(self) -> bool:
        return self.code == 404

    def forget(self) -> None:
        self.code = 0

    async def look(self, response: httpx2.Response) -> None:
        if response.status_code >= 400:
            self.code = response.status_code

    def __str__(self) -> str:
        return f"HTTP {self.code}" if self.code else ""


@asynccontextmanager
async def http_streams(
    server: HttpServer, status: LastStatus, lost: Callable[[], None]
) -> AsyncGenerator[TransportStreams]:
    """Open the server's streams; `lost` is called when it ends them."""

    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        limits = timeout or httpx2.Timeout(SECONDS, read=A_DAY)
        hooks = {"response": [status.look]}
        return httpx2.AsyncClient(headers=headers, timeout=limits, auth=auth, event_hooks=hooks)

    headers = dict(server.headers)
    if server.sse:
        opening = sse_client(server.url, headers, SECONDS, A_DAY, httpx_client_factory=client)
        async with opening as streams, _watched(streams, lost) as watched:
            yield watched
    else:
        async with client(headers) as http:
            opening = streamable_http_client(server.url, http_client=http)
            async with opening as streams, _watched(streams, lost) as watched:
                yield watched


@asynccontextmanager
async def _watched(
    streams: TransportStreams, lost: Callable[[], None]
) -> AsyncGenerator[TransportStreams]:
    """Pass on what is read, and see its end, of which the package's session says nothing."""
    source, write = streams
    to_session, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)

    async def pass_on() -> None:
        try:
            with to_session:
                async for message in source:
                    if isinstance(message, SessionMessage):
                        readable(message.message)
                    await to_session.send(message)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        lost()

    with to_session, read:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pass_on)
            yield read, write
            tasks.cancel_scope.cancel()
