"""The slash commands: each answers inside its turn, and no model hears of it."""

from __future__ import annotations

import pytest

from acp_agent.backends.script import Answer, Invoke, Say
from acp_agent.backends.scripted import ScriptedEngine
from acp_agent.events import UsageUpdated
from tests.agent.conftest import MakeStage, Stage

pytestmark = pytest.mark.anyio

WRITE = Invoke("write_file", '{"path": "a.txt", "content": "one\\n`two`\\n"}')
AGAIN = Invoke("write_file", '{"path": "a.txt", "content": "three\\n"}')


@pytest.fixture
def play(stage: MakeStage) -> Stage:
    answers = [
        Answer([[WRITE], [AGAIN], [Say("Written.")]], "write", again=True),
        Answer([[Say("Hello.")]], again=True),
    ]
    return stage(engine=ScriptedEngine(answers), approvals="full")


async def said(play: Stage, words: str) -> str:
    play.events.clear()
    assert await play.prompt(words) == "end_turn"
    return play.text()


async def test_no_model_hears_of_a_command(play: Stage) -> None:
    for words in ("/help", "/status", "/usage", "/tools", "/routing", "/diff", "/export"):
        await said(play, words)
    assert len(play.engine.requests) == 0
    await said(play, "hi")
    assert "/help" not in play.prompt_text()


async def test_help_lists_every_command(play: Stage) -> None:
    text = await said(play, "/help")
    for name in ("compact", "status", "usage", "tools", "routing", "diff", "export", "help"):
        assert f"- `/{name}" in text


async def test_a_command_is_known_in_capitals_and_before_a_line_end(play: Stage) -> None:
    for words in ("/HELP", "/help\n", "/Help me"):
        assert "- `/compact" in await said(play, words)


async def test_what_is_no_command_goes_to_the_model(play: Stage) -> None:
    for words in ("/nope", "/ help", "/helpful", "what does /help do?", "/etc/passwd"):
        assert await said(play, words) == "Hello."


async def test_status_says_what_is_chosen_and_how_full_the_context_is(play: Stage) -> None:
    assert "Context" not in await said(play, "/status")
    await said(play, "hi")
    text = await said(play, "/status")
    assert "- Approvals: full" in text or "full" in text
    assert " of 131,072 tokens" in text
    assert "- Session: s" in text


async def test_status_and_client_hear_how_full_the_context_is_after_compact(play: Stage) -> None:
    for _ in range(20):
        await said(play, "write")
    text = await said(play, "/compact")
    after = text.removeprefix("The conversation has ").partition(" ")[0]
    used = int(after.replace(",", ""))
    assert [e for e in play.events if isinstance(e, UsageUpdated)] == [UsageUpdated(used, 131_072)]
    assert f"- Context: {after} of 131,072 tokens" in await said(play, "/status")


async def test_usage_counts_the_session(play: Stage) -> None:
    assert await said(play, "/usage") == "No model has been called in this session yet."
    await said(play, "write")
    text = await said(play, "/usage")
    assert "- Model calls: 3" in text
    assert "- Written: " in text


async def test_tools_names_what_the_model_has(play: Stage) -> None:
    text = await said(play, "/tools")
    assert "- `write_file` " in text
    assert "- `shell` " in text


async def test_diff_shows_first_and_last_state_of_each_file(play: Stage) -> None:
    assert (await said(play, "/diff")).startswith("No file was changed")
    await said(play, "write")
    text = await said(play, "/diff")
    path = play.cwd / "a.txt"
    assert text.splitlines() == [
        "```diff",
        "--- /dev/null",
        f"+++ {path}",
        "@@ -0,0 +1 @@",
        "+three",
        "```",
    ]


async def test_routing_says_that_there_is_none_in_this_mode(play: Stage) -> None:
    assert (await said(play, "/routing")).startswith("Nothing was routed in this session")


async def test_export_without_a_record_says_so(play: Stage) -> None:
    assert (await said(play, "/export")).startswith("This session is not recorded")
