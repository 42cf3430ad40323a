"""What goes to `POST /v1/chat/completions` and what comes back, as values; pure.

Shapes as of OpenAI's API reference and of the servers of late 2026 that follow it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from acp_agent.backends.chat_messages import chat_messages, chat_tools
from acp_agent.backends.loose_json import members, objects
from acp_agent.backends.profiles import ChatProfile
from acp_agent.conversation import ModelRequest
from acp_agent.ports import Timings

REASONING = ("reasoning_content", "reasoning", "reasoning_text")


@dataclass(frozen=True, slots=True)
class CallDelta:
    """More of the call `index`; `id` and `name` come with its beginning."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Delta:
    """One chunk. `finish` is the server's word for why it ended, if it did."""

    reasoning: str = ""
    text: str = ""
    calls: tuple[CallDelta, ...] = ()
    finish: str = ""
    timings: Timings | None = None


def chat_body(request: ModelRequest, model: str, profile: ChatProfile) -> dict[str, object]:
    """Return the request; `stream` is always said, for a server may stream unless told not to."""
    body: dict[str, object] = {
        "model": model,
        "messages": chat_messages(request, profile),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None and profile.limits:
        body["max_tokens"] = request.max_tokens
    if request.told_tools and profile.tools == "native":
        body["tools"] = chat_tools(request.told_tools)
    if profile.effort:
        body["reasoning_effort"] = request.effort
    return body


def read_chunk(fields: Mapping[str, Any]) -> Delta:
    """Return what a chunk, or a whole answer, says. Raises ValueError for anything else."""
    timings = read_timings(fields)
    choices = objects(fields.get("choices"))
    if not choices:
        if "choices" not in fields and timings is None:
            raise ValueError("no chunk")
        return Delta(timings=timings)
    said = members(choices[0].get("delta")) or members(choices[0].get("message"))
    reasoning = next((said[key] for key in REASONING if said.get(key)), "")
    calls = objects(said.get("tool_calls"))
    return Delta(
        content_text(reasoning),
        content_text(said.get("content")) or content_text(said.get("refusal")),
        tuple(_call(call, place) for place, call in enumerate(calls)),
        str(choices[0].get("finish_reason") or ""),
        timings,
    )


def content_text(content: object) -> str:
    """Return the text of a content, which is a string, a list of parts, or null."""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in objects(content))


def read_timings(fields: Mapping[str, Any]) -> Timings | None:
    """Return the server's figures: llama.cpp's `timings`, else `usage` in either API's words."""
    figures, usage = members(fields.get("timings")), members(fields.get("usage"))
    if figures:
        return Timings(
            cached_tokens=_count(figures, "cache_n"),
            prompt_tokens=_count(figures, "prompt_n"),
            prompt_ms=float(figures.get("prompt_ms") or 0.0),
            predicted_tokens=_count(figures, "predicted_n"),
            predicted_ms=float(figures.get("predicted_ms") or 0.0),
        )
    if not usage:
        return None
    details = members(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    cached = _count(details, "cached_tokens")
    return Timings(
        cached_tokens=cached,
        prompt_tokens=max(_count(usage, "prompt_tokens", "input_tokens") - cached, 0),
        predicted_tokens=_count(usage, "completion_tokens", "output_tokens"),
    )


def _count(fields: Mapping[str, Any], *keys: str) -> int:
    return next((int(fields[key]) for key in keys if fields.get(key)), 0)


def end_reason(finish: str) -> Literal["stop", "limit"]:
    """Return our word for the server's `finish_reason`."""
    return "limit" if finish in ("length", "max_tokens", "max_output_tokens") else "stop"


def _call(call: Mapping[str, Any], place: int) -> CallDelta:
    function = members(call.get("function")) or call
    arguments = function.get("arguments")
    if isinstance(arguments, Mapping):  # an object where the API says a string
        arguments = json.dumps(arguments)
    index = call.get("index", place)
    return CallDelta(
        index if isinstance(index, int) else place,
        str(call.get("id") or ""),
        str(function.get("name") or ""),
        str(arguments or ""),
    )
