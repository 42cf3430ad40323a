"""A drafted change as a call: what the user is shown and asked, and what the model is told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from acp_agent.events import Diff, Emit, Location, Text, ToolContent, ToolKind
from acp_agent.tools.base import Permission, Prepared, ToolResult
from acp_agent.tools.commit import commit
from acp_agent.tools.draft import Change, Draft
from acp_agent.tools.workspace import Workspace

# Diffs travel in one frame, beside the arguments; clients give up at 32 MiB.
SHOWN_LIMIT = 6_000_000


def prepare_edit(draft: Draft, raw_input: object) -> Prepared:
    """Return the drafted change as a call: its diffs, its places, the permission that it needs."""
    workspace, changes, moves = draft.workspace, draft.changes, dict(draft.moves)
    told = _told(workspace, changes, moves)

    async def run(emit: Emit) -> ToolResult:
        await commit(workspace, changes)
        text = "\n".join(["Done!", *told]) if told else "Done! Nothing had to be changed."
        return ToolResult(text, raw_output={"changed": told})

    roots = sorted({str(workspace.root_of(change.path)) for change in changes})
    return Prepared(
        title=_title(workspace, changes, moves),
        kind=_kind(changes, moves),
        run=run,
        raw_input=raw_input,
        content=_diffs(changes, moves),
        locations=tuple(Location(str(c.path), _first_line(c)) for c in changes if c.new),
        permission=Permission("edit", os.pathsep.join(roots)) if changes else None,
    )


def _told(workspace: Workspace, changes: Sequence[Change], moves: dict[Path, Path]) -> list[str]:
    """Say per file what became of it, in the letters of git."""
    lines: list[str] = []
    for change in changes:
        name = workspace.show(change.path)
        if change.path in moves and change.new is not None:
            lines.append(f"R {workspace.show(moves[change.path])} -> {name}")
        elif change.new is not None or change.path not in moves.values():
            letter = "A" if change.old is None else "D" if change.new is None else "M"
            lines.append(f"{letter} {name}")
    return lines


def _title(workspace: Workspace, changes: Sequence[Change], moves: dict[Path, Path]) -> str:
    kind = _kind(changes, moves)
    names = [workspace.show(c.path) for c in changes if kind == "delete" or c.new is not None]
    if kind == "move" and len(names) == 1:
        return f"Move {workspace.show(next(iter(moves.values())))} to {names[0]}"
    verb = {"delete": "Delete", "move": "Move"}.get(kind, "Edit")
    if changes and all(change.old is None for change in changes):
        verb = "Create"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{verb} {', '.join(names[:3])}{more}" if names else "Edit nothing"


def _kind(changes: Sequence[Change], moves: dict[Path, Path]) -> ToolKind:
    if changes and all(change.new is None for change in changes):
        return "delete"
    olds = {change.path: change.old for change in changes}
    sources = set(moves.values())
    if moves and all(
        change.path in sources
        if change.new is None
        else change.path in moves and olds.get(moves[change.path]) == change.new
        for change in changes
    ):
        return "move"
    return "edit"


def _diffs(changes: Sequence[Change], moves: dict[Path, Path]) -> tuple[ToolContent, ...]:
    olds = {change.path: change.old for change in changes}
    diffs: list[ToolContent] = []
    room = SHOWN_LIMIT
    for change in changes:
        old = olds.get(moves[change.path]) if change.path in moves else change.old
        if change.new is None and change.path in moves.values():
            continue
        before, after = old.text if old else None, change.new.text if change.new else ""
        room -= len(before or "") + len(after)
        fits = room >= 0
        diffs.append(
            Diff(str(change.path), before, after)
            if fits
            else Text(f"The change of {change.path} is too long to be shown.")
        )
    return tuple(diffs)


def _first_line(change: Change) -> int:
    """Return the 1-based line where the new text begins to differ from the old."""
    new = change.new.lines if change.new else []
    old = change.old.lines if change.old else []
    same = 0
    while same < min(len(new), len(old)) and new[same] == old[same]:
        same += 1
    return max(1, min(same + 1, len(new)))
