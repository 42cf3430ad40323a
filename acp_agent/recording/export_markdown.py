"""A transcript as Markdown. What the agent said is Markdown already; everything else is fenced."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from acp_agent.events import Image, Text, ToolContent
from acp_agent.recording.diff_text import unified
from acp_agent.recording.transcript import Beginning, Block, Called, Noted, Planned, Said

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_CODE_OR_TAG = re.compile(r"(`+)(?!`)(?:.+?)(?<!`)\1(?!`)|<")
_BOXES = {"completed": "x", "in_progress": ">", "pending": " "}


def markdown(blocks: Iterable[Block]) -> Iterator[str]:
    """Give the document piece by piece."""
    for block in blocks:
        yield _block(block) + "\n"


def _block(block: Block) -> str:
    match block:
        case Beginning(facts):
            rows = "".join(f"- {name}: {_code(value)}\n" for name, value in facts)
            return f"# Session\n\n{rows}"
        case Said("user", text, _, attached):
            links = "".join(f"- {_code(uri)}\n" for uri in attached)
            return f"## You\n\n{_quote(text)}\n{links}"
        case Said("agent", text):
            return f"## Agent\n\n{_closed(text)}\n"
        case Said(_, text):
            return f"### Thought\n\n{_quote(text)}\n"
        case Called(name, title, status, given, results):
            head = f"### Tool {_code(name)}: {_code(title)} ({status})\n\n"
            parts = [fenced(given)] if given else []
            return head + "\n".join([*parts, *map(_result, results)])
        case Planned(entries):
            rows = "".join(f"- [{_BOXES[e.status]}] {_code(e.content)}\n" for e in entries)
            return f"### Plan\n\n{rows}"
        case Noted(text):
            return f"*{_code(text)}*\n"


def fenced(text: str, language: str = "") -> str:
    """Return the text in a fence that nothing in it can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def _code(text: str) -> str:
    """Return it as one line of code: nothing in it means anything."""
    line = " ".join(text.split()) or " "
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def _quote(text: str) -> str:
    # As code: somebody else's words must not become headings, or tags.
    return "".join(f"> {line}\n" for line in fenced(text, "text").splitlines())


def _closed(text: str) -> str:
    """Return Markdown that cannot reach beyond its end: tags are shown, fences are closed."""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if found and not fence:
            fence = found.group(1)
        elif found and found.group(1).startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        elif not fence:
            line = _CODE_OR_TAG.sub(lambda m: "&lt;" if m[0] == "<" else m[0], line)
        lines.append(line)
    return "\n".join([*lines, *([fence] if fence else [])])


def _result(content: ToolContent) -> str:
    match content:
        case Text(text):
            return fenced(text)
        case Image(_, mime_type):
            return f"*a picture, {_code(mime_type)}*\n"
        case _:
            return fenced(unified(content), "diff")
