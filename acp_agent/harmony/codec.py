"""A conversation as the token ids that gpt-oss continues.

What the model generated is kept as it was generated. Each entry is rendered once; within a turn a
prompt extends the one before it token for token, so the engine evaluates only what is new.

Two things change in history, both for free or nearly so: `<|return|>` becomes `<|end|>` (the engine
never evaluates a terminator it has just sampled), and the reasoning of finished turns is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from acp_agent.conversation import (
    Call,
    Effort,
    Entry,
    Message,
    ModelRequest,
    ModelStep,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from acp_agent.harmony import library
from acp_agent.harmony.header import Header
from acp_agent.harmony.names import is_built_in
from acp_agent.harmony.parser import Parser
from acp_agent.harmony.vocab import CALL, END, MESSAGE, RETURN, START, Vocabulary

REMEMBERED = 4096  # entries, over all sessions


class Codec:
    """Renders prompts; keep one, for it remembers what it rendered."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._turn = (START, *vocabulary.encode_text("assistant"))
        self._asked = (START, *vocabulary.encode_text("user"), MESSAGE)
        self._entry = lru_cache(REMEMBERED)(self._render_entry)
        self._tools: tuple[ToolSpec, ...] = ()
        self._tools_key: tuple[tuple[str, str, str], ...] = ()
        self._prefixes: dict[object, tuple[int, ...]] = {}

    def prompt(self, request: ModelRequest, today: date) -> list[int]:
        """Return the ids that the assistant's next message continues."""
        entries = request.entries
        finished = max((i for i, e in enumerate(entries) if isinstance(e, UserMessage)), default=0)
        return [*self._conversation(request, today, finished), *self._turn]

    def ahead(self, request: ModelRequest, today: date) -> list[int]:
        """Return as much as is known of the next prompt.

        After an answer, and before the first message, that goes up to the user's first word.
        """
        return [*self._conversation(request, today, len(request.entries)), *self._asked]

    def _conversation(self, request: ModelRequest, today: date, finished: int) -> list[int]:
        """Render everything; entries before index `finished` belong to turns that are over."""
        ids = [*self._prefix(request, today)]
        for index, entry in enumerate(request.entries):
            ids += self._entry(entry, index < finished)
        return ids

    def _prefix(self, request: ModelRequest, today: date) -> tuple[int, ...]:
        if request.tools is not self._tools:
            self._tools = request.tools
            self._tools_key = tuple(
                (t.name, t.description, json.dumps(t.parameters)) for t in request.shown_tools
            )
        key = (request.instructions, request.effort, today, self._tools_key)
        if key not in self._prefixes:
            if len(self._prefixes) >= 16:
                self._prefixes.clear()
            self._prefixes[key] = tuple(
                render_prefix(
                    self._vocabulary,
                    request.instructions,
                    request.shown_tools,
                    request.effort,
                    today,
                )
            )
        return self._prefixes[key]

    def _render_entry(self, entry: Entry, finished: bool) -> tuple[int, ...]:
        match entry:
            case UserMessage():
                return tuple(library.render_user(self._vocabulary.encoding, entry.text))
            case ToolMessage():
                return tuple(library.render_tool(self._vocabulary.encoding, entry))
            case ModelStep():
                return self._render_step(entry, finished=finished)

    def _render_step(self, step: ModelStep, *, finished: bool) -> tuple[int, ...]:
        tokens = self._canonical(step) if step.tokens is None else step.tokens
        if finished:
            parser = Parser(self._vocabulary, str)
            parser.feed(tokens)
            kept = [piece.tokens for piece in parser.pieces() if not _is_reasoning(piece.message)]
        else:
            kept = [tokens] if tokens else []
        ids = [token for piece in kept for token in (*self._turn, *piece)]
        return tuple(END if token == RETURN else token for token in ids)

    def _canonical(self, step: ModelStep) -> tuple[int, ...]:
        """Render a step of a backend that speaks text, in the form that gpt-oss would write."""
        ids: list[int] = []
        for message in (*step.messages, *map(_message, _unlisted_calls(step))):
            called = message.recipient is not None and message.complete
            content_type = "json" if called and message.recipient != "python" else ""
            header = Header(message.channel, message.recipient, content_type)
            ids += self._turn
            ids += header.tokens(self._vocabulary)
            ids += self._vocabulary.encode_text(message.text)
            ids.append(CALL if called else END)
        return tuple(ids[len(self._turn) :])


def render_prefix(
    vocabulary: Vocabulary,
    instructions: str,
    tools: Sequence[ToolSpec],
    effort: Effort,
    today: date,
) -> list[int]:
    """Render the system and developer messages: all that comes before the conversation.

    `python` and `browser.*` are built in and go to the system message; other tools are functions.
    """
    built_in = [tool for tool in tools if is_built_in(tool.name)]
    functions = [tool for tool in tools if not is_built_in(tool.name)]
    encoding = vocabulary.encoding
    return [
        *library.render_system(encoding, effort, today, built_in, functions=bool(functions)),
        *library.render_developer(encoding, instructions, functions),
    ]


def _is_reasoning(message: Message) -> bool:
    return message.channel == "analysis" and message.recipient is None


def _unlisted_calls(step: ModelStep) -> list[Call]:
    """Return the calls that the step does not also list as messages."""
    listed = {(m.recipient, m.text) for m in step.messages if m.complete}
    return [call for call in step.calls if (call.recipient, call.arguments) not in listed]


def _message(call: Call) -> Message:
    return Message(call.channel, call.arguments, call.recipient)
