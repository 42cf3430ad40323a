"""Tool calls as text, for servers that take no tools: how to ask for them, how to read them.

The form is `<tool_call>{"tool": NAME, "parameters": {...}}</tool_call>`, anywhere in the answer, or
an answer that is nothing but the JSON object. What cannot be read as a call is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from acp_agent.backends.loose_json import loads, members, objects
from acp_agent.backends.reply import wire_name
from acp_agent.conversation import ToolSpec

OPEN, CLOSE = "<tool_call>", "</tool_call>"
FENCED = "```json"
_FENCE = re.compile(r"^```\w*\s*|\s*```$")
_NAMES, _ARGUMENTS = ("tool", "name", "function"), ("parameters", "arguments", "input")


@dataclass(frozen=True, slots=True)
class ReadCall:
    """A call that was read from text; `arguments` is a JSON object."""

    name: str
    arguments: str


Read = str | ReadCall


def preamble(tools: Sequence[ToolSpec]) -> str:
    """Return what tells a model of its tools; short, for a small window."""
    lines = [
        "You can use tools. To use one, answer with nothing but",
        f'{OPEN}{{"tool": "NAME", "parameters": {{...}}}}{CLOSE}',
        "and wait for its result. The tools, with JSON Schemas of their parameters:",
    ]
    for tool in tools:
        schema = json.dumps(tool.parameters, separators=(",", ":"))
        lines.append(f"- {wire_name(tool.name)}: {tool.description} {schema}")
    return "\n".join(lines)


def call_text(name: str, arguments: str) -> str:
    """Return a call as the model would have written it."""
    value = loads(arguments)
    value = arguments if value is None else value
    return f"{OPEN}{json.dumps({'tool': name, 'parameters': value})}{CLOSE}"


def result_text(name: str, text: str) -> str:
    """Return a tool's result, as a message of the user."""
    return f"Tool result of {name}:\n<tool_result>\n{text}\n</tool_result>"


class PromptedCalls:
    """Takes calls out of text while it streams; `offered` are the names that may be called."""

    def __init__(self, offered: Collection[str]) -> None:
        self._offered = offered
        self._buffer = ""
        self._inside = False
        self._shown = False
        self._begun = False  # something was shown or called; a bare object is then no call

    def feed(self, text: str) -> list[Read]:
        """Return what is certain so far; the rest is held back."""
        self._buffer += text
        found: list[Read] = []
        while True:
            mark = CLOSE if self._inside else OPEN
            before, there, after = self._buffer.partition(mark)
            if not there:
                break
            self._buffer = after
            found += self._closed(before) if self._inside else self._text(before)
            self._inside = not self._inside
        if not self._inside and (self._begun or not self._may_be_call()):
            sure = len(self._buffer) - _held(self._buffer, OPEN)
            found += self._text(self._buffer[:sure])
            self._buffer = self._buffer[sure:]
        return found

    def close(self, *, whole: bool) -> list[Read]:
        """Return what is left; it can be a call only if the answer is `whole`."""
        rest, self._buffer = self._buffer, ""
        if whole and (self._inside or not self._begun):
            call = read_call(rest, self._offered)
            if call is not None:
                return [call]
        return self._text(OPEN + rest if self._inside else rest)

    def _closed(self, body: str) -> list[Read]:
        call = read_call(body, None)
        if call is None:
            return self._text(f"{OPEN}{body}{CLOSE}")
        self._begun = True
        return [call]

    def _text(self, text: str) -> list[Read]:
        if not self._shown:
            text = text.lstrip()  # space before and between calls is nothing to show
        if not text:
            return []
        self._begun = self._shown = True
        return [text]

    def _may_be_call(self) -> bool:
        start = self._buffer.lstrip()
        return start.startswith(("{", FENCED)) or FENCED.startswith(start)


def read_call(text: str, offered: Collection[str] | None) -> ReadCall | None:
    """Return the call that the whole text is, None if it is none.

    Without tags a name must be an `offered` one, for any other object is an answer in JSON.
    """
    value = loads(_FENCE.sub("", text.strip()))
    inner: object = members(value).get("tool_call", value)  # {"tool_call": [...]}: macOS leaks it
    fields = next(iter(objects(inner)), members(inner))
    name = next((fields[key] for key in _NAMES if isinstance(fields.get(key), str)), None)
    if not name or (offered is not None and name.removeprefix("functions.") not in offered):
        return None
    arguments: object = next((fields[key] for key in _ARGUMENTS if key in fields), None)
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return ReadCall(name, text)


def _held(text: str, mark: str) -> int:
    """Return how many characters at the end of `text` may begin `mark`."""
    sizes = range(min(len(mark) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(mark[:size])), 0)
