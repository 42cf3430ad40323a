"""What goes to Ollama's `/api/chat`, and what one of its errors means; pure.

Shapes as of Ollama's API types of August 2026, and of answers that others have published.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from acp_agent.backends.loose_json import as_object, members
from acp_agent.backends.reply import wire_name
from acp_agent.conversation import (
    Call,
    Entry,
    JsonObject,
    ModelRequest,
    ModelStep,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from acp_agent.errors import EngineFailed

SHOWN = 200  # characters of a call that could not be read
_UNREAD_CALL = re.compile(
    r"error parsing tool call: raw='(?P<raw>.*?)'(?:, err=(?P<why>.*))?$", re.S
)
_LEVELLED = ("gptoss", "gpt-oss")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What `/api/show` says of a model; `context_size` in tokens, None if it does not say."""

    context_size: int | None = None
    family: str = ""
    thinks: bool = False

    @classmethod
    def of(cls, shown: JsonObject) -> ModelFacts:
        """Read an answer of `/api/show`."""
        info = members(shown.get("model_info"))
        size = info.get(f"{info.get('general.architecture')}.context_length")
        family = str(members(shown.get("details")).get("family") or "")
        capabilities = cast("list[object]", shown.get("capabilities") or [])
        return cls(size if isinstance(size, int) else None, family, "thinking" in capabilities)


def chat_body(
    model: str, request: ModelRequest, facts: ModelFacts, *, context: int, keep_alive: str
) -> dict[str, object]:
    """Return the request for a step of `request`.

    `num_ctx` is always said, for the default is 4,096 and what is beyond it is cut off in silence;
    `truncate` and `shift` turn that cut into an error.
    """
    options: dict[str, object] = {"num_ctx": context}
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    if request.temperature is not None:
        options["temperature"] = request.temperature
    body: dict[str, object] = {
        "model": model,
        "messages": chat_messages(request.instructions, request.entries),
        "stream": True,
        "keep_alive": keep_alive,
        "truncate": False,
        "shift": False,
        "options": options,
    }
    if request.told_tools:
        body["tools"] = [_tool(tool) for tool in request.told_tools]
    if facts.thinks:
        # gpt-oss takes levels and cannot be told not to think; other models know on and off.
        levelled = facts.family in _LEVELLED
        body["think"] = request.effort if levelled else request.effort != "low"
    return body


def chat_messages(instructions: str, entries: Sequence[Entry]) -> list[dict[str, object]]:
    """Return the conversation in Ollama's roles; arguments of calls are objects there."""
    messages: list[dict[str, object]] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    for entry in entries:
        match entry:
            case UserMessage():
                messages.append({"role": "user", "content": entry.text})
            case ToolMessage(recipient, text):
                name = _name(recipient)
                messages.append({"role": "tool", "content": text, "tool_name": name})
            case ModelStep():
                messages.append(_assistant(entry))
    return messages


def _assistant(step: ModelStep) -> dict[str, object]:
    said = [m for m in step.messages if m.recipient is None]
    message: dict[str, object] = {
        "role": "assistant",
        "content": "\n\n".join(m.text for m in said if m.channel != "analysis"),
    }
    if step.calls:
        # The reasoning before a call is part of its context; that before an answer is dropped.
        message["thinking"] = "\n\n".join(m.text for m in said if m.channel == "analysis")
        message["tool_calls"] = [_call(call) for call in step.calls]
    return message


def _call(call: Call) -> dict[str, object]:
    arguments = as_object(call.arguments)
    if arguments is None:  # `python` takes code as it stands
        arguments = {"input": call.arguments}
    return {"function": {"name": _name(call.recipient), "arguments": arguments}}


def _tool(tool: ToolSpec) -> dict[str, object]:
    name = wire_name(tool.name)
    function = {"name": name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _name(recipient: str) -> str:
    return wire_name(recipient.removeprefix("functions."))


def unread_call(message: str) -> EngineFailed | None:
    """Return what an error of Ollama means that is about a call of the model; None for others."""
    unread = _UNREAD_CALL.search(message)
    if unread is None:
        return None
    raw = unread["raw"]
    shown = raw if len(raw) <= SHOWN else f"{raw[:SHOWN]}…"
    return EngineFailed(
        f"Ollama could not read the model's tool call {shown!r} ({unread['why'] or 'no JSON'})"
        " and dropped the whole step; try again, or serve the model with llama.cpp"
    )
