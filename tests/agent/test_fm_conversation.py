"""Mode `fm`: one conversation for both models and all modes; getting ready, and the log."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from acp_agent.conversation import Attachment, ModelStep, UserMessage
from acp_agent.errors import ContextOverflow
from tests.agent.fm import (
    DONE,
    HEAVY,
    LIGHT,
    LOOK,
    Play,
    decisions,
    delegation,
)
from tests.agent.small import ChoosingSmall, Says, Small

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize(
    "words", ["shorter", "In German, please", "auf Englisch", "plus court", "用中文", "короче"]
)
async def test_the_small_model_puts_its_own_answer_into_another_form(
    play: Play, words: str
) -> None:
    stage = play(Small("Hello to you.", "Hi."), DONE, again=True)
    await stage.prompt(LIGHT)
    await stage.prompt(words)
    assert stage.text() == "Hello to you.Hi."
    await stage.prompt(HEAVY)
    await stage.prompt(words)
    assert stage.text() == "Hello to you.Hi.Done.Done."


@pytest.mark.parametrize(
    "words",
    [
        "as a list of all files",
        "shorter functions in app.py please",
        "in Rust please",
        "Shorter, and say besides how the two proposals of last week differ in their costs",
    ],
)
async def test_what_asks_for_more_than_another_form_is_delegated(play: Play, words: str) -> None:
    stage = play(Small("Hello to you."), DONE)
    await stage.prompt(LIGHT)
    await stage.prompt(words)
    assert stage.text() == "Hello to you.Done."


async def test_the_small_model_sees_as_much_as_its_window_holds(play: Play) -> None:
    small = Small(*["word " * 120] * 8, window=1024)
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
    long = "word " * 120
    small = Small(long, long, long, overflow, overflow, "Four.", window=1024)
    stage = play(small)
    for _ in range(4):
        assert await stage.prompt(LIGHT) == "end_turn"
    assert stage.text().endswith("Four.")
    first, second, third = (len(str(request.entries)) for request in small.requests[3:])
    assert first > second > third


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
    await stage.session.prewarm(stage.emit)
    await stage.prompt(LIGHT)
    await stage.session.prewarm(stage.emit)
    assert not stage.engine.prefills
    await stage.prompt(HEAVY)
    await stage.session.prewarm(stage.emit)
    assert len(stage.engine.prefills) == 1


@pytest.mark.parametrize("can_choose", [True, False])
async def test_the_small_model_reads_ahead_what_its_next_prompt_begins_with(
    play: Play, can_choose: bool
) -> None:
    answers = ("Hello, Ada.", "You are Ada.")
    small = ChoosingSmall({}, *answers) if can_choose else Small(*answers)
    stage = play(small, DONE)
    await stage.session.prewarm(stage.emit)
    await stage.prompt("hi, I am Ada")
    await stage.prompt(HEAVY)
    await stage.session.prewarm(stage.emit)
    await stage.prompt(LIGHT)
    for ahead, request in zip(small.prefills, small.requests, strict=True):
        *earlier, _ = request.entries
        assert ahead == replace(request, entries=earlier)


async def test_a_small_model_that_is_not_there_keeps_nobody_from_getting_ready(play: Play) -> None:
    stage = play("nothing answers at 1976", DONE)
    await stage.prompt(HEAVY)
    await stage.session.prewarm(stage.emit)
    assert len(stage.engine.prefills) == 1


async def test_the_reason_stands_in_the_log_and_the_prompt_does_not(
    play: Play, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stage = play(Small("Hi."))
    await stage.prompt("hello, my secret is 4711")
    assert "s: inline: It is a short question" in caplog.text
    assert "4711" not in caplog.text + (tmp_path / "routing.jsonl").read_text()
