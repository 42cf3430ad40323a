"""A session whose own parts break: its record says so, and is let go of."""

from __future__ import annotations

import pytest

from acp_agent.agent.recorder import NoRecord
from acp_agent.backends.script import Say
from acp_agent.conversation import ToolSpec
from acp_agent.events import ToolKind
from acp_agent.tools.base import Prepared
from tests.agent.conftest import MakeStage

pytestmark = pytest.mark.anyio


class Broken:
    """A toolbox with a bug."""

    specs: tuple[ToolSpec, ...] = ()

    def announce(self, recipient: str) -> tuple[str, ToolKind]:
        raise AssertionError(recipient)

    async def prepare(self, call_id: str, recipient: str, arguments: str) -> Prepared:
        raise AssertionError(recipient)

    async def ready(self) -> None:
        raise RuntimeError("a bug")

    async def close(self) -> None:
        raise RuntimeError("a bug")


class Ends(NoRecord):
    """Keeps how turns ended, and whether it was closed."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, str]] = []
        self.closed = False

    async def end(self, number: int, stop: str, error: str = "") -> None:
        self.ends.append((stop, error))

    def close(self) -> None:
        self.closed = True


async def test_a_turn_that_breaks_is_not_recorded_as_cancelled(stage: MakeStage) -> None:
    record = Ends()
    play = stage([Say("hi")], toolbox=Broken(), recorder=record)
    with pytest.raises(RuntimeError):
        await play.prompt()
    assert record.ends == [("", "internal error; see the agent's log")]


async def test_a_record_is_closed_though_the_tools_are_not(stage: MakeStage) -> None:
    record = Ends()
    play = stage([Say("hi")], toolbox=Broken(), recorder=record)
    with pytest.raises(RuntimeError):
        await play.session.close()
    assert record.closed
