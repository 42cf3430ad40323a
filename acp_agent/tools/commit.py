"""A drafted change, made: all files or none; what was written before a failure is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio

from acp_agent.errors import ToolFailed
from acp_agent.tools.draft import Change, present
from acp_agent.tools.text_file import TextFile
from acp_agent.tools.workspace import Workspace


async def commit(workspace: Workspace, changes: Sequence[Change]) -> None:
    """Make `changes`, in their order.

    Raises:
        ToolFailed: A file is no longer as it was drafted from, or could not be written.

    """
    for change in changes:
        if await present(workspace, change.path) != change.old:
            raise ToolFailed(
                f"{workspace.show(change.path)!r} was changed by someone else meanwhile;"
                " nothing was written, read it again"
            )
    begun: list[Change] = []
    try:
        for change in changes:
            begun.append(change)
            await _store(workspace, change.path, change.new)
    except BaseException as error:
        lost = [workspace.show(change.path) for change in begun]
        with anyio.move_on_after(5, shield=True):
            lost = await _take_back(workspace, begun)
        if lost and isinstance(error, ToolFailed):
            raise ToolFailed(f"{error}; half written and not restored: {', '.join(lost)}") from None
        raise


async def _take_back(workspace: Workspace, begun: list[Change]) -> list[str]:
    """Restore what was there; return the files for which that failed too."""
    lost: list[str] = []
    for change in reversed(begun):
        try:
            if await present(workspace, change.path) != change.old:
                await _store(workspace, change.path, change.old)
        except ToolFailed:
            lost.append(workspace.show(change.path))
    return lost


async def _store(workspace: Workspace, path: Path, file: TextFile | None) -> None:
    if file is None:
        await workspace.delete(path)
    else:
        await workspace.write(path, file)
