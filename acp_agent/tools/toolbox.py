"""The tools on offer to one session: found by the name that the model wrote, arguments checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import ToolKind
from acp_agent.ports import Editor
from acp_agent.sandbox.commands import CommandSandbox
from acp_agent.tools.apply_patch import ApplyPatch
from acp_agent.tools.base import Prepared, Tool, Toolbox
from acp_agent.tools.call_arguments import parse_arguments
from acp_agent.tools.list_files import ListFiles
from acp_agent.tools.names import resolve
from acp_agent.tools.raw_body import RawBody
from acp_agent.tools.read_file import ReadFile
from acp_agent.tools.search_files import SearchFiles
from acp_agent.tools.shell import Shell
from acp_agent.tools.spec import tool_spec
from acp_agent.tools.update_plan import UpdatePlan
from acp_agent.tools.workspace import Workspace
from acp_agent.tools.write_file import WriteFile

_KINDS = (ReadFile, ListFiles, SearchFiles, ApplyPatch, WriteFile, Shell, UpdatePlan)


class Tools:
    """A `Toolbox` of `Tool`s; their order is the order in the model's prompt."""

    def __init__(
        self, tools: Sequence[Tool], closers: Sequence[Callable[[], Awaitable[None]]] = ()
    ) -> None:
        """Take the tools, and how to let go of what they hold."""
        self._closers = closers
        self._tools = {tool.spec.name: tool for tool in tools}
        self._specs = tuple(tool.spec for tool in tools)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return self._specs

    def announce(self, recipient: str) -> tuple[str, ToolKind]:
        """Return name and kind of the tool that `recipient` means, as far as they are known."""
        try:
            name = resolve(recipient, self._tools)
        except ToolFailed:
            return recipient.removeprefix("functions."), "other"
        return name, self._tools[name].kind

    async def prepare(self, call_id: str, recipient: str, arguments: str) -> Prepared:
        """Resolve the recipient, check the arguments, prepare the call. Raises ToolFailed."""
        name = resolve(recipient, self._tools)
        tool = self._tools[name]
        if issubclass(tool.arguments, RawBody):
            return await tool.prepare(call_id, tool.arguments(body=arguments))
        return await tool.prepare(call_id, parse_arguments(name, tool.arguments, arguments))

    async def ready(self) -> None:
        """There is nothing to wait for: these tools are there since they were made."""

    async def close(self) -> None:
        """Let go of what the tools hold."""
        for close in self._closers:
            await close()


def make_tools(
    workspace: Workspace,
    editor: Editor | None,
    *,
    command_timeout: float,
    commands: CommandSandbox | None = None,
    more: Sequence[Tool] = (),
    closers: Sequence[Callable[[], Awaitable[None]]] = (),
) -> Toolbox:
    """Return the tools of every session, and `more`.

    Commands may run `command_timeout` seconds, in the sandbox `commands`.
    """
    shell = Shell(workspace, editor, timeout=command_timeout, sandbox=commands)
    return Tools(
        (
            ReadFile(workspace),
            ListFiles(workspace),
            SearchFiles(workspace),
            ApplyPatch(workspace),
            WriteFile(workspace),
            shell,
            UpdatePlan(),
            *more,
        ),
        (*closers, *((commands.close,) if commands else ())),
    )


def tool_specs() -> tuple[ToolSpec, ...]:
    """Return what the model is told of every tool; needs no session."""
    return tuple(tool_spec(kind.name, kind.arguments) for kind in _KINDS)


def tool_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each tool's arguments, by tool name."""
    return {spec.name: dict(spec.parameters) for spec in tool_specs()}
