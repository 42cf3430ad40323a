"""Something that speaks just enough HTTP to answer with bytes that a real server has sent."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

from acp_agent.backends.api import Patience
from acp_agent.backends.endpoint import Endpoint

HASTE = Patience(pauses=(0.001, 0.001, 0.001), poll=0.001, longest=0.002)
ONCE = Patience(pauses=(0.0,), poll=0.0)

LOADING = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
WRONG_KEY = {"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}}
OVERFLOW = {
    "error": {
        "code": 400,
        "message": "request (9000 tokens) exceeds the available context size (4096 tokens), try"
        " increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000,
        "n_ctx": 4096,
    }
}
END: dict[str, object] = {
    "content": "",
    "tokens": [],
    "stop": True,
    "stop_type": "limit",
    "timings": {
        "cache_n": 1,
        "prompt_n": 2000,
        "prompt_ms": 31.194,
        "prompt_per_token_ms": 0.015597,
        "predicted_n": 2,
        "predicted_ms": 1.228,
        "predicted_per_second": 1628.6644951140065,
    },
    "tokens_predicted": 2,
    "tokens_evaluated": 2000,
    "truncated": False,
}


def token(number: int, token_id: int, content: str) -> dict[str, object]:
    """Return the event of the `number`-th token."""
    return {
        "index": 0,
        "content": content,
        "tokens": [token_id],
        "stop": False,
        "id_slot": -1,
        "tokens_predicted": number,
        "tokens_evaluated": 2000,
    }


def answer(status: int, value: object) -> bytes:
    """Return a whole response with a JSON body."""
    body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def events(*values: object, complete: bool = True) -> bytes:
    """Return a streamed response; not `complete` is one whose connection broke."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head + b"".join(map(chunk, values)) + (b"0\r\n\r\n" if complete else b"")


def chunk(value: object) -> bytes:
    """Return one event as one chunk."""
    line = value if isinstance(value, str) else f"data: {json.dumps(value)}\n\n"
    data = line.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@dataclass
class StandIn:
    """Where it listens, and what it was asked: request line, headers and body."""

    endpoint: Endpoint
    asked: list[str] = field(default_factory=list[str])
    bodies: list[dict[str, object]] = field(default_factory=list[dict[str, object]])


@asynccontextmanager
async def stand_in(*answers: bytes, key: str = "") -> AsyncGenerator[StandIn]:
    """Listen; the n-th connection gets the n-th answer, and every one after them the last."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(SocketAttribute.local_port)
    standing = StandIn(Endpoint(f"http://127.0.0.1:{port}", key))

    async def serve(stream: SocketStream) -> None:
        async with stream:
            number = len(standing.asked)
            head, body = await _request(stream)
            standing.asked.append(head)
            standing.bodies.append(json.loads(body) if body else {})
            await stream.send(answers[min(number, len(answers) - 1)])

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield standing
        group.cancel_scope.cancel()


async def _request(stream: SocketStream) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length:
        body += await stream.receive()
    return head.decode(), body
