"""What goes to `POST /v1/responses` and what comes back, as values; pure.

Shapes as of OpenAI's API reference, of llama.cpp's server (2026-10) and of gpt-oss servers that say
`tool_call` where the reference says `function_call`, and nest a tool's name under `function`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from acp_agent.backends.chat_messages import (
    NO_ANSWER,
    call_arguments,
    call_name,
    chat_tools,
    running_turn,
    spoken,
    thought,
)
from acp_agent.backends.chat_wire import content_text
from acp_agent.backends.loose_json import members, objects
from acp_agent.backends.prompted_calls import result_text
from acp_agent.conversation import Call, ModelRequest, ModelStep, ToolMessage, UserMessage

Wire = dict[str, Any]
_CALLS = ("function_call", "tool_call")


@dataclass(frozen=True, slots=True)
class Item:
    """A complete item of the output; `name` is set for calls only."""

    key: str
    kind: str
    text: str
    name: str = ""


def responses_body(request: ModelRequest, model: str) -> Wire:
    """Return the request. Nothing is stored there: the whole conversation goes each time."""
    body: Wire = {
        "model": model,
        "input": list(_input(request)),
        "stream": True,
        "store": False,
        "reasoning": {"effort": request.effort},
    }
    if request.instructions:
        body["instructions"] = request.instructions
    if request.told_tools:
        body["tools"] = [
            {"type": "function", **tool["function"]} for tool in chat_tools(request.told_tools)
        ]
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    return body


def _input(request: ModelRequest) -> Iterator[Wire]:
    running = running_turn(request.entries)
    waiting: list[Call] = []
    for index, entry in enumerate(request.entries):
        if isinstance(entry, ToolMessage):
            if waiting:
                yield _output(waiting.pop(0), entry.text)
            else:  # a remark on a call that never became one
                yield {"role": "user", "content": result_text(entry.recipient, entry.text)}
            continue
        while waiting:
            yield _output(waiting.pop(0), NO_ANSWER)
        if isinstance(entry, UserMessage):
            yield {"role": "user", "content": entry.text}
        else:
            yield from _step(entry, is_running=index >= running)
            waiting.extend(entry.calls)
    for call in waiting:
        yield _output(call, NO_ANSWER)


def _step(step: ModelStep, *, is_running: bool) -> Iterator[Wire]:
    reasoning, text = thought(step), spoken(step)
    if is_running and reasoning:
        yield {
            "type": "reasoning",
            "id": f"rs_{step.calls[0].call_id}" if step.calls else "rs_1",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": reasoning}],
            "encrypted_content": "",
            "status": "completed",
        }
    if text:
        yield {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
    for call in step.calls:
        yield {
            "type": "function_call",
            "call_id": call.call_id,
            "name": call_name(call),
            "arguments": call_arguments(call),
            "status": "completed",
        }


def _output(call: Call, text: str) -> Wire:
    return {"type": "function_call_output", "call_id": call.call_id, "output": text}


def read_items(response: Mapping[str, Any]) -> list[Item]:
    """Return the items of a whole response, `output_text` if it has no others."""
    found = [
        item
        for place, entry in enumerate(objects(response.get("output")))
        for item in read_item(entry, str(place))
    ]
    text = response.get("output_text")
    if isinstance(text, str) and text and not any(item.kind == "message" for item in found):
        found.append(Item("output_text", "message", text))
    return found


def read_item(item: Mapping[str, Any], key: str) -> Iterator[Item]:
    """Give what an item holds; a message may hold calls among its parts."""
    key, kind = item_key(item, key), str(item.get("type", ""))
    if kind in _CALLS:
        name, arguments = read_call(item)
        yield Item(key, "call", arguments, name)
    elif kind == "reasoning":
        yield Item(key, "reasoning", content_text(item.get("content") or item.get("summary")))
    elif kind == "message":
        parts = item.get("content")
        text = parts if isinstance(parts, str) else _texts(parts)
        if text:
            yield Item(key, "message", text)
        for place, part in enumerate(objects(parts)):
            if part.get("type") in _CALLS:
                name, arguments = read_call(part)
                yield Item(f"{key}.{place}", "call", arguments, name)


def read_call(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return name and arguments of a call, flat or nested under `function`."""
    fields = members(item.get("function")) or item
    arguments = fields.get("arguments")
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else json.dumps(arguments)
    return str(fields.get("name") or ""), arguments


def is_call(item: Mapping[str, Any]) -> bool:
    """Tell whether the item is a call."""
    return item.get("type") in _CALLS


def item_key(item: Mapping[str, Any], key: str) -> str:
    """Return what the events about the item name it by."""
    return str(item.get("id") or item.get("call_id") or key)


def _texts(parts: object) -> str:
    return "".join(
        str(part.get("text") or part.get("refusal") or "")
        for part in objects(parts)
        if part.get("type") in ("output_text", "text", "refusal")
    )
