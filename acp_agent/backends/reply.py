"""What a model that speaks text has said so far, as events while it speaks and as a step after.

The counterpart of the Harmony parser for servers that take the model's output apart themselves.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal

from acp_agent.conversation import Call, Message, ModelStep, ToolSpec
from acp_agent.harmony.names import recipient
from acp_agent.ports import (
    CallOpened,
    ModelEvent,
    StepEnded,
    TextPart,
    ThoughtPart,
    Timings,
)


def new_call_id() -> str:
    """Return an id that no other call of any session has; what servers give may repeat."""
    return f"call_{os.urandom(6).hex()}"


def wire_name(tool: str) -> str:
    """Return the tool's name as a chat API takes it: without dots."""
    return tool.replace(".", "_")


@dataclass(slots=True)
class _Part:
    kind: Literal["thought", "text", "call"]
    text: str = ""
    recipient: str = ""
    call_id: str = ""


class Reply:
    """Collects parts; every method that adds some returns the events to show."""

    def __init__(
        self, tools: Sequence[ToolSpec] = (), call_ids: Callable[[], str] = new_call_id
    ) -> None:
        self._names = {wire_name(tool.name): tool.name for tool in tools}
        self._call_ids = call_ids
        self._parts: list[_Part] = []
        self._calls: dict[Hashable, _Part] = {}
        self._repairs: list[str] = []
        self._ended: Literal["stop", "limit"] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said to the user, and nothing called."""
        return all(part.kind == "thought" for part in self._parts)

    def think(self, text: str) -> list[ModelEvent]:
        """Add to the reasoning."""
        return [ThoughtPart(self._add("thought", text), text)] if text else []

    def say(self, text: str) -> list[ModelEvent]:
        """Add to the text for the user."""
        return [TextPart(self._add("text", text), text)] if text else []

    def call(self, key: Hashable, name: str, arguments: str) -> list[ModelEvent]:
        """Begin the call `key`, or add to its arguments; its `name` comes with its beginning."""
        part = self._calls.get(key)
        if part is not None:
            part.text += arguments
            return []
        name = name.removeprefix("functions.")
        to = recipient(self._names.get(name, name))
        part = _Part("call", arguments, to, self._call_ids())
        self._calls[key] = part
        self._parts.append(part)
        return [CallOpened(part.call_id, to)]

    def knows(self, key: Hashable) -> bool:
        """Tell whether the call `key` has begun."""
        return key in self._calls

    def set_arguments(self, key: Hashable, arguments: str) -> None:
        """Replace the arguments of a call by what the server says they are in full."""
        self._calls[key].text = arguments

    def repaired(self, what: str) -> None:
        """Note a departure of the model or the server from what it should have said."""
        self._repairs.append(what)

    def end(self, reason: Literal["stop", "limit"], timings: Timings) -> list[ModelEvent]:
        """Say that the server ended the answer; only then do calls count."""
        self._ended = reason
        return [StepEnded(reason, timings)]

    def step(self) -> ModelStep:
        """Return what was said so far; text beside calls is a preamble, else it is the answer."""
        whole = self._ended == "stop"
        calls = [part for part in self._parts if part.kind == "call"]
        messages = [self._message(part, bool(calls)) for part in self._parts]
        if whole and self.is_empty:
            messages.append(Message("final", ""))  # an answer without words is one all the same
        return ModelStep(
            tuple(messages),
            tuple(Call(part.call_id, part.recipient, part.text) for part in calls if whole),
            repairs=tuple(self._repairs),
        )

    def _add(self, kind: Literal["thought", "text"], text: str) -> int:
        if not self._parts or self._parts[-1].kind != kind:
            self._parts.append(_Part(kind))
        self._parts[-1].text += text
        return len(self._parts) - 1

    def _message(self, part: _Part, has_calls: bool) -> Message:
        complete = self._ended == "stop" or part is not self._parts[-1]
        match part.kind:
            case "thought":
                return Message("analysis", part.text, complete=complete)
            case "text":
                channel = "commentary" if has_calls else "final"
                return Message(channel, part.text, complete=complete)
            case "call":
                whole = self._ended == "stop"
                return Message("commentary", part.text, part.recipient, complete=whole)


class ReplyStream:
    """A model call under way: the events of one server, and the reply that they make."""

    def __init__(self, events: AsyncIterator[ModelEvent], reply: Reply) -> None:
        self._events = events
        self._reply = reply

    def __aiter__(self) -> AsyncIterator[ModelEvent]:
        return self._events

    def step(self) -> ModelStep:
        """Return what was said so far, well formed."""
        return self._reply.step()


async def whole_step(answering: AbstractAsyncContextManager[ReplyStream]) -> ModelStep:
    """Return what a model call comes to when nobody watches it. Raises as the call does."""
    async with answering as stream:
        async for _ in stream:
            pass
        return stream.step()
