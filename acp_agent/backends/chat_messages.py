"""A conversation as the messages of a chat API; pure.

Where tools are never given, what other models did with theirs stays out: only what the user saw is
said again. Where they are prompted, calls and results are text.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any

from acp_agent.backends.loose_json import as_object
from acp_agent.backends.profiles import ChatProfile
from acp_agent.backends.prompted_calls import call_text, preamble, result_text
from acp_agent.backends.reply import wire_name
from acp_agent.conversation import (
    Call,
    Entry,
    ModelRequest,
    ModelStep,
    ToolMessage,
    ToolSpec,
    UserMessage,
)

Wire = dict[str, Any]
NO_ANSWER = "This call has no answer."


def chat_messages(request: ModelRequest, profile: ChatProfile) -> list[Wire]:
    """Return the whole conversation; the reasoning of the running turn only."""
    running = running_turn(request.entries)
    writer = _Writer(profile)
    instructions = request.instructions
    if profile.tools == "prompted" and request.told_tools:
        instructions = f"{instructions}\n\n{preamble(request.told_tools)}".strip()
    if instructions:
        writer.messages.append({"role": "system", "content": instructions})
    for index, entry in enumerate(request.entries):
        writer.add(entry, is_running=index >= running)
    writer.close_calls()
    return writer.messages


def running_turn(entries: Sequence[Entry]) -> int:
    """Return the index of the last user message; what follows it belongs to the running turn."""
    users = [index for index, entry in enumerate(entries) if isinstance(entry, UserMessage)]
    return users[-1] if users else 0


def chat_tools(tools: Sequence[ToolSpec]) -> list[Wire]:
    """Return tools in the nested shape of Chat Completions."""
    return [
        {
            "type": "function",
            "function": {
                "name": wire_name(tool.name),
                "description": tool.description or tool.name,  # macOS refuses a tool without
                "parameters": tool.parameters,
            },
        }
        for tool in tools
    ]


def call_name(call: Call) -> str:
    """Return the name under which the call's tool was offered."""
    return wire_name(call.recipient.removeprefix("functions."))


def call_arguments(call: Call) -> str:
    """Return the arguments as JSON, which templates parse; anything else becomes a string in it."""
    if as_object(call.arguments) is None:
        return json.dumps({"input": call.arguments})
    return call.arguments


def spoken(step: ModelStep) -> str:
    """Return what the step said to the user."""
    texts = [m.text for m in step.messages if m.recipient is None and m.channel != "analysis"]
    return "\n\n".join(text for text in texts if text)


def thought(step: ModelStep) -> str:
    """Return the step's reasoning."""
    return "".join(m.text for m in step.messages if m.recipient is None and m.channel == "analysis")


class _Writer:
    def __init__(self, profile: ChatProfile) -> None:
        self.messages: list[Wire] = []
        self._profile = profile
        self._open: deque[Call] = deque()

    def add(self, entry: Entry, *, is_running: bool) -> None:
        match entry:
            case UserMessage():
                self.close_calls()
                self._say("user", entry.text)
            case ModelStep() if self._profile.tools == "native":
                self.close_calls()
                self._native_step(entry, is_running)
            case ModelStep():
                self._text_step(entry)
            case ToolMessage():
                self._result(entry)

    def close_calls(self) -> None:
        """Answer the calls that have no answer: a chat API refuses them otherwise."""
        while self._open:
            self._native_result(self._open.popleft(), NO_ANSWER)

    def _native_step(self, step: ModelStep, is_running: bool) -> None:
        message: Wire = {"role": "assistant", "content": spoken(step)}
        reasoning, field = thought(step), self._profile.reasoning_field
        if is_running and field and reasoning:
            message[field] = reasoning
        if step.calls:
            message["tool_calls"] = [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": call_name(call), "arguments": call_arguments(call)},
                }
                for call in step.calls
            ]
        self._open.extend(step.calls)
        if message["content"] or step.calls or field in message:
            self.messages.append(message)

    def _text_step(self, step: ModelStep) -> None:
        texts = [spoken(step)]
        if self._profile.tools == "prompted":
            texts += [call_text(call_name(call), call.arguments) for call in step.calls]
        self._say("assistant", "\n".join(text for text in texts if text))

    def _result(self, entry: ToolMessage) -> None:
        if self._profile.tools == "native":
            if self._open:
                self._native_result(self._open.popleft(), entry.text)
            else:  # a remark on a call that never became one
                self._say("user", result_text(entry.recipient, entry.text))
        elif self._profile.tools == "prompted":
            self._say("user", result_text(entry.recipient.removeprefix("functions."), entry.text))

    def _native_result(self, call: Call, text: str) -> None:
        self.messages.append({"role": "tool", "tool_call_id": call.call_id, "content": text})

    def _say(self, role: str, text: str) -> None:
        """Add text; where tools are text, neighbours of one role become one message."""
        last = self.messages[-1] if self.messages else {}
        if not text:
            return
        if self._profile.tools != "native" and last.get("role") == role:
            last["content"] += f"\n\n{text}"
        else:
            self.messages.append({"role": role, "content": text})
