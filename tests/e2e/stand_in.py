"""A stand-in for llama.cpp's server: real HTTP, made-up answers, for faults no engine has at will.

It is no engine: it answers the few paths that the agent asks, and each prompt as the test says.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

from acp_agent.harmony.vocab import load_vocabulary

CONTEXT = 4096
LOADING = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
WRONG_KEY = {"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}}
FAILED = {"error": {"message": "slot is broken", "type": "server_error", "code": 500}}
OVERFLOW = {
    "error": {
        "code": 400,
        "message": "request (9000 tokens) exceeds the available context size (4096 tokens)",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000,
        "n_ctx": CONTEXT,
    }
}
END: dict[str, object] = {
    "content": "",
    "tokens": [],
    "stop": True,
    "stop_type": "eos",
    "timings": {},
}


def reply(status: int, value: object, kind: str = "application/json") -> bytes:
    """Return a whole response."""
    body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def generation(text: str, *, complete: bool = True) -> bytes:
    """Return the stream of Harmony `text`; the connection of one that is not complete breaks."""
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    ids = load_vocabulary().encode_trusted(text)
    events: list[dict[str, object]] = [
        {"content": "", "tokens": [token], "stop": False, "tokens_predicted": number}
        for number, token in enumerate(ids, 1)
    ]
    if complete:
        events.append(END)
    return head.encode() + b"".join(map(_chunk, events)) + (b"0\r\n\r\n" if complete else b"")


def says(text: str) -> bytes:
    """Return the stream of a plain answer."""
    return generation(f"<|channel|>final<|message|>{text}<|return|>")


def breaks_off(text: str) -> bytes:
    """Return the stream of an answer that is never finished."""
    return generation(f"<|channel|>final<|message|>{text}", complete=False)


def _chunk(event: object) -> bytes:
    data = f"data: {json.dumps(event)}\n\n".encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@dataclass
class StandIn:
    """Where it listens; `prompts` are the bodies of all requests to answer something."""

    url: str
    answers: Sequence[bytes]
    always: bytes | None
    loading: bool
    prompts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    keys: set[str] = field(default_factory=set[str])
    answered: int = 0

    def respond(self, path: str, body: dict[str, Any]) -> bytes:
        """Return the response to a request."""
        if self.always is not None:
            return self.always
        if self.loading:
            # Loaded as soon as a prompt has met the refusal and the agent asks again.
            self.loading = not (path == "/health" and self.prompts)
        is_prompt = path == "/completion" and body["n_predict"] != 0
        if is_prompt:
            self.prompts.append(body)
        if self.loading:
            return reply(503, LOADING)
        match path:
            case "/completion" if is_prompt:
                self.answered += 1
                return self.answers[min(self.answered, len(self.answers)) - 1]
            case "/completion":
                return generation("")
            case "/props":
                return reply(200, {"default_generation_settings": {"n_ctx": CONTEXT}})
            case "/health":
                return reply(200, {"status": "ok"})
            case _:
                return reply(404, {"error": {"message": "File Not Found", "code": 404}})


@asynccontextmanager
async def stand_in(
    *answers: bytes, always: bytes | None = None, loading: bool = False
) -> AsyncGenerator[StandIn]:
    """Listen; the n-th prompt gets the n-th answer, all others the last.

    `always` answers everything, whatever is asked. While `loading`, everything is refused, until
    a prompt has been.
    """
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    standing = StandIn(url, answers, always, loading)

    async def serve(stream: SocketStream) -> None:
        # The agent hangs up when it has changed its mind, as it does with what it reads ahead.
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            async with stream:
                path, key, body = await _request(stream)
                standing.keys.add(key)
                await stream.send(standing.respond(path, json.loads(body) if body else {}))

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield standing
        tasks.cancel_scope.cancel()


async def _request(stream: SocketStream) -> tuple[str, str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += await stream.receive()
    return first.split(" ")[1], headers.get("authorization", ""), body
