"""The tool `ui_pane`: what the panes of the client's window do, for clients that have some.

It goes to the client as the extension request `_openagents/ui_pane`, its arguments as they are. A
client says that it knows it by `"ui_pane": true` in the `_meta` of its capabilities.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Protocol, cast

from pydantic import BaseModel, BeforeValidator, Field

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, ToolKind
from acp_agent.plain import one_line, plain
from acp_agent.tools.base import Prepared, ToolResult
from acp_agent.tools.output import capped
from acp_agent.tools.spec import tool_spec

METHOD = "_openagents/ui_pane"

Action = Literal[
    "ListPanes",
    "CreatePane",
    "MovePane",
    "ResizePane",
    "SetPriority",
    "Focus",
    "SetState",
    "SetFrameStyle",
    "Animate",
    "SetGlow",
    "ClosePane",
    "RequestAttention",
]
# What each action cannot do without; `color` may be left out to take a glow away.
NEEDS: dict[str, tuple[str, ...]] = {
    "ListPanes": (),
    "CreatePane": ("id", "title"),
    "MovePane": ("id", "position"),
    "ResizePane": ("id", "size"),
    "SetPriority": ("id", "priority"),
    "Focus": ("id",),
    "SetState": ("id", "state"),
    "SetFrameStyle": ("id", "style"),
    "Animate": ("id", "animation"),
    "SetGlow": ("id",),
    "ClosePane": ("id",),
    "RequestAttention": ("id",),
}
_ACTIONS = {action.lower(): action for action in NEEDS}


def _action(value: object) -> object:
    """Accept `move_pane` and the like."""
    bare = str(value).replace("_", "").replace("-", "").replace(" ", "").lower()
    return _ACTIONS.get(bare, value)


Pixels = Annotated[float, Field(allow_inf_nan=False)]


class Position(BaseModel):
    """In pixels, from the top left."""

    x: Pixels
    y: Pixels


class Size(BaseModel):
    """In pixels."""

    width: Annotated[Pixels, Field(gt=0)]
    height: Annotated[Pixels, Field(gt=0)]


class UiPaneArguments(BaseModel):
    """One action; which of the rest it needs stands in `NEEDS`."""

    action: Annotated[Action, BeforeValidator(_action)]
    id: str | None = None
    title: str | None = None
    position: Position | None = None
    size: Size | None = None
    priority: Literal["Background", "Normal", "Elevated", "Urgent", "Critical"] | None = None
    state: (
        Literal["Open", "Minimized", "Closed", "SlideIn", "SlideOut", "FadeIn", "FadeOut"] | None
    ) = None
    style: Literal["Corners", "Lines", "Octagon", "Underline", "Nefrex", "Kranox"] | None = None
    animation: (
        Annotated[
            dict[str, Any], Field(description='such as {"Pulse": {"count": 3, "duration_ms": 500}}')
        ]
        | None
    ) = None
    animate: bool | None = None
    color: Annotated[str, Field(description="#rrggbb")] | None = None
    message: str | None = None
    content_type: str | None = None


class Panes(Protocol):
    """What is needed of an editor."""

    async def extension(self, method: str, params: dict[str, Any]) -> Any:
        """Ask for something that is no part of ACP. Raises ToolFailed."""
        ...


class UiPane:
    """The panes of one client; offer it only where there are some (`Editor.has_panes`)."""

    name = "ui_pane"
    kind: ToolKind = "other"
    arguments = UiPaneArguments

    def __init__(self, panes: Panes) -> None:
        self._panes = panes

    @property
    def spec(self) -> ToolSpec:
        return tool_spec(self.name, self.arguments)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = UiPaneArguments.model_validate(arguments)
        params = asked.model_dump(exclude_none=True)
        missing = [name for name in NEEDS[asked.action] if name not in params]
        if missing:
            named = " and ".join(map(repr, missing))
            raise ToolFailed(f"wrong arguments for ui_pane: {asked.action} needs {named}")

        async def run(emit: Emit) -> ToolResult:
            return _result(asked.action, await self._panes.extension(METHOD, params))

        pane = f" {one_line(asked.id, 60)}" if asked.id else ""
        return Prepared(f"{asked.action}{pane}", self.kind, run, params)


def _result(action: str, answer: object) -> ToolResult:
    """Read `{"success", "output", "error"}`; of another client take whatever it says."""
    fields = cast("dict[str, object]", answer) if isinstance(answer, dict) else {}
    if fields.get("success") is False or fields.get("error"):
        error = fields.get("error") or fields.get("output") or "the editor gave no reason"
        raise ToolFailed(f"{action} failed: {one_line(str(error), 500)}")
    is_ours = "output" in fields or "success" in fields
    output: object = fields.get("output") if is_ours else cast("object", answer)
    if output is None or output in ({}, ""):
        return ToolResult(f"{action} done")
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, indent=1)
    return ToolResult(capped(plain(text)))
