"""All that is used of openai_harmony: its encoder, and its rendering of what the model reads.

Its parser, its rendering of assistant messages and its dropping of analysis are not used: they
write other tokens than the model generated. Importing this module costs 0.1 s; do it in a thread.
"""

# The library ships neither py.typed nor stubs; its sources carry the annotations we rely on.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import json
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from openai_harmony import (
    Author,
    DeveloperContent,
    HarmonyEncoding,
    Message,
    ReasoningEffort,
    RenderOptions,
    Role,
    SystemContent,
    ToolDescription,
    ToolNamespaceConfig,
    load_harmony_encoding,
)

from acp_agent.conversation import Effort, ToolMessage, ToolSpec
from acp_agent.errors import VocabularyError
from acp_agent.harmony.text import encode_text, unicode_text

__all__ = [
    "HarmonyEncoding",
    "load_encoding",
    "render_developer",
    "render_system",
    "render_tool",
    "render_user",
]

KNOWLEDGE_CUTOFF = "2024-06"
_EFFORTS = {
    "low": ReasoningEffort.LOW,
    "medium": ReasoningEffort.MEDIUM,
    "high": ReasoningEffort.HIGH,
}


def load_encoding(directory: Path) -> HarmonyEncoding:
    """Load the encoding from the ranks file in `directory`. Raises VocabularyError."""
    with _environment("TIKTOKEN_ENCODINGS_BASE", str(directory)):
        try:
            return load_harmony_encoding("HarmonyGptOss")
        except RuntimeError as error:  # the base of HarmonyError, which has no type
            raise VocabularyError(f"cannot load the ranks in {str(directory)!r}: {error}") from None


def render_system(
    encoding: HarmonyEncoding,
    effort: Effort,
    today: date,
    built_in: Sequence[ToolSpec],
    *,
    functions: bool,
) -> list[int]:
    """Render the system message; `built_in` are `python` and `browser.*`."""
    content = (
        SystemContent.new()
        .with_knowledge_cutoff(KNOWLEDGE_CUTOFF)
        .with_conversation_start_date(today.isoformat())
        .with_reasoning_effort(_EFFORTS[effort])
    )
    browser = [_description(t, "browser.") for t in built_in if t.name.startswith("browser.")]
    if browser:
        words = ToolNamespaceConfig.browser().description
        content.with_tools(ToolNamespaceConfig(name="browser", description=words, tools=browser))
    for tool in built_in:
        if tool.name == "python":
            words = tool.description
            content.with_tools(ToolNamespaceConfig(name="python", description=words, tools=[]))
    options = RenderOptions(conversation_has_function_tools=functions)
    return encoding.render(Message.from_role_and_content(Role.SYSTEM, content), options)


def render_developer(
    encoding: HarmonyEncoding, instructions: str, functions: Sequence[ToolSpec]
) -> list[int]:
    """Render instructions and the `functions` namespace; nothing if there is neither."""
    content = DeveloperContent.new()
    if instructions:
        content.with_instructions(unicode_text(instructions))
    if functions:
        content.with_function_tools([_description(tool) for tool in functions])
    if not instructions and not functions:
        return []
    return encoding.render(Message.from_role_and_content(Role.DEVELOPER, content))


def render_user(encoding: HarmonyEncoding, text: str) -> list[int]:
    """Render what the user said; spelled control tokens in it stay text."""
    empty = encoding.render(Message.from_role_and_content(Role.USER, ""))
    return [*empty[:-1], *encode_text(encoding, text), empty[-1]]


def render_tool(encoding: HarmonyEncoding, message: ToolMessage) -> list[int]:
    """Render a tool's answer; spelled control tokens in it stay text."""
    author = Author.new(Role.TOOL, unicode_text(message.recipient))
    empty = encoding.render(
        Message.from_author_and_content(author, "")
        .with_recipient("assistant")
        .with_channel(message.channel)
    )
    return [*empty[:-1], *encode_text(encoding, message.text), empty[-1]]


def _description(tool: ToolSpec, namespace: str = "") -> ToolDescription:
    name = tool.name.removeprefix(namespace)
    words = unicode_text(tool.description)
    parameters = json.loads(unicode_text(json.dumps(dict(tool.parameters), ensure_ascii=False)))
    return ToolDescription(name=name, description=words, parameters=parameters)


@contextmanager
def _environment(name: str, value: str) -> Generator[None]:
    """Set a variable for a while: the library knows no other way to be told a directory."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
