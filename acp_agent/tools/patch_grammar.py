"""The `*** Begin Patch` language that gpt-oss learned: text to operations, no file in sight.

Reference: apply_patch.py in openai/gpt-oss. Beyond it: several `@@` lines narrow a place down step
by step, unified-diff positions are ignored, and text around the patch (a fence, a heredoc) too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from acp_agent.errors import ToolFailed

BEGIN = "*** Begin Patch"
END = "*** End Patch"
_END_OF_FILE = "*** End of File"
_MOVE = "*** Move to:"
_ADD, _DELETE, _UPDATE = "*** Add File:", "*** Delete File:", "*** Update File:"
_POSITION = re.compile(r"-\d+(,\d+)? \+\d+(,\d+)? @@ ?")


class HunkLine(NamedTuple):
    """One line of a hunk: kept (' '), removed ('-') or added ('+')."""

    op: Literal[" ", "-", "+"]
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """A place (below `headers`, or where the kept and removed lines are) and what changes there."""

    headers: tuple[str, ...]
    lines: tuple[HunkLine, ...]
    at_end: bool = False

    @property
    def old(self) -> list[str]:
        return [line.text for line in self.lines if line.op != "+"]


@dataclass(frozen=True, slots=True)
class AddFile:
    """A new file with its text."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """A file to remove."""

    path: str


@dataclass(frozen=True, slots=True)
class UpdateFile:
    """A file to change, and to rename when `move_to` is given."""

    path: str
    hunks: tuple[Hunk, ...]
    move_to: str | None = None


Operation = AddFile | DeleteFile | UpdateFile


def parse(patch: str) -> tuple[Operation, ...]:
    """Return the operations of `patch` in their order. Raises ToolFailed for anything else."""
    sections: list[tuple[str, str, list[str]]] = []
    for line in _between_sentinels(patch):
        mark = next((m for m in (_ADD, _DELETE, _UPDATE) if line.startswith(m)), None)
        if mark is not None:
            sections.append((mark, _path(line, mark), []))
        elif sections:
            sections[-1][2].append(line)
        elif line.strip():
            raise _invalid_line(line)
    if not sections:
        raise ToolFailed("the patch is empty: it names no file")
    return tuple(_operation(*section) for section in sections)


def _between_sentinels(patch: str) -> list[str]:
    lines = [line.removesuffix("\r") for line in patch.split("\n")]
    starts = [n for n, line in enumerate(lines) if line.strip() == BEGIN]
    if not starts:
        raise ToolFailed(f"patch text must start with {BEGIN!r}")
    # Only an unindented sentinel ends the patch: " *** End Patch" is a kept line.
    ends = [n for n, line in enumerate(lines) if line.rstrip() == END and n > starts[0]]
    if not ends:
        raise ToolFailed(f"missing {END!r} sentinel at the end of the patch")
    inner = lines[starts[0] + 1 : ends[-1]]
    return [line for line in inner if line.rstrip() not in (BEGIN, END)]


def _operation(mark: str, path: str, body: list[str]) -> Operation:
    if mark == _ADD:
        return AddFile(path, _added_text(body))
    if mark == _DELETE:
        if any(line.strip() for line in body):
            raise ToolFailed(f"invalid line below Delete File: {body[0][:200]!r}")
        return DeleteFile(path)
    target = None
    if body and body[0].startswith(_MOVE):
        target = _path(body.pop(0), _MOVE)
    hunks = _hunks(body)
    if not hunks and target is None:
        raise ToolFailed(f"nothing in the section of {path!r}: it has no change")
    return UpdateFile(path, hunks, target)


def _path(line: str, mark: str) -> str:
    path = line.removeprefix(mark).strip()
    if not path:
        raise ToolFailed(f"{mark!r} needs a path")
    return path


def _added_text(body: list[str]) -> str:
    text: list[str] = []
    for line in _without_blank_end(body):
        if line.strip() == _END_OF_FILE:
            continue
        # A blank line that lost its '+' can only mean a blank line.
        if line.strip() and not line.startswith("+"):
            raise ToolFailed(f"invalid Add File line (missing '+'): {line[:200]!r}")
        text.append(line[1:])
    return "".join(f"{line}\n" for line in text)


def _hunks(body: list[str]) -> tuple[Hunk, ...]:
    hunks: list[Hunk] = []
    headers: list[str] = []
    lines: list[str] = []

    def close(*, at_end: bool = False) -> None:
        if kept := _without_blank_end(lines):
            hunks.append(Hunk(tuple(headers), tuple(map(_hunk_line, kept)), at_end))
            headers.clear()
        lines.clear()

    for line in body:
        if line.rstrip() == _END_OF_FILE:
            close(at_end=True)
        elif line.startswith("@@"):
            close()
            headers += _header(line)
        else:
            lines.append(line)
    close()
    if headers:
        raise ToolFailed(f"nothing in the section below '@@ {headers[-1]}'")
    return tuple(hunks)


def _header(line: str) -> list[str]:
    text = _POSITION.sub("", line.removeprefix("@@").removeprefix(" "))
    return [text] if text.strip() else []


def _hunk_line(line: str) -> HunkLine:
    if not line:
        return HunkLine(" ", "")
    match line[0]:
        case " " | "-" | "+" as op:
            return HunkLine(op, line[1:])
        case _:
            raise _invalid_line(line)


def _without_blank_end(lines: list[str]) -> list[str]:
    """Drop bare blank lines before the next section: they separate, and quote nothing."""
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    return lines[:end]


def _invalid_line(line: str) -> ToolFailed:
    return ToolFailed(
        f"invalid line: {line[:200]!r}; a file starts with '*** Update File: ', '*** Add File: ' or"
        " '*** Delete File: ', a line in it with ' ', '-' or '+'"
    )
