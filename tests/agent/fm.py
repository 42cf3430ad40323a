"""What the tests of mode `fm` share: prompts, and what was said of decisions and delegations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acp_agent.backends.script import Invoke, Preamble, Say, Step, Think
from acp_agent.events import Text, ToolCallStarted, ToolCallUpdated
from acp_agent.routing.log import DecisionLog
from tests.agent.conftest import Stage

LIGHT = "hi"
HEAVY = "Refactor calc.py and add tests"
DONE: Step = [Think("ok"), Say("Done.")]
LOOK: Step = [Preamble("I look."), Invoke("list_files", "{}")]
UNAVAILABLE = "fm_unavailable: the small model cannot answer now, so GPT-OSS answers"

DOUBTFUL = "doubt = 1000"  # a rubric in which every prompt is

Play = Callable[..., Stage]


def decisions(tmp_path: Path) -> list[tuple[str, str]]:
    records = DecisionLog(tmp_path / "routing.jsonl").last()
    return [(record["decision"], record["reason"]) for record in records]


def delegation(stage: Stage) -> list[ToolCallStarted | ToolCallUpdated]:
    """Return what was said of the call `gptoss.generate`, in order."""
    ids = {e.call_id for e in stage.of(ToolCallStarted) if e.name == "gptoss.generate"}
    return [
        event
        for event in stage.events
        if isinstance(event, ToolCallStarted | ToolCallUpdated) and event.call_id in ids
    ]


def last_text(stage: Stage) -> str:
    [*_, event] = [e for e in delegation(stage) if isinstance(e, ToolCallUpdated)]
    assert event.content is not None
    return "".join(content.text for content in event.content if isinstance(content, Text))
