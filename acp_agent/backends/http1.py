"""HTTP/1.1 for one request to an engine nearby: no pool, no redirects, no proxies, no cookies.

A general client (httpx) costs nearly twice the processor time per streamed token, 50 ms of import
and 0.6 ms to the first token. A connection is made for each request, which takes a fraction of a
millisecond and can never be a stale one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import anyio
from anyio.abc import ByteStream

CONNECT_SECONDS = 5.0
LARGEST_HEAD = 64 * 1024
LARGEST_TEXT = 4 * 1024 * 1024
RECEIVE = 64 * 1024


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
    method: str, url: str, *, key: str = "", body: bytes | None = None
) -> AsyncGenerator[Response]:
    """Send one request; leaving the block closes the connection at once.

    Raises:
        Refused: On entry.
        Dropped: On entry or while the body is read.
        NotHttp: On entry or while the body is read.

    """
    address = urlsplit(url)
    stream = await _connect(address)
    try:
        await _send(stream, _head(method, address, key, body) + (body or b""))
        buffer = bytearray()
        status, headers = _parse_head(await _receive_head(stream, buffer))
        async with aclosing(_body(stream, buffer, status, headers)) as pieces:
            yield Response(status, headers, pieces)
    finally:
        # Without lingering: for the engine, the end of the connection is the cancel.
        await anyio.aclose_forcefully(stream)


async def _connect(address: SplitResult) -> ByteStream:
    secure = address.scheme == "https"
    port = address.port or (443 if secure else 80)
    try:
        with anyio.fail_after(CONNECT_SECONDS):
            if secure:
                return await anyio.connect_tcp(
                    address.hostname or "", port, tls=True, tls_standard_compatible=False
                )
            return await anyio.connect_tcp(address.hostname or "", port)
    except (OSError, TimeoutError) as error:
        raise Refused(str(error) or "no answer") from error


async def _send(stream: ByteStream, data: bytes) -> None:
    # Who answers before it has read everything (401, 413) closes; the answer can still be read.
    try:
        await stream.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


def _head(method: str, address: SplitResult, key: str, body: bytes | None) -> bytes:
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"host: {address.netloc}", "connection: close"]
    if key:
        lines.append(f"authorization: Bearer {key}")
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _receive(stream: ByteStream, answered: bool) -> bytes:
    try:
        return await stream.receive(RECEIVE)
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise Dropped(answered) from error


async def _receive_head(stream: ByteStream, buffer: bytearray) -> bytes:
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        if len(buffer) > LARGEST_HEAD or not b"HTTP/".startswith(buffer[:5]):
            raise NotHttp("no HTTP response")
        buffer += await _receive(stream, answered=bool(buffer))
    head = bytes(buffer[:end])
    del buffer[: end + 4]
    return head


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not status.isdecimal():
        raise NotHttp(f"no HTTP response: {first[:60]!r}")
    pairs = (line.partition(":") for line in lines)
    return int(status), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(
    stream: ByteStream, buffer: bytearray, status: int, headers: Mapping[str, str]
) -> AsyncGenerator[bytes]:
    if status in (204, 304):
        return
    if "chunked" in headers.get("transfer-encoding", "").lower():
        chunks = Chunks()
        data = chunks.feed(bytes(buffer))
        while True:
            if data:
                yield data
            if chunks.ended:
                return
            data = chunks.feed(await _receive(stream, answered=True))
    length = headers.get("content-length", "")
    left = int(length) if length.isdecimal() else None
    data = bytes(buffer)
    while True:
        if data:
            yield data[:left]
        if left is not None and (left := left - len(data)) <= 0:
            return
        try:
            data = await _receive(stream, answered=True)
        except Dropped:
            if left is None:  # neither a length nor chunks: the end of the connection is the end
                return
            raise


class Chunks:
    """Takes the chunked transfer coding apart, however the bytes arrive."""

    def __init__(self) -> None:
        self.ended = False
        self._buffer = b""
        self._left = 0  # bytes of the current chunk, with its closing CRLF, still to come

    def feed(self, data: bytes) -> bytes:
        """Return the payload in `data`; sets `ended` at the last chunk. Raises NotHttp."""
        buffer = self._buffer + data if self._buffer else data
        at, out = 0, list[bytes]()
        while at < len(buffer) and not self.ended:
            if self._left:
                piece = buffer[at : at + self._left]
                out.append(piece[: max(0, self._left - 2)])
                at += len(piece)
                self._left -= len(piece)
                continue
            end = buffer.find(b"\r\n", at)
            if end < 0:
                break
            size = _chunk_size(buffer[at:end])
            at, self._left, self.ended = end + 2, size + 2, size == 0
        self._buffer = b"" if self.ended else buffer[at:]
        if len(self._buffer) > LARGEST_HEAD:
            raise NotHttp("no chunk size")
        return b"".join(out)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise NotHttp(f"no chunk size: {line[:20]!r}")
    return int(digits, 16)
