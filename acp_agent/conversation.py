"""A conversation with a model, as values: what was said, what was called, what was answered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from acp_agent.plain import named

Effort = Literal["low", "medium", "high"]
Channel = Literal["analysis", "commentary", "final"]
JsonObject = Mapping[str, object]

_DECLARED = re.compile(r"^type (\w+) = \(", re.MULTILINE)  # as a tool's signature begins


@dataclass(frozen=True, slots=True)
class Attachment:
    """What came with a message; `text` is None for a link, which only a tool can read."""

    uri: str
    text: str | None = None

    def block(self) -> str:
        """Return it as a model reads it: its text under its address; nothing for a link.

        Neither can end the block: where the text holds the mark of its end, the block has another.
        """
        if self.text is None:
            return ""
        tag = "resource"
        while f"</{tag}" in self.text:
            tag += "-"
        uri = named(self.uri).replace('"', "%22")
        return f'<{tag} uri="{uri}">\n{self.text.rstrip()}\n</{tag}>'


@dataclass(frozen=True, slots=True, match_args=False)
class UserMessage:
    """What the user sent: their words, links among them, and what they attached.

    `note` is ours, and stands before the words.
    """

    words: str
    attachments: tuple[Attachment, ...] = ()
    note: str = ""

    @property
    def text(self) -> str:
        """The whole message as a model reads it: the question first, as it was typed."""
        blocks = (attachment.block() for attachment in self.attachments)
        return self.note + "\n\n".join([self.words, *filter(None, blocks)])


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
    """A tool as the model sees it; `parameters` is a JSON Schema of type object.

    A `deferred` tool can be called but stands in no prompt: the model is told of it when it asks.
    """

    name: str
    description: str
    parameters: JsonObject
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One model call: the whole conversation, and how to answer it."""

    entries: Sequence[Entry]
    instructions: str = ""
    tools: tuple[ToolSpec, ...] = ()
    effort: Effort = "medium"
    max_tokens: int | None = None
    temperature: float | None = None

    @property
    def shown_tools(self) -> tuple[ToolSpec, ...]:
        """The tools that stand in the prompt."""
        return tuple(tool for tool in self.tools if not tool.deferred)

    @property
    def told_tools(self) -> tuple[ToolSpec, ...]:
        """Those, and the deferred ones that an answer to the model has declared.

        For servers that let nothing be called but what the request holds.
        """
        answers = [entry.text for entry in self.entries if isinstance(entry, ToolMessage)]
        told = {name for text in answers for name in _DECLARED.findall(text)}
        return tuple(tool for tool in self.tools if not tool.deferred or tool.name in told)
