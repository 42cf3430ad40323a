"""Fixed and changing tools as one toolbox."""

from __future__ import annotations

import pytest

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, ToolKind
from acp_agent.tools.base import Prepared, ToolResult
from acp_agent.tools.combined import Combined

pytestmark = pytest.mark.anyio


class Box:
    """A toolbox that answers with its own name; it claims every name that it has, or `all`."""

    def __init__(self, name: str, *tools: str, claims_all: bool = False) -> None:
        self.name = name
        self.did: list[str] = []
        self.specs = tuple(ToolSpec(tool, "", {}) for tool in tools)
        self._claims_all = claims_all

    def knows(self, recipient: str) -> bool:
        return self._claims_all or recipient in [spec.name for spec in self.specs]

    def announce(self, recipient: str) -> tuple[str, ToolKind]:
        return f"{self.name}.{recipient}", "other"

    async def prepare(self, call_id: str, recipient: str, arguments: str) -> Prepared:
        if not self.knows(recipient):
            raise ToolFailed(f"unknown tool {recipient!r}; tools on offer: functions.shell")

        async def run(emit: Emit) -> ToolResult:
            return ToolResult("")

        return Prepared(f"{self.name} {recipient}", "other", run, arguments)

    async def ready(self) -> None:
        self.did.append("ready")

    async def close(self) -> None:
        self.did.append("close")
        if self.name == "fixed":
            raise ToolFailed("the fixed tools do not close")


async def title(box: Combined, recipient: str) -> str:
    return (await box.prepare("c", recipient, "{}")).title


async def test_a_server_cannot_take_the_place_of_a_fixed_tool() -> None:
    fixed, dynamic = Box("fixed", "shell"), Box("dynamic", "s__shell", claims_all=True)
    both = Combined(fixed, dynamic)
    assert await title(both, "s__shell") == "dynamic s__shell"
    assert await title(both, "shell") == "fixed shell"
    assert both.announce("functions.bash") == ("fixed.functions.bash", "other")


async def test_specs_are_the_same_object_until_something_changes() -> None:
    fixed, dynamic = Box("fixed", "shell"), Box("dynamic", "s__a")
    both = Combined(fixed, dynamic)
    before = both.specs
    assert [spec.name for spec in before] == ["shell", "s__a"]
    assert both.specs is before
    dynamic.specs = (*dynamic.specs, ToolSpec("s__b", "", {}))
    assert [spec.name for spec in both.specs] == ["shell", "s__a", "s__b"]


async def test_an_unknown_tool_is_told_with_all_on_offer() -> None:
    dynamic = Box("dynamic", "s__a")
    dynamic.specs = (*dynamic.specs, ToolSpec("s__b", "", {}, deferred=True))
    with pytest.raises(ToolFailed) as failure:
        await title(Combined(Box("fixed", "shell"), dynamic), "nothing")
    assert str(failure.value) == (
        "unknown tool 'nothing'; tools on offer: functions.shell, functions.s__a"
    )


async def test_both_are_readied_and_closed_whatever_becomes_of_the_first() -> None:
    fixed, dynamic = Box("fixed"), Box("dynamic")
    both = Combined(fixed, dynamic)
    await both.ready()
    with pytest.raises(ToolFailed):
        await both.close()
    assert (fixed.did, dynamic.did) == (["ready", "close"], ["ready", "close"])
