"""The tool `write_file`: a new file, or a whole new text for one."""

from __future__ import annotations

from pydantic import BaseModel

from acp_agent.conversation import ToolSpec
from acp_agent.events import ToolKind
from acp_agent.tools.base import Prepared
from acp_agent.tools.draft import Draft
from acp_agent.tools.edit import prepare_edit
from acp_agent.tools.spec import tool_spec
from acp_agent.tools.text_file import TextFile
from acp_agent.tools.workspace import Workspace


class WriteFileArguments(BaseModel):
    """The whole text, as it will be."""

    path: str
    content: str


class WriteFile:
    """Keeps the byte order mark and the line ends of a file that it replaces."""

    name = "write_file"
    kind: ToolKind = "edit"
    arguments = WriteFileArguments

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @property
    def spec(self) -> ToolSpec:
        return tool_spec(self.name, self.arguments)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = WriteFileArguments.model_validate(arguments)
        path = self._workspace.resolve(asked.path)
        draft = Draft(self._workspace)
        old = await draft.get(path)
        await draft.put(path, old.replaced(asked.content) if old else TextFile(asked.content))
        return prepare_edit(draft, asked.model_dump())
