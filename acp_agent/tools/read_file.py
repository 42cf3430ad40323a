"""The tool `read_file`: a text file, or some of its lines.

Lines come without numbers: what the model reads is then, byte for byte, what a patch must quote,
and a number before each line would cost a fifth more tokens. Numbers come from search_files and
from the note at the end of a part.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, Location, ToolKind
from acp_agent.tools.base import Prepared, ToolResult
from acp_agent.tools.spec import tool_spec
from acp_agent.tools.workspace import Workspace

MAX_LINES = 600
MAX_CHARACTERS = 24_000
MAX_LINE = 2_000

Line = Annotated[int, Field(ge=1)]


class ReadFileArguments(BaseModel):
    """Lines are 1-based and inclusive."""

    path: str
    start_line: Line | None = None
    end_line: Line | None = None


class ReadFile:
    """Reads through the editor, so that unsaved changes are seen."""

    name = "read_file"
    kind: ToolKind = "read"
    arguments = ReadFileArguments

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @property
    def spec(self) -> ToolSpec:
        return tool_spec(self.name, self.arguments)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = ReadFileArguments.model_validate(arguments)
        first = asked.start_line or 1
        if asked.end_line is not None and asked.end_line < first:
            raise ToolFailed(f"end_line {asked.end_line} lies before start_line {first}")
        path = self._workspace.resolve(asked.path)
        name = self._workspace.show(path)

        async def run(emit: Emit) -> ToolResult:
            try:
                file = await self._workspace.read(path)
            except FileNotFoundError:
                raise ToolFailed(f"there is no file {name!r}; use list_files") from None
            text = excerpt(file.lines, first, asked.end_line)
            return ToolResult(text, raw_output=text)

        return Prepared(
            title=f"Read {name}{_range(asked)}",
            kind=self.kind,
            run=run,
            raw_input=asked.model_dump(exclude_none=True),
            locations=(Location(str(path), asked.start_line),),
        )


def excerpt(lines: list[str], first: int, last: int | None) -> str:
    """Return the lines asked for, as many as fit, and a note where that is not the whole file."""
    total = len(lines)
    if total == 0:
        return "[the file is empty]"
    if first > total:
        raise ToolFailed(f"the file has {total} lines; start_line {first} lies behind its end")
    shown: list[str] = []
    room = MAX_CHARACTERS
    for line in lines[first - 1 : min(last or total, first - 1 + MAX_LINES)]:
        room -= min(len(line), MAX_LINE) + 1
        if room < 0:
            break
        shown.append(_cut(line))
    end = first - 1 + len(shown)
    text = "\n".join(shown)
    if first == 1 and end == total:
        return text
    wanted = min(last or total, total)
    more = f"; read on with start_line {end + 1}" if end < wanted else ""
    return f"{text}\n[lines {first}-{end} of {total}{more}]"


def _cut(line: str) -> str:
    if len(line) <= MAX_LINE:
        return line
    return f"{line[:MAX_LINE]}[… {len(line) - MAX_LINE} more characters in this line]"


def _range(asked: ReadFileArguments) -> str:
    if asked.start_line is None and asked.end_line is None:
        return ""
    return f" ({asked.start_line or 1}-{asked.end_line or 'end'})"
