"""A bench for every backend: a server that plays one part, in the dialect of the backend.

To put a backend on it, write a `Dialect` and name it in dialects.py. A dialect only knows
shapes; when to hang, drop or refuse is the bench's business.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import anyio
from anyio.abc import SocketAttribute, SocketStream

from acp_agent.backends.endpoint import Endpoint
from acp_agent.ports import LocalModelBackend

HTML = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 34\r\nConnection: close\r\n\r\n"
    b"<!doctype html>\n<p>a router's page"
)


@dataclass(frozen=True, slots=True)
class Play:
    """What the server does when it is asked for an answer.

    `call` is a tool's name and its arguments as JSON; it comes last. `instead` is a whole response
    in place of the answer, or, if `everywhere`, of all answers. `hang` says everything but the
    end, and waits for the client to go; `drop` breaks off there; `garbage` sends broken JSON there;
    `slow` sends no byte before the client's test says `go`. `before` are whole responses to the
    first requests, empty for none and a closed connection.
    """

    thought: str = ""
    text: tuple[str, ...] = ()
    call: tuple[str, str] | None = None
    ending: Literal["done", "limit", "hang", "drop", "garbage"] = "done"
    slow: bool = False
    before: tuple[bytes, ...] = ()
    instead: bytes | None = None
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the server got; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Dialect(Protocol):
    """What one kind of server says, and the backend that understands it."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str:
        """The one model that the server lists."""
        ...

    @property
    def context(self) -> int: ...

    @property
    def thinks(self) -> bool:
        """Whether it can carry reasoning."""
        ...

    @property
    def calls(self) -> bool:
        """Whether it can carry tool calls."""
        ...

    @property
    def chooses(self) -> bool:
        """Whether it can be held to a schema."""
        ...

    def backend(self, endpoint: Endpoint) -> LocalModelBackend: ...

    def allowed(self, asked: Asked) -> object:
        """Return the values that a request holds the first property of its schema to."""
        ...

    def question(self, asked: Asked) -> bytes | None:
        """Return the whole response to a request that wants no answer of the model; else None."""
        ...

    def opening(self, play: Play) -> Sequence[bytes]:
        """Return head and body of the streamed answer, less its end; one item a write."""
        ...

    def closing(self, play: Play) -> bytes:
        """Return the end: the reason (`done` or `limit`), usage, and what ends the body.

        The usage says 12 prompt tokens and 3 predicted ones.
        """
        ...

    def garbage(self) -> bytes:
        """Return a piece of the streamed body that is framed well, and no JSON."""
        ...

    def refused(self) -> bytes:
        """Return the whole response to a request with a wrong key."""
        ...

    def overflow(self) -> bytes:
        """Return the whole response to a prompt that is too long."""
        ...


@dataclass
class Bench:
    """A server that plays: what it was asked for, and when its client went."""

    endpoint: Endpoint
    questions: list[Asked] = field(default_factory=list[Asked])
    answers: list[Asked] = field(default_factory=list[Asked])
    asked: anyio.Event = field(default_factory=anyio.Event)
    go: anyio.Event = field(default_factory=anyio.Event)
    left: anyio.Event = field(default_factory=anyio.Event)


@asynccontextmanager
async def bench(dialect: Dialect, play: Play, *, key: str = "") -> AsyncGenerator[Bench]:
    """Listen and play; the endpoint carries `key`."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(SocketAttribute.local_port)
    there = Bench(Endpoint(f"http://127.0.0.1:{port}", key))

    async def serve(stream: SocketStream) -> None:
        async with stream:
            try:
                asked = await read_request(stream)
                await _play(stream, asked, dialect, play, there)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                there.left.set()

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield there
        group.cancel_scope.cancel()


async def _play(
    stream: SocketStream, asked: Asked, dialect: Dialect, play: Play, there: Bench
) -> None:
    reply = dialect.question(asked)
    (there.answers if reply is None else there.questions).append(asked)
    if play.instead is not None and (play.everywhere or reply is None):
        reply = play.instead
    if reply is None and len(there.answers) <= len(play.before):
        reply = play.before[len(there.answers) - 1]
    if reply is not None:
        await stream.send(reply)
        return
    there.asked.set()
    if play.slow:
        await _or_left(stream, there.go)
    for piece in dialect.opening(play):
        await stream.send(piece)
    match play.ending:
        case "done" | "limit":
            await stream.send(dialect.closing(play))
        case "hang":
            await stream.receive()
        case "garbage":
            await stream.send(dialect.garbage())
            await stream.send(dialect.closing(play))
        case "drop":
            pass


async def _or_left(stream: SocketStream, event: anyio.Event) -> None:
    """Wait for `event`. Raises EndOfStream if the client goes first."""
    gone = False

    async def watch(scope: anyio.CancelScope) -> None:
        nonlocal gone
        try:
            await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            gone = True
            scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch, group.cancel_scope)
        await event.wait()
        group.cancel_scope.cancel()
    if gone:
        raise anyio.EndOfStream


async def read_request(stream: SocketStream) -> Asked:
    """Read one request. Raises EndOfStream."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += await stream.receive()
    return Asked(method, path, headers, json.loads(body) if body else {})
