"""A small web site on the loopback: real HTTP, pages as odd as they come."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

HTML = "text/html; charset=utf-8"


@dataclass
class Site:
    """What lies at which path; `asked` holds every request's head."""

    port: int = 0
    pages: dict[str, bytes | Callable[[SocketStream], Awaitable[None]]] = field(
        default_factory=dict[str, bytes | Callable[[SocketStream], Awaitable[None]]]
    )
    asked: list[str] = field(default_factory=list[str])
    bodies: list[bytes] = field(default_factory=list[bytes])

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def put(self, path: str, body: str | bytes, kind: str = HTML, **headers: str) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.pages[path] = response(data, {"content-type": kind, **headers})

    def redirect(self, path: str, to: str, status: int = 302) -> None:
        self.pages[path] = response(b"", {"location": to}, f"{status} Found")

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive()
            head, _, body = data.partition(b"\r\n\r\n")
            text = head.decode("latin-1")
            length = [x for x in text.lower().split("\r\n") if x.startswith("content-length:")]
            while length and len(body) < int(length[0].partition(":")[2]):
                body += await stream.receive()
            self.asked.append(text)
            self.bodies.append(body)
            page = self.pages.get(text.split()[1], response(b"nothing", {}, "404 Not Found"))
            try:
                if isinstance(page, bytes):
                    await stream.send(page)
                else:
                    await page(stream)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # the client has seen enough


def response(body: bytes, headers: Mapping[str, str], status: str = "200 OK") -> bytes:
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@asynccontextmanager
async def open_site() -> AsyncGenerator[Site]:
    """Serve a site until the block is left."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        site = Site(listener.extra(SocketAttribute.local_port))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, site.serve)
            try:
                yield site
            finally:
                tasks.cancel_scope.cancel()


def bomb(mebibytes: int) -> bytes:
    """Return a gzip file of that many MiB of blanks."""
    return gzip.compress(b" " * (mebibytes * 1024 * 1024))


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


async def no_addresses(host: str, port: int) -> Sequence[str]:
    raise OSError(f"asked for {host}")
