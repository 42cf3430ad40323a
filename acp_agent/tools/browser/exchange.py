"""One HTTP exchange with an address that was checked: by httpx, its body unpacked within bounds.

The request goes to the IP address; the name is in `Host` and, for TLS, in the certificate that is
asked for. There is no client around it, so there are no cookies, redirects or proxies here.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import cast

import anyio
import httpx

from acp_agent import __version__
from acp_agent.tools.browser.address import Address
from acp_agent.tools.browser.unpack import ENCODINGS, Unpacker

CONNECT_SECONDS = 5.0
USER_AGENT = f"gpt-oss-acp/{__version__} (a coding agent, at its user's request)"


class ExchangeFailed(Exception):
    """There is no answer, or none that could be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response whose head has arrived; header names in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    _stream: httpx.AsyncByteStream

    async def read(self, limit: int) -> tuple[bytes, bool]:
        """Return the unpacked body, at most `limit` bytes of it, and whether that cut it.

        Raises:
            ExchangeFailed: The body broke off, or is packed in an unknown or wrong way.

        """
        try:
            unpacker = Unpacker(self.headers.get("content-encoding", ""), limit)
            async for data in self._stream:
                unpacker.feed(data)
                if unpacker.full:
                    break
        except ValueError as error:
            raise ExchangeFailed(str(error)) from None
        except httpx.TransportError as error:
            raise ExchangeFailed(f"the answer broke off ({_words(error)})") from error
        return bytes(unpacker.data), unpacker.full


@asynccontextmanager
async def exchange(
    address: Address,
    addresses: Sequence[str],
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> AsyncGenerator[Response]:
    """Send one request, a POST where there is a `body`; leaving the block closes the connection.

    It goes to the first of the IP `addresses` that takes it. Raises ExchangeFailed on entry.
    """
    transport = httpx.AsyncHTTPTransport(verify=_tls(address.scheme == "https"))
    try:
        response = await _send(transport, address, addresses, headers or {}, body)
        stream = cast("httpx.AsyncByteStream", response.stream)
        reason = response.reason_phrase
        yield Response(response.status_code, reason, response.headers, stream)
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()


async def _send(
    transport: httpx.AsyncHTTPTransport,
    address: Address,
    addresses: Sequence[str],
    headers: Mapping[str, str],
    body: bytes | None,
) -> httpx.Response:
    refused = "no address"
    for ip in addresses:
        request = _request(address, ip, headers, body)
        try:
            return await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            refused = _words(error)
        except httpx.TransportError as error:
            raise ExchangeFailed(f"no HTTP answer ({_words(error)})") from error
    raise ExchangeFailed(f"cannot connect to {address.netloc} ({refused})")


def _request(
    address: Address, ip: str, own: Mapping[str, str], body: bytes | None
) -> httpx.Request:
    url = httpx.URL(
        scheme=address.scheme, host=ip, port=address.port, raw_path=address.target.encode("ascii")
    )
    headers = {
        "host": address.netloc,
        "user-agent": USER_AGENT,
        "accept-encoding": ", ".join(ENCODINGS),
        "connection": "close",
        **own,
    }
    extensions = {"timeout": {"connect": CONNECT_SECONDS}, "sni_hostname": address.host}
    method = "GET" if body is None else "POST"
    return httpx.Request(method, url, headers=headers, content=body, extensions=extensions)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


@cache
def _tls(secure: bool) -> ssl.SSLContext:
    # Reading the system's certificates takes 20 ms, which an address without TLS does without.
    return ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
