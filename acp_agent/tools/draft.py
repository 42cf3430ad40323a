"""A change of files, worked out in full and not made: each file as it is, and as it will be."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from acp_agent.errors import ToolFailed
from acp_agent.tools.text_file import TextFile
from acp_agent.tools.workspace import EDIT_LIMIT, Workspace


@dataclass(frozen=True, slots=True)
class Change:
    """One file before and after; None stands for a file that is not there."""

    path: Path
    old: TextFile | None
    new: TextFile | None


@dataclass(slots=True)
class Draft:
    """Files as they will be; what was not touched is looked up in the workspace."""

    workspace: Workspace
    before: dict[Path, TextFile | None] = field(default_factory=dict[Path, TextFile | None])
    after: dict[Path, TextFile | None] = field(default_factory=dict[Path, TextFile | None])
    moves: dict[Path, Path] = field(default_factory=dict[Path, Path])

    async def get(self, path: Path) -> TextFile | None:
        """Return the file as drafted so far. Raises ToolFailed."""
        if path not in self.after:
            self.before[path] = self.after[path] = await present(self.workspace, path)
        return self.after[path]

    async def put(self, path: Path, file: TextFile | None) -> None:
        """Draft the new state of a resolved `path`. Raises ToolFailed."""
        inside = path.relative_to(self.workspace.root_of(path))
        if ".git" in [part.lower() for part in inside.parts]:
            # Hooks and settings in there are run by git, unasked.
            raise ToolFailed(f"{self.workspace.show(path)!r} belongs to git; use git commands")
        await self.get(path)
        self.after[path] = file
        if file is None:
            self.moves.pop(path, None)

    async def move(self, source: Path, target: Path, file: TextFile) -> None:
        """Draft that `source` becomes `target`, with the text of `file`. Raises ToolFailed."""
        origin = self.moves.get(source, source)
        await self.put(source, None)
        await self.put(target, file)
        self.moves[target] = origin

    @property
    def changes(self) -> tuple[Change, ...]:
        """What differs; files that come or change first, so that a move never loses a file."""
        pairs = ((path, self.before[path], new) for path, new in self.after.items())
        changed = [Change(path, old, new) for path, old, new in pairs if old != new]
        return tuple(sorted(changed, key=lambda change: change.new is None))


async def present(workspace: Workspace, path: Path) -> TextFile | None:
    """Return a file as it is now; None if there is none. Raises ToolFailed."""
    try:
        return await workspace.read(path, EDIT_LIMIT)
    except FileNotFoundError:
        return None
