"""What a session is called: at once by its first words, later by a small model."""

from __future__ import annotations

import pytest

from acp_agent.agent.titles import title_of
from acp_agent.backends.script import Say
from acp_agent.events import Titled
from tests.agent.conftest import MakeStage

pytestmark = pytest.mark.anyio


def test_a_title_is_one_line_of_whole_words() -> None:
    assert title_of("  fix\nthe test  ") == "fix the test"
    assert title_of("word " * 30) == " ".join(["word"] * 12) + "…"
    assert title_of("x" * 100).endswith("…")


async def test_the_first_turn_names_the_session_and_no_later_one(stage: MakeStage) -> None:
    play = stage([Say("Hello.")], again=True)
    for words in ("/help", "fix the\ntest", "and another"):
        await play.prompt(words)
    assert play.of(Titled) == [Titled("fix the test")]
