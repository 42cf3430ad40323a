"""Stand-ins for servers with Chat Completions, each in the shapes of one server.

- llama.cpp's server (2026-10), as recorded from the real one; test_chat_engine.py has it itself.
- LM Studio 0.4, from its documentation (2026); apfel, from its source (July 2026); never checked.
- `fm serve` of macOS 27 (release candidate), from a proxy's audit of it; never checked.
- foundation-bridge 1.0 and 0.1.3 of OpenAgents, from their source; never checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.openai_chat import openai_chat
from acp_agent.backends.openai_model import OpenAIModel
from acp_agent.backends.profiles import (
    APFEL,
    FM_SERVE,
    FOUNDATION_BRIDGE,
    LM_STUDIO,
    OPENAI,
    OUR_ENGINE,
    ChatProfile,
)
from tests.backends.compliance import Asked, Play
from tests.backends.stand_in import HASTE, OVERFLOW, WRONG_KEY, chunk
from tests.backends.stand_in import answer as response

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
Json = dict[str, Any]


def error(status: int, message: str, **more: object) -> bytes:
    """Return an error response in OpenAI's shape."""
    return response(status, {"error": {"message": message, **more}})


@dataclass(frozen=True)
class ChatDialect:
    """Chat Completions; the fields say how this server departs from the others."""

    name: str
    profile: ChatProfile
    model: str
    context: int = 4096
    thinks: bool = True
    calls: bool = True
    chooses: bool = True
    reasoning: str = "reasoning_content"
    health: bytes = field(default_factory=lambda: error(404, "Not found: GET /health"))
    entry: Json = field(default_factory=dict[str, Any])
    others: dict[str, bytes] = field(default_factory=dict[str, bytes])
    unauthorized: bytes = field(default_factory=lambda: response(401, WRONG_KEY))
    overflowing: bytes = field(default_factory=lambda: response(400, OVERFLOW))
    usage_in_last_choice: bool = False
    end: str = "data: [DONE]\n\n"

    def backend(self, endpoint: Endpoint) -> OpenAIModel:
        return openai_chat(fixed(endpoint), model=self.model, profile=self.profile, patience=HASTE)

    def allowed(self, asked: Asked) -> object:
        if self.profile.guided == "route":
            return asked.body["route"]["candidates"]
        return first_enum(asked.body["response_format"]["json_schema"]["schema"])

    def question(self, asked: Asked) -> bytes | None:
        if asked.path == "/v1/chat/completions":
            return None
        if asked.path == "/v1/models":
            entry = {"id": self.model, "object": "model", "created": 1, **self.entry}
            return response(200, {"object": "list", "data": [entry]})
        if asked.path == "/health":
            return self.health
        return self.others.get(asked.path, error(404, "not found"))

    def opening(self, play: Play) -> Sequence[bytes]:
        pieces = [STREAM, self._chunk({"role": "assistant", "content": ""})]
        if play.thought:
            pieces += [self._chunk({self.reasoning: part}) for part in halves(play.thought)]
        pieces += [self._chunk({"content": text}) for text in play.text]
        if play.call is not None:
            pieces += self._call(*play.call)
        return pieces

    def closing(self, play: Play) -> bytes:
        finish = "tool_calls" if play.call and self.profile.tools == "native" else "stop"
        last = self._chunk({}, "length" if play.ending == "limit" else finish)
        usage = chunk({"choices": [], "object": "chat.completion.chunk", "usage": USAGE})
        return last + usage + chunk(self.end) + b"0\r\n\r\n"

    def garbage(self) -> bytes:
        return chunk("data: {oops\n\n")

    def refused(self) -> bytes:
        return self.unauthorized

    def overflow(self) -> bytes:
        return self.overflowing

    def _call(self, name: str, arguments: str) -> list[bytes]:
        if self.profile.tools == "prompted":
            text = f'<tool_call>{{"tool": "{name}", "parameters": {arguments}}}</tool_call>'
            cut = "}" not in arguments
            text = text.removesuffix("}</tool_call>") if cut else text
            return [self._chunk({"content": part}) for part in halves(text)]
        function = {"name": name, "arguments": ""}
        first = {"index": 0, "id": "call_0", "type": "function", "function": function}
        more = ({"index": 0, "function": {"arguments": part}} for part in halves(arguments))
        return [self._chunk({"tool_calls": [delta]}) for delta in (first, *more)]

    def _chunk(self, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return chunk(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "model": self.model,
                "choices": [choice],
            }
        )


def first_enum(schema: Json) -> object:
    """Return the values of the first property."""
    return next(iter(schema["properties"].values()))["enum"]


def halves(text: str) -> tuple[str, str]:
    """Return the text in two pieces, for tokens seldom end where a reader would like."""
    return text[: len(text) // 2], text[len(text) // 2 :]


LLAMA_SERVER = ChatDialect(
    "llama.cpp chat",
    OPENAI,
    "gpt-oss-tiny",
    health=response(200, {"status": "ok"}),
    entry={"owned_by": "llamacpp", "meta": {"n_ctx": 4096, "n_ctx_train": 131072}},
)
OUR_LLAMA_SERVER = replace(LLAMA_SERVER, name="llama.cpp of ours", profile=OUR_ENGINE)
LM_STUDIO_CHAT = ChatDialect(
    "lmstudio chat",
    LM_STUDIO,
    "openai/gpt-oss-20b",
    context=8192,
    reasoning="reasoning",
    # It answers 200 to paths that it does not have.
    health=response(200, {"error": "Unexpected endpoint or method. (GET /health)"}),
    others={
        "/api/v1/models": response(
            200,
            {
                "models": [
                    {
                        "type": "llm",
                        "key": "openai/gpt-oss-20b",
                        "max_context_length": 131072,
                        "loaded_instances": [
                            {"id": "openai/gpt-oss-20b", "config": {"context_length": 8192}}
                        ],
                    }
                ]
            },
        )
    },
    overflowing=error(
        400,
        "Trying to keep the first 9000 tokens when context the overflows. However, the model is"
        " loaded with context length of only 8192 tokens, which is not enough.",
    ),
)
APFEL_CHAT = ChatDialect(
    "apfel",
    APFEL,
    "apple-foundationmodel",
    context=8192,
    thinks=False,
    health=response(
        200,
        {
            "status": "ok",
            "model": "apple-foundationmodel",
            "active_requests": 0,
            "context_window": 8192,
            "model_available": True,
            "supported_languages": ["en"],
        },
    ),
    overflowing=error(
        400,
        "Input exceeds the model's context window. Shorten the conversation history.",
        type="context_length_exceeded",
    ),
)
FM_SERVE_CHAT = ChatDialect(
    "fm serve",
    FM_SERVE,
    "system",
    thinks=False,
    calls=False,
    health=response(200, {"status": "ok"}),
    overflowing=error(500, "The session's transcript exceeded the model's context size."),
)
BRIDGE = ChatDialect(
    "foundation-bridge 1.0",
    FOUNDATION_BRIDGE,
    "apple-foundation-model",
    thinks=False,
    health=response(
        200, {"status": "ok", "model_available": True, "version": "1.0.0", "platform": "macOS"}
    ),
    overflowing=error(
        500, "Exceeded model context window size", type="request_failed", code="request_failed"
    ),
)
LATER_BRIDGE = ChatDialect(
    "foundation-bridge 0.1.3",
    FOUNDATION_BRIDGE,
    "apple-foundation-model",
    thinks=False,
    health=response(
        200,
        {"ready": True, "modelId": "apple-foundation-model", "version": "0.1.3"},
    ),
    unauthorized=response(401, {"error": "unauthorized", "message": "the key is wrong"}),
    overflowing=response(
        500, {"error": "exceeded_context_window_size", "message": "the prompt was too long"}
    ),
)
CHAT_DIALECTS = (
    LLAMA_SERVER,
    OUR_LLAMA_SERVER,
    LM_STUDIO_CHAT,
    APFEL_CHAT,
    FM_SERVE_CHAT,
    BRIDGE,
    LATER_BRIDGE,
)
