"""The tool `search_files`: lines that fit a regular expression, by ripgrep or by our own search."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import anyio
from pydantic import BaseModel

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, ToolKind
from acp_agent.plain import named
from acp_agent.tools.base import Prepared, ToolResult
from acp_agent.tools.glob import Glob, compile_glob
from acp_agent.tools.search import Match, Query, Search
from acp_agent.tools.spec import tool_spec
from acp_agent.tools.workspace import Workspace

MAX_MATCHES = 100
MAX_LINE = 240
MAX_PATTERN = 2_000
MAX_SECONDS = 20.0


class SearchFilesArguments(BaseModel):
    """Without a path: the session's directory."""

    pattern: str
    path: str = "."
    glob: str | None = None


class SearchFiles:
    """Finds the same with and without ripgrep (`ripgrep` is its command, None to do without)."""

    name = "search_files"
    kind: ToolKind = "search"
    arguments = SearchFilesArguments

    def __init__(
        self, workspace: Workspace, ripgrep: str | None = "rg", time_limit: float = MAX_SECONDS
    ) -> None:
        self._workspace = workspace
        self._time_limit = time_limit
        self._search = Search(ripgrep)

    @property
    def spec(self) -> ToolSpec:
        return tool_spec(self.name, self.arguments)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = SearchFilesArguments.model_validate(arguments)
        if not asked.pattern:
            raise ToolFailed("the pattern is empty; use list_files to see all files")
        if len(asked.pattern) > MAX_PATTERN:
            raise ToolFailed(f"the pattern is longer than {MAX_PATTERN} characters")
        path = self._workspace.resolve(asked.path)
        name = self._workspace.show(path)
        if not path.exists():
            raise ToolFailed(f"there is no file or directory {name!r}")
        glob = compile_glob(asked.glob) if asked.glob else None
        pattern, note = _valid(asked.pattern)
        query = Query(pattern, path, self._workspace.root_of(path))

        async def run(emit: Emit) -> ToolResult:
            text = "\n".join([*await self._lines(query, glob), *note])
            return ToolResult(text, raw_output=text)

        where = "" if name == "." else f" in {name}"
        title = f"Search {asked.pattern!r}{where}{f' ({asked.glob})' if asked.glob else ''}"
        return Prepared(title, self.kind, run, asked.model_dump(exclude_none=True))

    async def _lines(self, query: Query, glob: Glob | None) -> list[str]:
        found: list[str] = []
        with anyio.move_on_after(self._time_limit) as limit:
            async with self._search.matches(query) as matches:
                async for match in matches:
                    if glob is None or glob.fits(*self._spellings(match.path, query.path)):
                        found.append(self._line(match))
                    if len(found) > MAX_MATCHES:
                        break
        if limit.cancelled_caught:
            return [
                *found,
                f"[stopped after {self._time_limit:g} s; search in a smaller directory]",
            ]
        if len(found) > MAX_MATCHES:
            return [*found[:MAX_MATCHES], f"[only the first {MAX_MATCHES} matches; narrow it down]"]
        return found or ["[no match]"]

    def _spellings(self, path: str, below: Path) -> tuple[str, str]:
        """Globs may be meant from the session's directory or from the one searched."""
        file = Path(path)
        inner = str(file.relative_to(below)) if file != below else file.name
        return self._workspace.show(file), inner

    def _line(self, match: Match) -> str:
        text = match.text if len(match.text) <= MAX_LINE else f"{match.text[:MAX_LINE]}…"
        return f"{named(self._workspace.show(Path(match.path)))}:{match.line}: {text}"


def _valid(pattern: str) -> tuple[str, list[str]]:
    """Return a pattern that compiles, and a note if it is not the one that was asked for."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        note = f"[{pattern[:200]!r} is no regular expression ({error}); searched as plain text]"
        return re.escape(pattern), [note]
    return pattern, []
