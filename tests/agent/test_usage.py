"""What is told of the context after each model call, and whose context it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from acp_agent.agent.delegation import ORCHESTRATOR
from acp_agent.backends.script import Answer, Say
from acp_agent.backends.scripted import ScriptedEngine
from acp_agent.events import CompactionUpdated, UsageUpdated
from acp_agent.ports import Timings
from acp_agent.recording.lines import Opened
from acp_agent.recording.recall import Recall
from acp_agent.recording.trajectory import Trajectory
from tests.agent.fm import DONE, DOUBTFUL, HEAVY, LIGHT, LOOK, Play
from tests.agent.small import ChoosingSmall, Says, Small

pytestmark = pytest.mark.anyio

TINY = {"source": ORCHESTRATOR, "provider": "tiny"}
COUNTED = Says("Hello to you.", timings=Timings(30, 12, 1.0, 5, 1.0))


async def test_the_small_model_s_answer_is_followed_by_what_its_server_counted(play: Play) -> None:
    stage = play(Small(COUNTED))
    await stage.prompt(LIGHT)
    assert stage.events[-2] == UsageUpdated(47, 4096, TINY)  # a title comes after the first turn
    assert stage.of(UsageUpdated) == [UsageUpdated(47, 4096, TINY)]


@pytest.mark.parametrize(
    "timings", [Timings(), Timings(predicted_tokens=5), Timings(prompt_tokens=9)]
)
async def test_what_a_server_does_not_count_is_an_estimate_and_marked(
    play: Play, timings: Timings
) -> None:
    stage = play(Small(Says("Hello to you.", timings=timings)))
    await stage.prompt(LIGHT)
    [usage] = stage.of(UsageUpdated)
    assert usage.meta == {**TINY, "estimated": True}
    assert 9 < usage.used < 300


async def test_an_estimate_is_never_more_than_the_window(play: Play) -> None:
    stage = play(Small(" ".join(map(str, range(400))), window=256))
    await stage.prompt(LIGHT)
    assert [usage.used for usage in stage.of(UsageUpdated)] == [256]


async def test_a_choice_is_a_model_call_too(play: Play) -> None:
    small = ChoosingSmall({"decision": "inline", "reason": "easy"}, COUNTED)
    stage = play(small, rubric=DOUBTFUL)
    await stage.prompt(LIGHT)
    assert [usage.meta for usage in stage.of(UsageUpdated)] == [{**TINY, "estimated": True}, TINY]


async def test_a_small_model_that_repeats_itself_is_counted_too(play: Play) -> None:
    stage = play(Small("so it goes on and " * 40), DONE)
    await stage.prompt(LIGHT)
    assert len(stage.of(UsageUpdated)) == 1


async def test_what_gptoss_used_in_a_delegation_says_so(play: Play) -> None:
    stage = play(Small(), LOOK, DONE)
    await stage.prompt(HEAVY)
    meta = {"source": "gptoss", "parentToolCallId": "s.1.gptoss"}
    assert [usage.meta for usage in stage.of(UsageUpdated)] == [meta, meta]


async def test_the_small_model_s_window_is_not_taken_for_gptoss_s(play: Play) -> None:
    engine = ScriptedEngine([Answer([[Say("word " * 6_000)]], again=True)])
    stage = play(Small(COUNTED), engine=engine)
    await stage.prompt(HEAVY)
    await stage.prompt(LIGHT)
    assert await stage.prompt(HEAVY) == "end_turn"
    assert stage.of(CompactionUpdated) == []
    assert [usage.size for usage in stage.of(UsageUpdated)] == [131_072, 4096, 131_072]
    await stage.prompt("/compact")
    assert stage.of(UsageUpdated)[-1].size == 131_072


async def test_status_shows_the_context_that_the_editor_shows(play: Play) -> None:
    stage = play(Small(COUNTED), DONE)
    await stage.prompt(HEAVY)
    await stage.prompt(LIGHT)
    await stage.prompt("/status")
    assert "- Context: 47 of 4,096 tokens" in stage.text()
    await stage.prompt("/usage")
    assert "- Model calls: 2\n" in stage.text()


async def test_it_is_recorded_and_shown_again(play: Play, tmp_path: Path) -> None:
    opened = Opened("2026-11-20T00:00:00.000Z", "s", str(tmp_path))
    record = Trajectory(tmp_path / "s.jsonl", opened)
    stage = play(Small(COUNTED), DONE, recorder=record)
    await stage.prompt(HEAVY)
    await stage.prompt(LIGHT)
    recall = Recall(tmp_path / "s.jsonl")
    shown = [item async for batch in recall.shown() for item in batch]
    assert [e for e in shown if isinstance(e, UsageUpdated)] == stage.of(UsageUpdated)
    assert (recall.tally.used, recall.tally.size) == (47, 4096)
    assert recall.tally.window == 131_072
