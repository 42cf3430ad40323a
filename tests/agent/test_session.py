"""Turns from prompt to stop reason, through the session: real tools, a scripted model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from acp_agent.backends.script import (
    Answer,
    Invoke,
    Preamble,
    Say,
    Think,
)
from acp_agent.backends.scripted import ScriptedEngine
from acp_agent.conversation import ToolSpec, UserMessage
from acp_agent.events import (
    Diff,
    Event,
    Noticed,
    PlanEntry,
    PlanUpdated,
    ToolCallStarted,
    ToolCallUpdated,
    ToolKind,
    UsageUpdated,
)
from acp_agent.ports import EngineEvent, PromptProgress, Sampling
from acp_agent.tools.base import Prepared
from tests.agent.conftest import MakeStage

pytestmark = pytest.mark.anyio

DONE = [Think("ok"), Say("Done.")]
WRITE = Invoke("write_file", '{"path": "a.txt", "content": "new\\n"}')


async def test_thoughts_and_answer_stream_and_the_turn_ends(stage: MakeStage) -> None:
    play = stage([Think("Let me see."), Say("Hello there.")])
    assert await play.prompt() == "end_turn"
    assert (play.thought(), play.text()) == ("Let me see.", "Hello there.")


async def test_the_context_in_use_is_told_after_every_model_call(stage: MakeStage) -> None:
    play = stage([Invoke("list_files", "{}")], DONE)
    await play.prompt()
    used = [event.used for event in play.of(UsageUpdated)]
    assert len(used) == 2
    assert used[0] < used[1]


async def test_a_call_runs_and_the_model_reads_its_answer(stage: MakeStage) -> None:
    play = stage([Preamble("I look."), Invoke("read_file", '{"path": "a.txt"}')], DONE)
    (play.cwd / "a.txt").write_text("the planted fact\n")
    assert await play.prompt() == "end_turn"
    assert play.text() == "I look.Done."
    assert "the planted fact" in play.prompt_text()
    assert play.statuses() == ["pending", "in_progress", "completed"]


async def test_a_call_appears_before_its_arguments_are_complete(stage: MakeStage) -> None:
    play = stage([Invoke("read_file", '{"path": "a.txt"}')], DONE)
    await play.prompt()
    started = play.of(ToolCallStarted)
    shown = [(event.name, event.kind, event.status) for event in started]
    assert shown == [("read_file", "read", "pending")]
    assert play.of(ToolCallUpdated)[0].call_id == started[0].call_id


async def test_a_plan_of_the_model_becomes_a_plan_update(stage: MakeStage) -> None:
    plan = '{"plan": [{"step": "look", "status": "in_progress"}]}'
    play = stage([Invoke("update_plan", plan)], DONE)
    await play.prompt()
    assert play.of(PlanUpdated) == [PlanUpdated((PlanEntry("look", "in_progress"),))]


async def test_an_edit_shows_its_diff_before_the_question_and_runs_after_it(
    stage: MakeStage,
) -> None:
    play = stage([WRITE], DONE, answers=["allow_once"])
    await play.prompt()
    target = play.cwd / "a.txt"
    shown = play.of(ToolCallUpdated)[0]
    assert shown.status == "pending"
    assert shown.content == (Diff(str(target), None, "new\n"),)
    assert play.statuses() == ["pending", "in_progress", "completed"]
    assert target.read_text() == "new\n"


async def test_a_rejected_edit_changes_nothing_and_is_told_to_the_model(stage: MakeStage) -> None:
    play = stage([WRITE], DONE, answers=["reject_once"])
    assert await play.prompt() == "end_turn"
    assert not (play.cwd / "a.txt").exists()
    assert play.statuses() == ["pending", "failed"]
    assert "The user rejected this call." in play.prompt_text()


async def test_a_session_that_is_read_only_forbids_without_asking(stage: MakeStage) -> None:
    play = stage([WRITE], DONE, approvals="read-only")
    await play.prompt()
    assert play.editor.questions == []
    assert not (play.cwd / "a.txt").exists()
    assert "read-only" in play.prompt_text()


async def test_always_allow_asks_once(stage: MakeStage) -> None:
    again = Invoke("write_file", '{"path": "b.txt", "content": "b"}')
    play = stage([WRITE], [again], DONE, answers=["allow_always"])
    await play.prompt()
    assert len(play.editor.questions) == 1
    assert (play.cwd / "b.txt").read_text() == "b"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (Invoke("fly_to_moon", "{}"), "fly_to_moon"),
        (Invoke("read_file", '{"path": '), "read_file"),
        (Invoke("read_file", '{"path": 7}'), "path"),
        (Invoke("read_file", '{"path": "/etc/passwd"}'), "workspace"),
    ],
    ids=["unknown tool", "bad json", "wrong type", "outside"],
)
async def test_a_call_that_cannot_run_is_told_to_the_model_and_the_run_goes_on(
    stage: MakeStage, call: Invoke, words: str
) -> None:
    play = stage([call], DONE)
    assert await play.prompt() == "end_turn"
    assert words in play.prompt_text().rpartition("to=assistant")[2]
    assert play.statuses()[-1] == "failed"
    assert play.text() == "Done."


async def test_weights_that_are_not_gpt_oss_are_named_once_in_every_answer(
    stage: MakeStage,
) -> None:
    play = stage([Preamble("I look."), Invoke("list_files", "{}")], DONE, label="nano: ")
    await play.prompt()
    assert play.text() == "nano: I look.Done."


async def test_approvals_changed_in_mid_turn_hold_at_once(stage: MakeStage) -> None:
    play = stage([Invoke("list_files", "{}")], [WRITE], DONE, approvals="full")

    async def emit(event: Event) -> None:
        await play.emit(event)
        if isinstance(event, ToolCallStarted):
            play.options.set("approvals", "read-only")

    with anyio.fail_after(10):
        await play.session.prompt(UserMessage("go"), emit)
    assert not (play.cwd / "a.txt").exists()
    assert play.statuses()[-1] == "failed"


class SlowReader(ScriptedEngine):
    """An engine that says how it reads its prompt."""

    @asynccontextmanager
    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        async def reading(events: AsyncIterator[EngineEvent]) -> AsyncIterator[EngineEvent]:
            for processed in (2_048, 4_096, 9_000):
                yield PromptProgress(processed, 0, 9_500)
            async for event in events:
                yield event

        async with super().stream(prompt, sampling) as events:
            yield reading(events)


async def test_a_long_wait_for_the_first_word_is_explained_once(stage: MakeStage) -> None:
    play = stage(engine=SlowReader([Answer([DONE])]))
    await play.prompt()
    assert play.of(Noticed) == [Noticed("reading 7,452 tokens of context")]


class BrokenToolbox:
    """Tools with a bug in them."""

    specs = (ToolSpec("boom", "It breaks.", {"type": "object", "properties": {}}),)

    def announce(self, recipient: str) -> tuple[str, ToolKind]:
        return recipient, "other"

    async def prepare(self, call_id: str, recipient: str, arguments: str) -> Prepared:
        raise ZeroDivisionError

    async def ready(self) -> None:
        return

    async def close(self) -> None:
        return


async def test_a_bug_in_a_tool_is_logged_and_the_run_goes_on(
    stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    play = stage([Invoke("boom", "{}")], DONE, toolbox=BrokenToolbox())
    assert await play.prompt() == "end_turn"
    assert "internal error" in play.prompt_text()
    assert "ZeroDivisionError" in caplog.text


async def test_prewarm_reads_what_the_next_prompt_begins_with(stage: MakeStage) -> None:
    play = stage(DONE)
    await play.session.prewarm(play.emit)
    await play.prompt()
    prefix = play.engine.prefills[0]
    assert play.engine.requests[0].prompt[: len(prefix)] == prefix
    assert len(prefix) > 300


async def test_after_an_answer_prewarm_reads_the_trimmed_history(stage: MakeStage) -> None:
    play = stage(DONE, again=True)
    await play.prompt("first")
    await play.session.prewarm(play.emit)
    await play.prompt("second")
    prefix = play.engine.prefills[0]
    assert play.engine.requests[1].prompt[: len(prefix)] == prefix
    assert "Done." in play.prompt_text()
    assert "analysis<|message|>ok" not in play.prompt_text()
