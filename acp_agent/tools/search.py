"""Two searches with one answer: ripgrep where it works, else our own worker process.

Both leave out what git ignores and everything binary, and give matches in the order of paths.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import Process

from acp_agent.errors import ToolFailed
from acp_agent.sandbox.process import process_group

_RIPGREP = (
    *("--json", "--no-config", "--no-messages", "--hidden", "--crlf", "--sort", "path"),
    *("--max-filesize", "5M", "--no-ignore-global", "--no-ignore-dot", "--no-ignore-exclude"),
    *("--glob", "!.git"),
)


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for, below which absolute path, and the workspace directory that holds it."""

    pattern: str
    path: Path
    top: Path


@dataclass(frozen=True, slots=True)
class Match:
    """One line that fits; `path` is absolute, `line` 1-based."""

    path: str
    line: int
    text: str


class Search:
    """`ripgrep` is its command; None to do without."""

    def __init__(self, ripgrep: str | None = "rg") -> None:
        self._ripgrep = ripgrep

    @asynccontextmanager
    async def matches(self, query: Query) -> AsyncGenerator[AsyncIterator[Match]]:
        """Search; leaving the block ends the search. Raises ToolFailed."""
        command = await self._by_ripgrep(query) or _by_worker(query)
        async with process_group(command, cwd=str(query.top)) as process:
            async with aclosing(_read(process)) as found:
                yield found

    async def _by_ripgrep(self, query: Query) -> list[str] | None:
        """Return ripgrep's command; None where it is missing, old, or refuses the pattern."""
        flags = await anyio.to_thread.run_sync(_flags, query) if self._ripgrep else None
        if self._ripgrep is None or flags is None:
            return None
        command = [self._ripgrep, *_RIPGREP, *flags, "--regexp", query.pattern, "--"]
        try:
            tried = await anyio.run_process([*command, os.devnull], check=False)
        except (FileNotFoundError, PermissionError):
            self._ripgrep = None
            return None
        except (OSError, ValueError):  # A pattern that no command can be given.
            return None
        return [*command, str(query.path)] if tried.returncode in (0, 1) else None


def _by_worker(query: Query) -> list[str]:
    """Return the command of our own search. `-P` keeps the workspace's modules out of it."""
    module = "acp_agent.tools.search_worker"
    return [sys.executable, "-P", "-m", module, query.pattern, str(query.path), str(query.top)]


def _flags(query: Query) -> list[str] | None:
    """Return how to make ripgrep apply the same rules as we do; None where it cannot."""
    from acp_agent.tools.ignore import is_ignored, repository  # pathspec, 20 ms

    in_repository = repository(query.path) is not None
    if is_ignored(query.path, query.top) or (query.path == query.top and not in_repository):
        return ["--no-ignore-parent", "--no-require-git"]
    return [] if in_repository else None


async def _read(process: Process) -> AsyncGenerator[Match]:
    """Yield the matches that are printed in the words of `rg --json`. Raises ToolFailed."""
    held: list[Match] = []  # A file's matches wait for its end, which tells whether it is binary.
    found, said = False, ""
    async for line in _lines(process):
        kind, data = _record(line)
        if kind == "match":
            held.append(_match(data))
        elif kind == "end":
            if data.get("binary_offset") is None:
                for match in held:
                    found = True
                    yield match
            held.clear()
        elif kind == "":
            said = line.decode("utf-8", errors="replace").strip() or said
    if said and not found:
        raise ToolFailed(f"the search failed: {said[:300]}")


async def _lines(process: Process) -> AsyncGenerator[bytes]:
    assert process.stdout is not None  # process_group pipes it
    rest = b""
    async for chunk in process.stdout:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest


def _record(line: bytes) -> tuple[str, dict[str, Any]]:
    """Return the kind and the data of a record; kind "" for what is none."""
    try:
        record = json.loads(line)
        return record["type"], record["data"]
    except (ValueError, TypeError, KeyError):
        return "", {}


def _match(data: dict[str, Any]) -> Match:
    text = _text(data["lines"]).removesuffix("\n").removesuffix("\r")
    return Match(_text(data["path"]), data["line_number"], text)


def _text(value: dict[str, str]) -> str:
    """Return what ripgrep gives as text, or in base64 where it is not UTF-8."""
    if "text" in value:
        return value["text"]
    return base64.b64decode(value["bytes"]).decode("utf-8", errors="replace")
