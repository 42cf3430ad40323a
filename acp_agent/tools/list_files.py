"""The tool `list_files`: what lies below a directory, as deep as a page has room for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
from pydantic import BaseModel

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, ToolKind
from acp_agent.plain import named
from acp_agent.tools.base import Prepared, ToolResult
from acp_agent.tools.spec import tool_spec
from acp_agent.tools.text_file import text_of
from acp_agent.tools.workspace import Workspace

MAX_ENTRIES = 300
MAX_DEPTH = 8
MAX_SECONDS = 5.0


class ListFilesArguments(BaseModel):
    """Without a path: the session's directory."""

    path: str = "."


class ListFiles:
    """Shallow entries first; a directory that does not fit is named with a note."""

    name = "list_files"
    kind: ToolKind = "read"
    arguments = ListFilesArguments

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @property
    def spec(self) -> ToolSpec:
        return tool_spec(self.name, self.arguments)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = ListFilesArguments.model_validate(arguments)
        path = self._workspace.resolve(asked.path)
        name = self._workspace.show(path)
        if not path.exists():
            raise ToolFailed(f"there is no directory {name!r}")
        if not path.is_dir():
            raise ToolFailed(f"{name!r} is a file; use read_file")

        async def run(emit: Emit) -> ToolResult:
            prefix = "" if name == "." else f"{name}/"
            top = self._workspace.root_of(path)
            text = await anyio.to_thread.run_sync(
                lambda: listing(path, top, prefix), abandon_on_cancel=True
            )
            return ToolResult(text, raw_output=text)

        return Prepared(f"List {name}", self.kind, run, asked.model_dump())


def listing(path: Path, top: Path, prefix: str, clock: Callable[[], float] = time.monotonic) -> str:
    """Return the entries below `path`, a line each, every one with `prefix` before it."""
    from acp_agent.tools.ignore import Folder, open_folder, rules_above  # pathspec, 20 ms

    until = clock() + MAX_SECONDS
    lines: dict[str, str] = {}
    waiting: deque[tuple[str, Folder, int]] = deque()
    waiting.append((prefix, open_folder(str(path), rules_above(path, top)), 1))
    closed = 0
    while waiting:
        where, folder, depth = waiting.popleft()
        entries = folder.entries
        fits = len(lines) + len(entries) <= MAX_ENTRIES
        if where != prefix and entries and (not fits or depth > MAX_DEPTH or clock() > until):
            lines[where] = f"{where} ({len(entries)} entries)"
            closed += 1
            continue
        for name, is_directory in entries[:MAX_ENTRIES]:
            shown = f"{where}{named(text_of(name))}{'/' if is_directory else ''}"
            lines[shown] = shown
            if is_directory:
                child = open_folder(f"{folder.path}/{name}", folder.rules)
                waiting.append((shown, child, depth + 1))
        if len(entries) > MAX_ENTRIES:
            lines["\U0010ffff"] = f"[{len(entries) - MAX_ENTRIES} more entries; use the shell]"
    notes = [f"[{closed} directories are not opened here; list them by their path]"] * (closed > 0)
    return "\n".join([*(lines[key] for key in sorted(lines)), *notes]) or "[the directory is empty]"
