"""Mode `fm`, through the session: shipped rubric, scripted GPT-OSS, scripted small model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from acp_agent.agent.orchestrator import Fm
from acp_agent.backends.script import (
    Begin,
    Drop,
    Fail,
    Invoke,
    Overflow,
    Preamble,
    Say,
    Step,
    Think,
)
from acp_agent.conversation import Attachment, ModelStep, UserMessage
from acp_agent.errors import ContextOverflow, EngineFailed, EngineUnavailable, StreamDropped
from acp_agent.events import Text, TextDelta, ToolCallStarted, ToolCallUpdated, UsageUpdated
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.routing.load import load_rubric
from acp_agent.routing.log import DecisionLog
from acp_agent.routing.router import Router
from tests.agent.conftest import MakeStage, Stage
from tests.agent.small import ChoosingSmall, Says, Small, SmallAtHand

pytestmark = pytest.mark.anyio

LIGHT = "hi"
HEAVY = "Refactor calc.py and add tests"
DONE: Step = [Think("ok"), Say("Done.")]
LOOK: Step = [Preamble("I look."), Invoke("list_files", "{}")]

Play = Callable[..., Stage]


@pytest.fixture
def play(stage: MakeStage, tmp_path: Path) -> Play:
    """Make a session in mode `fm`, whose GPT-OSS plays `steps`."""

    def make(
        small: Small | str, *steps: Step, missing: str = "", rubric: str = "", **more: Any
    ) -> Stage:
        looks: list[str] = more.pop("looks", [])

        async def gptoss_missing(model: str) -> str:
            looks.append(model)
            return missing

        file = tmp_path / "rubric.toml"
        file.write_text(rubric)
        router = Router(
            lambda: load_rubric(file if rubric else None),
            lambda: lambda text: len(load_vocabulary().encode_text(text)),
            DecisionLog(tmp_path / "routing.jsonl"),
        )
        at_hand = SmallAtHand(small, more.pop("small_label", ""), may_ask=more.pop("may_ask", True))
        return stage(*steps, fm=Fm(at_hand, router, gptoss_missing), **more)

    return make


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


# ---------------------------------------------------------------- inline


async def test_a_light_prompt_is_answered_by_the_small_model_alone(play: Play) -> None:
    small = Small("Hello to you.")
    stage = play(small)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Hello to you."
    assert not stage.engine.requests
    assert stage.of(ToolCallStarted) == []
    assert stage.of(UsageUpdated) == []  # the window that editors show is GPT-OSS's


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
    assert await stage.prompt(LIGHT) == "max_tokens"
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
    assert delegation(stage)[-1] is stage.events[-1]


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
    reason = "The small model asks for GPT-OSS: I need its files, so GPT-OSS answers"
    assert [d for d, _ in decisions(tmp_path)] == ["inline", "delegate"]
    started: Any = delegation(stage)[0]
    assert started.raw_input["reason"] == decisions(tmp_path)[1][1] == reason
    assert (started.raw_input["user_prompt"], started.raw_input["task_type"]) == (LIGHT, "analysis")


@pytest.mark.parametrize("arguments", ["", "{", "[]", '{"reason": 3, "task_type": []}'])
async def test_a_wish_in_broken_words_is_a_wish_all_the_same(play: Play, arguments: str) -> None:
    stage = play(Small(Says(call=("read_file", arguments))), DONE)
    await stage.prompt(LIGHT)
    started: Any = delegation(stage)[0]
    assert started.raw_input["reason"] == ("The small model asks for GPT-OSS, so GPT-OSS answers")


DOUBTFUL = "doubt = 1000"


async def test_a_small_model_that_can_choose_is_asked_in_doubt(play: Play) -> None:
    choice = {"decision": "delegate", "reason": "needs the repository"}
    small = ChoosingSmall(choice)
    stage = play(small, DONE, rubric=DOUBTFUL)
    await stage.prompt(LIGHT)
    assert stage.text() == "Done."
    assert len(small.choices) == 1
    started: Any = delegation(stage)[0]
    assert "asks for GPT-OSS: needs the repository" in started.raw_input["reason"]


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


# ---------------------------------------------------------------- one of them is not there


async def test_without_the_small_model_gptoss_answers(play: Play, tmp_path: Path) -> None:
    stage = play("nothing answers at 1976", DONE)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Done."
    assert decisions(tmp_path) == [
        ("delegate", "fm_unavailable: nothing answers at 1976, so GPT-OSS answers")
    ]


async def test_a_small_model_that_breaks_off_is_stood_in_for(play: Play, tmp_path: Path) -> None:
    small = Small(Says("Well, I", error=StreamDropped("the connection broke off")))
    stage = play(small, DONE)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Well, IDone."
    assert [d for d, _ in decisions(tmp_path)] == ["inline", "delegate"]
    assert decisions(tmp_path)[1][1].startswith("fm_unavailable: the connection broke off, so")


async def test_without_gptoss_the_small_model_answers_a_light_prompt_as_ever(play: Play) -> None:
    small = Small("Hello.")
    stage = play(small, missing="no model was found")
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Hello."
    assert small.requests[0].tools == ()


@pytest.mark.parametrize(
    ("prompt", "rubric", "count"), [(LIGHT, "", 0), (LIGHT, DOUBTFUL, 1), (HEAVY, "", 1)]
)
async def test_gptoss_is_looked_for_only_where_a_prompt_may_go_to_it(
    play: Play, prompt: str, rubric: str, count: int
) -> None:
    looks: list[str] = []
    small = ChoosingSmall({"decision": "inline", "reason": ""}, "Hello.")
    stage = play(small, DONE, rubric=rubric, looks=looks)
    await stage.prompt(prompt)
    assert looks == ["m"] * count


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Says(), "had no answer"),
        (Says("We", error=StreamDropped("it broke off")), "fm_unavailable: it broke off"),
    ],
    ids=["nothing", "half of it"],
)
async def test_a_small_model_that_fails_in_a_clear_case_has_gptoss_looked_for(
    play: Play, said: Says, reason: str
) -> None:
    stage = play(ChoosingSmall({}, said), missing="no model was found")
    with pytest.raises(
        EngineUnavailable, match=f"{reason}, and GPT-OSS cannot answer now: no model was found"
    ):
        await stage.prompt(LIGHT)
    assert stage.of(ToolCallStarted) == []


async def test_without_gptoss_the_small_model_says_what_is_missing(play: Play) -> None:
    stage = play(Small("Use a loop."), missing="no gpt-oss model was found")
    assert await stage.prompt(HEAVY) == "end_turn"
    assert stage.text() == (
        "This is a task for GPT-OSS, which cannot answer now: no gpt-oss model was found\n\n"
        "Use a loop."
    )
    assert delegation(stage) == []


async def test_a_failure_of_gptoss_is_a_failed_call_and_an_answer(play: Play) -> None:
    stage = play(Small("Use a loop."), [Fail("the engine ran out of memory")])
    assert await stage.prompt(HEAVY) == "end_turn"
    assert [e.status for e in delegation(stage)] == ["pending", "in_progress", "failed"]
    assert last_text(stage).endswith("GPT-OSS could not answer: the engine ran out of memory")
    assert stage.text() == ("GPT-OSS could not answer: the engine ran out of memory\n\nUse a loop.")


async def test_a_gptoss_that_breaks_off_keeps_what_it_said(play: Play) -> None:
    stage = play(Small(), [Begin("The first"), Drop()], DONE)
    assert await stage.prompt(HEAVY) == "end_turn"
    assert stage.text() == (
        "The firstGPT-OSS broke off: the connection to the engine broke off in mid-answer"
    )
    await stage.prompt(HEAVY)
    assert "The first" in stage.prompt_text()


async def test_when_neither_can_answer_the_error_names_both(play: Play) -> None:
    stage = play("nothing at 1976", [Fail("no engine")])
    with pytest.raises(
        EngineFailed, match=r"no engine.*and the small model is unavailable: nothing"
    ):
        await stage.prompt(LIGHT)
    assert [e.status for e in delegation(stage)][-1] == "failed"


async def test_when_neither_has_an_answer_the_error_says_so(play: Play) -> None:
    stage = play(Small(Says()), missing="no gpt-oss model was found")
    with pytest.raises(
        EngineUnavailable, match=r"had no answer, and GPT-OSS cannot answer now: no"
    ):
        await stage.prompt(LIGHT)


async def test_a_prompt_too_large_for_gptoss_leaves_the_session_usable(play: Play) -> None:
    stage = play(Small("Hello."), [Overflow()])
    with pytest.raises(ContextOverflow):
        await stage.prompt(HEAVY)
    assert delegation(stage)[-1].status == "failed"
    assert await stage.prompt(LIGHT) == "end_turn"
    assert "Refactor" not in stage.text()


# ---------------------------------------------------------------- one conversation


async def test_both_share_what_the_user_saw(play: Play) -> None:
    small = Small("Hello, Ada.", "You are Ada.")
    stage = play(small, LOOK, DONE)
    await stage.prompt("hi, I am Ada")
    await stage.prompt(HEAVY)
    await stage.prompt(LIGHT)
    assert "<|channel|>final<|message|>Hello, Ada.<|end|>" in stage.prompt_text(0)
    said = [
        entry.text if isinstance(entry, UserMessage) else entry.messages[0].text
        for entry in small.requests[-1].entries
        if isinstance(entry, UserMessage | ModelStep)
    ]
    assert said == ["hi, I am Ada", "Hello, Ada.", HEAVY, "Done.", LIGHT]


async def test_switching_modes_keeps_the_conversation(play: Play) -> None:
    small = Small("Hello, Ada.", "You are Ada.")
    stage = play(small, DONE)
    await stage.prompt("hi, I am Ada")
    stage.options.set("mode", "gptoss_20b")
    await stage.prompt(LIGHT)
    assert "Hello, Ada." in stage.prompt_text()
    assert delegation(stage) == []
    stage.options.values["mode"] = "fm"
    await stage.prompt("hello again")
    assert "Done." in str(small.requests[-1].entries)


async def test_a_follow_up_goes_where_the_last_prompt_went(play: Play, tmp_path: Path) -> None:
    stage = play(Small(), DONE, again=True)
    await stage.prompt(HEAVY)
    await stage.prompt("now do the same again")
    assert [d for d, _ in decisions(tmp_path)] == ["delegate", "delegate"]


async def test_the_small_model_sees_as_much_as_its_window_holds(play: Play) -> None:
    small = Small(*["word " * 60] * 8, window=512)
    stage = play(small)
    for number in range(8):
        await stage.prompt(f"hi {number}")
    last = small.requests[-1].entries
    assert 1 < len(last) < 15
    assert isinstance(last[0], UserMessage)
    assert isinstance(last[-1], UserMessage)
    assert last[-1].words == "hi 7"


async def test_a_server_that_counts_more_tokens_gets_less(play: Play) -> None:
    overflow = Says(error=ContextOverflow(5000, 4096))
    small = Small("One.", overflow, overflow, "Two.")
    stage = play(small)
    await stage.prompt("hi " + "and hello " * 100)
    assert await stage.prompt("hi " * 100) == "end_turn"
    assert stage.text() == "One.Two."
    sizes = [sum(len(str(e)) for e in request.entries) for request in small.requests[1:]]
    assert sizes == sorted(sizes, reverse=True)


async def test_an_attachment_reaches_both_with_its_size(play: Play) -> None:
    small = Small("A short one.")
    stage = play(small, DONE)
    light = UserMessage(
        "Summarise [a.md](file:///w/a.md) in one sentence",
        (Attachment("file:///w/a.md", "All is well."),),
    )
    with anyio.fail_after(10):
        await stage.session.prompt(light, stage.emit)
    assert stage.text() == "A short one."
    assert "All is well." in str(small.requests[0].entries[-1])
    large = UserMessage(
        "Summarise [b.md](file:///w/b.md) in one sentence",
        (Attachment("file:///w/b.md", "word " * 5000),),
    )
    with anyio.fail_after(10):
        await stage.session.prompt(large, stage.emit)
    assert stage.text() == "A short one.Done."


async def test_a_link_must_be_read_and_so_is_delegated(play: Play) -> None:
    stage = play(Small(), DONE)
    message = UserMessage(
        "Summarise [a.md](file:///w/a.md) in one sentence", (Attachment("file:///w/a.md"),)
    )
    with anyio.fail_after(10):
        await stage.session.prompt(message, stage.emit)
    assert stage.text() == "Done."


# ---------------------------------------------------------------- getting ready, and the log


async def test_gptoss_is_not_warmed_before_it_was_needed(play: Play) -> None:
    stage = play(Small("Hi."), DONE)
    await stage.session.prewarm()
    await stage.prompt(LIGHT)
    await stage.session.prewarm()
    assert not stage.engine.prefills
    await stage.prompt(HEAVY)
    await stage.session.prewarm()
    assert len(stage.engine.prefills) == 1


@pytest.mark.parametrize("can_choose", [True, False])
async def test_the_small_model_reads_ahead_what_its_next_prompt_begins_with(
    play: Play, can_choose: bool
) -> None:
    answers = ("Hello, Ada.", "You are Ada.")
    small = ChoosingSmall({}, *answers) if can_choose else Small(*answers)
    stage = play(small, DONE)
    await stage.session.prewarm()
    await stage.prompt("hi, I am Ada")
    await stage.prompt(HEAVY)
    await stage.session.prewarm()
    await stage.prompt(LIGHT)
    for ahead, request in zip(small.prefills, small.requests, strict=True):
        *earlier, _ = request.entries
        assert ahead == replace(request, entries=earlier)


async def test_a_small_model_that_is_not_there_keeps_nobody_from_getting_ready(play: Play) -> None:
    stage = play("nothing answers at 1976", DONE)
    await stage.prompt(HEAVY)
    await stage.session.prewarm()
    assert len(stage.engine.prefills) == 1


async def test_the_reason_stands_in_the_log_and_the_prompt_does_not(
    play: Play, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stage = play(Small("Hi."))
    await stage.prompt("hello, my secret is 4711")
    assert "s: inline: It is a short question" in caplog.text
    assert "4711" not in caplog.text + (tmp_path / "routing.jsonl").read_text()
