"""The tool `apply_patch`: changes to several files at once, in the language gpt-oss learned."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
from pydantic import BaseModel

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import ToolKind
from acp_agent.tools.base import Prepared
from acp_agent.tools.draft import Draft
from acp_agent.tools.edit import prepare_edit
from acp_agent.tools.patch_apply import apply_hunks
from acp_agent.tools.patch_grammar import AddFile, DeleteFile, Operation, UpdateFile, parse
from acp_agent.tools.spec import tool_spec
from acp_agent.tools.text_file import TextFile
from acp_agent.tools.workspace import Workspace


class ApplyPatchArguments(BaseModel):
    """The patch, sentinels included."""

    patch: str


class ApplyPatch:
    """Works all files out before the first is written."""

    name = "apply_patch"
    kind: ToolKind = "edit"
    arguments = ApplyPatchArguments

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @property
    def spec(self) -> ToolSpec:
        return tool_spec(self.name, self.arguments)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = ApplyPatchArguments.model_validate(arguments)
        return await prepare_patch(self._workspace, asked.patch, asked.model_dump())


async def prepare_patch(
    workspace: Workspace, patch: str, raw_input: object, base: str = "."
) -> Prepared:
    """Return `patch` as a call; its paths begin at `base`. Raises ToolFailed."""
    draft = Draft(workspace)
    for operation in parse(patch):
        await _draft(draft, operation, base)
    return prepare_edit(draft, raw_input)


async def _draft(draft: Draft, operation: Operation, base: str) -> None:
    path = draft.workspace.resolve(str(Path(base, operation.path)))
    file = await draft.get(path)
    match operation:
        case AddFile():
            if file is not None:
                raise ToolFailed(
                    f"Add File error - file already exists: {operation.path}; use Update File"
                )
            await draft.put(path, TextFile(operation.text))
        case DeleteFile():
            if file is None:
                raise ToolFailed(f"Delete File error - missing file: {operation.path}")
            _refuse_link(draft.workspace, operation.path, base)
            await draft.put(path, None)
        case UpdateFile():
            if file is None:
                raise ToolFailed(f"Update File error - missing file: {operation.path}")
            await _draft_update(draft, operation, path, file, base)


async def _draft_update(
    draft: Draft, operation: UpdateFile, path: Path, file: TextFile, base: str
) -> None:
    new = await anyio.to_thread.run_sync(apply_hunks, file, operation.hunks, operation.path)
    target = draft.workspace.resolve(str(Path(base, operation.move_to or operation.path)))
    if target == path:
        await draft.put(path, new)
        return
    if await draft.get(target) is not None:
        raise ToolFailed(f"Move error - file already exists: {operation.move_to}")
    _refuse_link(draft.workspace, operation.path, base)
    await draft.move(path, target, new)


def _refuse_link(workspace: Workspace, path: str, base: str) -> None:
    """Refuse to remove a link's target in the place of the link."""
    if Path(workspace.cwd, base, path).is_symlink():
        raise ToolFailed(f"{path!r} is a symbolic link; use the shell to remove or rename it")
