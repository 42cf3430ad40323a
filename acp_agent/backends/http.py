"""One HTTP request to an engine nearby, by httpx, its errors told apart as the adapters need it.

Each request has a connection of its own: on the loopback it costs a fraction of a millisecond, can
never be a stale one, and its end is the cancel. There is no client around it, for there are no
redirects, proxies and cookies here, and those cost time on every token.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import cast

import anyio
import httpx

CONNECT_SECONDS = 5.0
LARGEST_TEXT = 4 * 1024 * 1024


class HttpError(Exception):
    """Base of what can go wrong below the level of a response."""


class Refused(HttpError):
    """No connection could be made."""


class Dropped(HttpError):
    """The connection ended early; `answered` tells whether a response had begun."""

    def __init__(self, answered: bool) -> None:
        super().__init__("the connection ended early")
        self.answered = answered


class NotHttp(HttpError):
    """The answer is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response whose head has arrived; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]

    async def read(self) -> bytes:
        """Return the whole body, or its start if it is larger than any answer to us may be."""
        data = bytearray()
        async for piece in self.body:
            data += piece
            if len(data) > LARGEST_TEXT:
                break
        return bytes(data)


@asynccontextmanager
async def request(
    method: str,
    url: str,
    *,
    key: str = "",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncGenerator[Response]:
    """Send one request, with `headers` of its own; leaving the block closes the connection.

    Raises:
        Refused: On entry.
        Dropped: On entry or while the body is read.
        NotHttp: On entry or while the body is read.

    """
    transport = httpx.AsyncHTTPTransport(verify=_tls(url.startswith("https:")))
    try:
        response = await _send(transport, _request(method, url, key, body, headers or {}))
        yield Response(response.status_code, response.headers, _body(response))
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()


def _request(
    method: str, url: str, key: str, body: bytes | None, own: Mapping[str, str]
) -> httpx.Request:
    headers = {"connection": "close", **own}
    if key:
        headers["authorization"] = f"Bearer {key}"
    if body is not None:
        headers["content-type"] = "application/json"
    limits = {"timeout": {"connect": CONNECT_SECONDS}}
    try:
        return httpx.Request(method, url, headers=headers, content=body, extensions=limits)
    except httpx.InvalidURL as error:
        raise Refused(f"no such address: {error}") from error


async def _send(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
    try:
        return await transport.handle_async_request(request)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise Refused(str(error) or "no answer") from error
    except httpx.RemoteProtocolError as error:
        if "disconnected" in str(error):
            raise Dropped(answered=False) from error
        raise NotHttp("no HTTP response") from error
    except httpx.TransportError as error:
        raise Dropped(answered=False) from error


async def _body(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in cast("httpx.AsyncByteStream", response.stream):
            yield piece
    except httpx.RemoteProtocolError as error:
        if "peer closed connection" in str(error):
            raise Dropped(answered=True) from error
        raise NotHttp("a broken HTTP response") from error
    except httpx.TransportError as error:
        raise Dropped(answered=True) from error


@cache
def _tls(secure: bool) -> ssl.SSLContext:
    # Reading the system's certificates takes 20 ms, which an address without TLS does without.
    return ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
