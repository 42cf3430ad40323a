"""A conversation with a model, as values: what was said, what was called, what was answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Effort = Literal["low", "medium", "high"]
Channel = Literal["analysis", "commentary", "final"]
JsonObject = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What the user sent, resources already turned into text."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A complete tool call of the model: `recipient` as it wrote it, `arguments` the raw body."""

    call_id: str
    recipient: str
    arguments: str
    channel: Channel = "commentary"


@dataclass(frozen=True, slots=True)
class Message:
    """One message that the model generated.

    `complete` is False when the generation ended inside it; such a message is never a call.
    """

    channel: Channel
    text: str
    recipient: str | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ModelStep:
    """All that one model call generated.

    `tokens` are the exact ids, from after `<|start|>assistant` to the terminator, always well
    formed (a cut message is closed); None where the backend speaks text only.
    """

    messages: tuple[Message, ...]
    calls: tuple[Call, ...] = ()
    tokens: tuple[int, ...] | None = None
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolMessage:
    """A tool's answer to one call, in the words that the model reads."""

    recipient: str
    text: str
    channel: Channel = "commentary"


Entry = UserMessage | ModelStep | ToolMessage


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it; `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One model call: the whole conversation, and how to answer it."""

    entries: Sequence[Entry]
    instructions: str = ""
    tools: tuple[ToolSpec, ...] = ()
    effort: Effort = "medium"
    max_tokens: int | None = None
    temperature: float | None = None
