"""Mode `fm` when one of the models is not there, slow, or breaks off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from acp_agent.backends.script import (
    Begin,
    Drop,
    Fail,
    Overflow,
)
from acp_agent.errors import EngineFailed, EngineUnavailable, StreamDropped
from acp_agent.events import (
    Noticed,
    TextDelta,
    ToolCallStarted,
)
from tests.agent.conftest import Stage
from tests.agent.fm import (
    DONE,
    DOUBTFUL,
    HEAVY,
    LIGHT,
    UNAVAILABLE,
    Play,
    decisions,
    delegation,
    last_text,
)
from tests.agent.small import ChoosingSmall, Says, Small, SmallAtHand

pytestmark = pytest.mark.anyio


# ---------------------------------------------------------------- one of them is not there


def errors(stage: Stage) -> list[object]:
    """Return why GPT-OSS did not answer, as programs are told."""
    metas = [event.meta or {} for event in stage.of(TextDelta)]
    return [meta["gptossError"] for meta in metas if "gptossError" in meta]


async def test_without_the_small_model_gptoss_answers(play: Play, tmp_path: Path) -> None:
    stage = play("nothing answers at 1976", DONE)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Done."
    assert decisions(tmp_path)[-1] == ("delegate", UNAVAILABLE)
    assert last_text(stage).startswith(f"{UNAVAILABLE} (nothing answers at 1976)\n")


async def test_a_small_model_that_breaks_off_is_stood_in_for(play: Play, tmp_path: Path) -> None:
    small = Small(Says("Well, I", error=StreamDropped("the connection broke off")))
    stage = play(small, DONE)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Well, IDone."
    assert [d for d, _ in decisions(tmp_path)] == ["inline", "delegate"]
    assert decisions(tmp_path)[1] == ("delegate", UNAVAILABLE)
    started: Any = delegation(stage)[0]
    assert started.raw_input["reason"] == f"{UNAVAILABLE} (the connection broke off)"


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
        (Says("We", error=StreamDropped("it broke off")), "cannot answer now .it broke off."),
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
    assert errors(stage) == ["no gpt-oss model was found"]


async def test_a_failure_of_gptoss_is_a_failed_call_and_an_answer(play: Play) -> None:
    stage = play(Small("Use a loop."), [Fail("the engine ran out of memory")])
    assert await stage.prompt(HEAVY) == "end_turn"
    assert [e.status for e in delegation(stage)] == ["pending", "in_progress", "failed"]
    assert last_text(stage).endswith("GPT-OSS could not answer: the engine ran out of memory")
    assert stage.text() == ("GPT-OSS could not answer: the engine ran out of memory\n\nUse a loop.")
    assert errors(stage) == ["the engine ran out of memory"]


async def test_a_gptoss_that_breaks_off_keeps_what_it_said(play: Play) -> None:
    stage = play(Small(), [Begin("The first"), Drop()], DONE)
    assert await stage.prompt(HEAVY) == "end_turn"
    assert stage.text() == (
        "The firstGPT-OSS broke off: the connection to the engine broke off in mid-answer;"
        " ask again"
    )
    assert errors(stage) == ["the connection to the engine broke off in mid-answer; ask again"]
    await stage.prompt(HEAVY)
    assert "The first" in stage.prompt_text()


async def test_when_neither_can_answer_the_error_names_both(play: Play) -> None:
    stage = play("nothing at 1976", [Fail("no engine")])
    with pytest.raises(
        EngineFailed, match=r"no engine .the small model cannot answer now .nothing at 1976"
    ):
        await stage.prompt(LIGHT)
    assert [e.status for e in delegation(stage)][-1] == "failed"


async def test_when_neither_has_an_answer_the_error_says_so(play: Play) -> None:
    stage = play(Small(Says()), missing="no gpt-oss model was found")
    with pytest.raises(
        EngineUnavailable, match=r"had no answer, and GPT-OSS cannot answer now: no"
    ):
        await stage.prompt(LIGHT)


async def test_a_prompt_too_large_for_gptoss_is_a_failed_call_and_an_answer(play: Play) -> None:
    stage = play(Small("So much.", "Hello."), [Overflow()], DONE)
    assert await stage.prompt(HEAVY + " word" * 20_000) == "end_turn"
    assert [e.status for e in delegation(stage)][-1] == "failed"
    assert stage.text().startswith("GPT-OSS could not answer: the conversation has ")
    assert stage.text().endswith("So much.")
    await stage.prompt(HEAVY)
    assert len(stage.engine.requests[-1].prompt) < 6000  # it is not in the way of what follows


async def test_a_small_model_that_says_nothing_is_not_waited_for(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acp_agent.agent.inline.FIRST_SECONDS", 0.05)
    at_hand = SmallAtHand(Small(Says(hangs=True)))
    stage = play(at_hand, DONE)
    assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text() == "Done."
    assert at_hand.stalls == ["it said nothing for 0.05 s"]


async def test_cancel_keeps_what_the_small_model_has_said(play: Play) -> None:
    small = Small(Says("Once upon a", hangs=True), "Hello.")
    stage = play(small)
    async with anyio.create_task_group() as tasks:

        async def prompt() -> None:
            assert await stage.prompt(LIGHT) == "cancelled"

        tasks.start_soon(prompt)
        with anyio.fail_after(10):
            await stage.spoke.wait()
        stage.session.cancel()
    await stage.prompt(LIGHT)
    assert "Once" in str(small.requests[-1].entries)


async def test_a_small_model_that_loads_for_long_is_named(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acp_agent.agent.orchestrator.PATIENCE", 0.01)
    stage = play(SmallAtHand(Small("Hi."), seconds=0.1))
    await stage.prompt(LIGHT)
    assert [e.title for e in stage.of(Noticed)] == ["the small model is being loaded"]
    assert stage.text() == "Hi."


async def test_a_heavy_prompt_does_not_wait_for_the_small_model(play: Play) -> None:
    stage = play(SmallAtHand(Small(), seconds=60), DONE)
    assert await stage.prompt(HEAVY) == "end_turn"
    assert stage.text() == "Done."
