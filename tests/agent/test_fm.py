"""Mode `fm`, through the session: shipped rubric, scripted GPT-OSS, scripted small model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from acp_agent.backends.script import (
    Invoke,
)
from acp_agent.conversation import UserMessage
from acp_agent.errors import EngineFailed
from acp_agent.events import (
    Event,
    TextDelta,
    Titled,
    ToolCallStarted,
    ToolCallUpdated,
)
from tests.agent.fm import (
    DONE,
    DOUBTFUL,
    HEAVY,
    LIGHT,
    LOOK,
    Play,
    decisions,
    delegation,
    last_text,
)
from tests.agent.small import ChoosingSmall, Says, Small

pytestmark = pytest.mark.anyio


# ---------------------------------------------------------------- inline


async def test_a_light_prompt_is_answered_by_the_small_model_alone(play: Play) -> None:
    small = Small("Hello to you.")
    stage = play(small)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Hello to you."
    assert not stage.engine.requests
    assert stage.of(ToolCallStarted) == []


async def test_inline_chunks_say_their_source_and_the_first_one_why(
    play: Play, tmp_path: Path
) -> None:
    stage = play(Small("Hello to you."))
    await stage.prompt(LIGHT)
    first, *others = [event.meta or {} for event in stage.of(TextDelta)]
    routing: Any = first["routing"]
    assert {m["source"] for m in (first, *others)} == {"fm_orchestrator"}
    assert {m["provider"] for m in (first, *others)} == {"tiny"}
    assert len(others) == 2
    assert not any("routing" in meta for meta in others)
    assert decisions(tmp_path) == [(routing["decision"], routing["reason"])]
    assert routing["reason"] == (
        "It is a short question, so the small model answers (score -30, threshold 50)"
    )


async def test_the_small_model_is_used_as_it_is_set_and_is_told_of_no_tools_it_lacks(
    play: Play,
) -> None:
    small = Small("Hi.")
    stage = play(small)
    await stage.prompt(LIGHT)
    [request] = small.requests
    assert (request.max_tokens, request.temperature, request.effort) == (100, 0.1, "low")
    assert [tool.name for tool in request.tools] == ["gptoss.generate"]


async def test_an_answer_that_runs_into_its_limit_is_said_to_be_cut(play: Play) -> None:
    stage = play(Small(Says("and so on", is_cut=True)))
    assert await stage.prompt(LIGHT) == "max_tokens"


async def test_a_small_model_that_repeats_itself_is_stopped(play: Play) -> None:
    stage = play(Small("I am here. " + "I can help you with that. " * 50))
    assert await stage.prompt(LIGHT) == "end_turn"
    assert 70 < len(stage.text()) < 120


async def test_weights_that_are_not_what_they_seem_are_named_before_the_answer(play: Play) -> None:
    stage = play(Small("Hi."), small_label="*nano:* ")
    await stage.prompt(LIGHT)
    assert stage.text() == "*nano:* Hi."


# ---------------------------------------------------------------- delegation


async def test_a_heavy_prompt_goes_to_gptoss_by_a_visible_call(play: Play, tmp_path: Path) -> None:
    stage = play(Small(), LOOK, DONE)
    assert await stage.prompt(HEAVY) == "end_turn"
    started, running, ended = delegation(stage)
    [(decision, reason)] = decisions(tmp_path)
    assert isinstance(started, ToolCallStarted)
    assert decision == "delegate"
    assert (started.name, started.status, started.kind) == ("gptoss.generate", "pending", "think")
    assert started.raw_input == {
        "user_prompt": HEAVY,
        "task_type": "refactoring",
        "reason": reason,
        "provider": "gptoss",
        "model": "m",
        "workspace_root": str(stage.cwd),
    }
    assert isinstance(running, ToolCallUpdated)
    assert isinstance(ended, ToolCallUpdated)
    assert [running.status, ended.status] == ["in_progress", "completed"]
    output: Any = ended.raw_output
    assert output["stop_reason"] == "end_turn"
    assert output["usage"]["model_calls"] == 2
    assert output["usage"]["completion_tokens"] > 10
    assert last_text(stage).startswith(f"{reason}\n2 model calls, ")


async def test_the_delegated_turn_streams_between_and_says_whose_it_is(play: Play) -> None:
    stage = play(Small(), LOOK, DONE)
    await stage.prompt(HEAVY)
    calls = [event.name for event in stage.of(ToolCallStarted)]
    assert calls == ["gptoss.generate", "list_files"]
    assert stage.text() == "I look.Done."
    [outer, inner] = stage.of(ToolCallStarted)
    meta = {"source": "gptoss", "parentToolCallId": outer.call_id}
    assert inner.meta == meta
    assert {tuple((e.meta or {}).items()) for e in stage.of(TextDelta)} == {tuple(meta.items())}
    assert delegation(stage)[-1] is stage.events[-2]
    assert isinstance(stage.events[-1], Titled)


async def test_cancel_reaches_the_delegated_turn_and_every_call_ends(play: Play) -> None:
    sleep = [Invoke("shell", '{"command": "sleep 60"}')]
    stage = play(Small(), sleep, approvals="full")
    async with anyio.create_task_group() as tasks:

        async def prompt() -> None:
            assert await stage.prompt(HEAVY) == "cancelled"

        tasks.start_soon(prompt)
        with anyio.fail_after(10):
            while "in_progress" not in [
                e.status for e in stage.of(ToolCallUpdated) if ".gptoss" not in e.call_id
            ]:
                await anyio.lowlevel.checkpoint()
        stage.session.cancel()
    last = {e.call_id: e.status for e in stage.of(ToolCallUpdated) if e.status}
    assert list(last.values()) == ["failed", "failed"]
    assert last_text(stage).endswith("stopped")


async def test_a_refused_permission_question_that_ends_the_turn_fails_the_call(play: Play) -> None:
    write = [Invoke("write_file", '{"path": "a.txt", "content": "x"}')]
    stage = play(Small(), write, answers=[None])
    assert await stage.prompt(HEAVY) == "cancelled"
    assert [e.status for e in delegation(stage)] == ["pending", "in_progress", "failed"]


@pytest.mark.parametrize(
    ("prompt", "task"),
    [
        ("Write a function that reverses a list", "code_generation"),
        ("Rename the class User to Account", "refactoring"),
        ("Please fix the failing test", "code_generation"),
        ("Write a long tutorial about our product in 900 words", "documentation"),
        ("Prove that the square root of 2 is irrational", "analysis"),
    ],
)
async def test_the_task_type_is_what_was_recognised(play: Play, prompt: str, task: str) -> None:
    stage = play(Small(), DONE)
    await stage.prompt(prompt)
    started: Any = delegation(stage)[0]
    assert started.raw_input["task_type"] == task


# ---------------------------------------------------------------- the small model delegates itself


async def test_the_small_model_can_ask_for_gptoss_by_the_tool(play: Play, tmp_path: Path) -> None:
    arguments = '{"user_prompt": "hello", "task_type": "analysis", "reason": "I need its files."}'
    small = Small(Says("Let me ask.", call=("gptoss_generate", arguments)))
    stage = play(small, DONE)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Let me ask.Done."
    reason = "The small model asks for GPT-OSS, so GPT-OSS answers"
    started: Any = delegation(stage)[0]
    assert decisions(tmp_path)[1] == ("delegate", reason)
    assert started.raw_input["reason"] == f"{reason} (I need its files)"
    assert "I need its files" not in (tmp_path / "routing.jsonl").read_text()
    assert (started.raw_input["user_prompt"], started.raw_input["task_type"]) == (LIGHT, "analysis")


@pytest.mark.parametrize("arguments", ["", "{", "[]", '{"reason": 3, "task_type": []}'])
async def test_a_wish_in_broken_words_is_a_wish_all_the_same(play: Play, arguments: str) -> None:
    stage = play(Small(Says(call=("read_file", arguments))), DONE)
    await stage.prompt(LIGHT)
    started: Any = delegation(stage)[0]
    assert started.raw_input["reason"] == ("The small model asks for GPT-OSS, so GPT-OSS answers")


async def test_a_small_model_that_can_choose_is_asked_in_doubt(play: Play) -> None:
    choice = {"decision": "delegate", "reason": "needs the repository"}
    small = ChoosingSmall(choice)
    stage = play(small, DONE, rubric=DOUBTFUL)
    await stage.prompt(LIGHT)
    assert stage.text() == "Done."
    assert len(small.choices) == 1
    started: Any = delegation(stage)[0]
    assert "(needs the repository)" in started.raw_input["reason"]


async def test_a_clear_case_is_not_asked_about(play: Play) -> None:
    small = ChoosingSmall({"decision": "delegate", "reason": ""}, "Hi.")
    stage = play(small)
    await stage.prompt(LIGHT)
    assert (stage.text(), small.choices) == ("Hi.", [])
    assert small.requests[0].tools == ()


async def test_a_small_model_that_may_not_ask_is_neither_asked_nor_given_the_tool(
    play: Play,
) -> None:
    small = ChoosingSmall({"decision": "delegate", "reason": ""}, "Hi.")
    plain = Small("Hi.")
    for model in (small, plain):
        stage = play(model, rubric=DOUBTFUL, may_ask=False)
        await stage.prompt(LIGHT)
        assert (stage.text(), model.requests[0].tools) == ("Hi.", ())
    assert small.choices == []


@pytest.mark.parametrize(
    "choice",
    [{"decision": "inline", "reason": "easy"}, {}, EngineFailed("the model's choice was cut")],
    ids=["inline", "empty", "failed"],
)
async def test_no_clear_wish_leaves_the_answer_to_the_small_model(play: Play, choice: Any) -> None:
    stage = play(ChoosingSmall(choice, "Hi."), rubric=DOUBTFUL)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Hi."


async def test_a_small_model_without_an_answer_delegates(play: Play, tmp_path: Path) -> None:
    stage = play(Small(Says(" ")), DONE)
    await stage.prompt(LIGHT)
    assert stage.text().strip() == "Done."
    assert decisions(tmp_path)[-1] == (
        "delegate",
        "The small model had no answer, so GPT-OSS answers",
    )


async def test_a_server_that_refuses_the_choice_gets_the_tool(play: Play) -> None:
    wish = Says(call=("gptoss_generate", "{}"))
    small = ChoosingSmall(EngineFailed("response_format is not supported"), wish)
    stage = play(small, DONE, rubric=DOUBTFUL)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert [tool.name for tool in small.requests[0].tools] == ["gptoss.generate"]
    assert stage.text() == "Done."


async def test_a_choice_needs_no_reason(play: Play) -> None:
    stage = play(ChoosingSmall({"decision": "delegate"}), DONE, rubric=DOUBTFUL)
    await stage.prompt(LIGHT)
    assert stage.text() == "Done."


async def test_the_call_ends_also_if_the_turn_is_cancelled_while_it_appears(play: Play) -> None:
    stage = play(Small(), DONE)
    emit = stage.emit

    async def cancelling(event: Event) -> None:
        await emit(event)
        if isinstance(event, ToolCallStarted):
            stage.session.cancel()
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(10):
        stop = await stage.session.prompt(UserMessage(HEAVY), cancelling)
    assert stop == "cancelled"
    assert [event.status for event in delegation(stage)] == ["pending", "failed"]


async def test_a_long_prompt_stays_an_object_in_the_call(play: Play) -> None:
    stage = play(Small(), DONE)
    await stage.prompt(HEAVY + " x" * 15_000)
    started: Any = delegation(stage)[0]
    assert started.raw_input["user_prompt"].endswith("characters left out]")
    assert len(started.raw_input["user_prompt"]) < 21_000
