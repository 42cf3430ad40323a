"""HTTP as bare as it can be: an engine driven directly, and requests read by servers of the bench.

Arrivals are stamped with the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import json
import socket
import socketserver
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

SECONDS = 120
RECEIVE = 256 * 1024

Json = dict[str, Any]


class Arrival(NamedTuple):
    """A JSON value, and when the bytes that completed it arrived."""

    at: float
    value: Json


@dataclass(slots=True)
class Answer:
    """A completion driven directly: when it was asked for, and its events."""

    sent: float
    events: list[Arrival] = field(default_factory=list[Arrival])


class Address(NamedTuple):
    """An engine, ours or a stand-in."""

    url: str
    key: str = ""

    @property
    def target(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80


def ask(address: Address, method: str, path: str, value: object = None) -> Any:
    """Send one request whose answer is JSON, and return that."""
    connection = HTTPConnection(*address.target, timeout=SECONDS)
    try:
        headers = {"authorization": f"Bearer {address.key}", "content-type": "application/json"}
        connection.request(method, path, json.dumps(value), headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def listens(address: Address) -> bool:
    """Tell whether anything takes connections there."""
    try:
        socket.create_connection(address.target, SECONDS).close()
    except OSError:
        return False
    return True


def complete(
    address: Address, body: bytes, *, path: str = "/completion", events: int | None = None
) -> Answer:
    """Ask for a completion and read it to its end, or until so many events have come."""
    answer = Answer(time.monotonic())
    with socket.create_connection(address.target, SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_head(address, path, len(body)) + body)
        for arrival in _events(connection):
            answer.events.append(arrival)
            if len(answer.events) == events:
                break
    return answer


class Server(socketserver.ThreadingTCPServer):
    """Listens on any port, and gives each connection to `serve`, in a thread of its own."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._serve = serve

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._serve(request)


def read_request(connection: socket.socket) -> tuple[str, bytes]:
    """Return head and body of the request on a fresh connection; both empty if none came whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(RECEIVE)
        if not received:
            return "", b""
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    parts = [body]
    left = _content_length(head) - len(body)
    while left > 0:
        received = connection.recv(RECEIVE)
        if not received:  # cancelled before it was all sent
            return "", b""
        parts.append(received)
        left -= len(received)
    return head.decode("latin-1"), b"".join(parts)


def event_in(line: bytes) -> Json | None:
    """Return the event on a line of a stream, None if there is none."""
    # Each event comes as one chunk, so lines that are chunk sizes can simply be passed over.
    return json.loads(line[5:]) if line.startswith(b"data: {") else None


def _events(connection: socket.socket) -> Generator[Arrival]:
    rest = b""
    while data := connection.recv(RECEIVE):
        at = time.monotonic()
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if (event := event_in(line)) is not None:
                yield Arrival(at, event)


def _head(address: Address, path: str, length: int) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "host: bench",
        "connection: close",
        f"authorization: Bearer {address.key}",
        "content-type: application/json",
        f"content-length: {length}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0
