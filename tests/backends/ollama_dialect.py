"""Ollama as it was in August 2026, by its API types and by answers that others have published.

It has never been compared with a running Ollama.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count

from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.ollama import OllamaBackend
from acp_agent.ports import LocalModelBackend
from tests.backends.chat_dialects import first_enum
from tests.backends.compliance import Asked, Dialect, Play
from tests.backends.stand_in import HASTE, ONCE, StandIn, answer

MODEL = "gpt-oss:20b"
CREATED = "2026-08-21T10:00:00.000000Z"
SHOWN: dict[str, object] = {
    "details": {"format": "gguf", "family": "gptoss", "families": ["gptoss"]},
    "model_info": {"general.architecture": "gptoss", "gptoss.context_length": 131072},
    "capabilities": ["completion", "tools", "thinking"],
}
OVERFLOW = {
    "error": json.dumps(
        {
            "error": {
                "code": 400,
                "message": "request (8889 tokens) exceeds the available context size (4096 tokens),"
                " try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 8889,
                "n_ctx": 4096,
            }
        }
    )
}
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def tags(*names: str) -> bytes:
    """Return the answer of `/api/tags`."""
    return answer(200, {"models": [{"name": n, "model": n, "size": 13780173839} for n in names]})


def said(**message: object) -> bytes:
    """Return one line that is not the last, as a chunk."""
    return line(_message(message) | {"done": False})


def ended(reason: str = "stop") -> bytes:
    """Return the last line, as a chunk."""
    return line(
        _message({"content": ""})
        | {
            "done_reason": reason,
            "done": True,
            "total_duration": 4_883_583_458,
            "load_duration": 1_334_875,
            "prompt_eval_count": 12,
            "prompt_eval_duration": 342_546_000,
            "eval_count": 3,
            "eval_duration": 4_535_599_000,
        }
    )


def line(value: object) -> bytes:
    """Return a line of JSON as a chunk."""
    data = value.encode() if isinstance(value, str) else json.dumps(value).encode() + b"\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def stream(*lines: bytes, complete: bool = True) -> bytes:
    """Return a streamed response; not `complete` is one whose connection broke."""
    return HEAD + b"".join(lines) + (b"0\r\n\r\n" if complete else b"")


def _message(message: dict[str, object]) -> dict[str, object]:
    whole = {"role": "assistant", "content": "", **message}
    return {"model": MODEL, "created_at": CREATED, "message": whole}


class OllamaDialect:
    """gpt-oss:20b on an Ollama."""

    name = "ollama"
    model = MODEL
    context = 16_384
    thinks = True
    calls = True
    chooses = True

    def backend(self, endpoint: Endpoint) -> LocalModelBackend:
        return OllamaBackend(fixed(endpoint), model=MODEL, patience=HASTE)

    def allowed(self, asked: Asked) -> object:
        return first_enum(asked.body["format"])

    def question(self, asked: Asked) -> bytes | None:
        match asked.method, asked.path:
            case "GET", "/":
                return answer(200, "Ollama is running")
            case "GET", "/api/tags":
                return tags(MODEL)
            case "POST", "/api/show":
                return answer(200, SHOWN)
            case "POST", "/api/chat":
                return None
            case _:
                return answer(404, "404 page not found")

    def opening(self, play: Play) -> Sequence[bytes]:
        pieces = [HEAD]
        if play.thought:
            pieces.append(said(thinking=play.thought))
        pieces += [said(content=text) for text in play.text]
        if play.call and _is_whole(play.call[1]):  # Ollama holds a call back until it can read it
            name, arguments = play.call
            function = {"name": name, "arguments": json.loads(arguments)}
            pieces.append(said(tool_calls=[{"id": "call_0", "function": function}]))
        return pieces

    def closing(self, play: Play) -> bytes:
        return ended("length" if play.ending == "limit" else "stop") + b"0\r\n\r\n"

    def garbage(self) -> bytes:
        return line('{"model":"gpt-oss:20b","mess\n')

    def refused(self) -> bytes:
        return answer(401, {"error": "unauthorized"})

    def overflow(self) -> bytes:
        return answer(400, OVERFLOW)


def _is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def backend(there: StandIn, **options: object) -> OllamaBackend:
    """Return the adapter for a stand-in, its call ids counted, without pauses between tries."""
    numbers = count(1)
    given: dict[str, object] = {"model": MODEL, "patience": ONCE, **options}
    return OllamaBackend(
        fixed(there.endpoint),
        call_ids=lambda: f"call_{next(numbers)}",
        **given,  # pyright: ignore[reportArgumentType] of a test
    )


OLLAMA_DIALECTS: tuple[Dialect, ...] = (OllamaDialect(),)
