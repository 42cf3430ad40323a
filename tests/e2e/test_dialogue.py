"""Dialogues with the demo weights, as an editor made with the official SDK sees them."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from acp import RequestError

from acp_agent import __version__
from acp_agent.engine.by_settings import NANO_CONTEXT
from acp_agent.voices import NANO_LABEL
from scripts.nano_dialogues import COUNT, HELLO, LIST, PRIMES, SCRIPTS, THANKS, UNKNOWN
from tests.e2e.agent import open_agent
from tests.e2e.engines import engines
from tests.e2e.turn import Turn

pytestmark = pytest.mark.anyio

Env = dict[str, str]


async def test_agent_introduces_itself(world: Env) -> None:
    async with open_agent(world, "--demo") as agent:
        told = agent.editor.frames[1]["result"]
        assert told["protocolVersion"] == 1
        assert told["agentInfo"] == {
            "name": "gpt-oss-acp",
            "title": "GPT-OSS",
            "version": __version__,
        }


async def test_new_session_begins_in_mode_gptoss_20b(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        opened = (await agent.new_session(workspace)).opened
        assert opened.modes is not None
        assert opened.modes.current_mode_id == "gptoss_20b"
        values = {option.id: option.current_value for option in opened.config_options or []}
        assert values == {
            "mode": "gptoss_20b",
            "model": "nano",
            "effort": "medium",
            "approvals": "ask",
        }


async def test_answer_streams_in_pieces_and_says_whose_it_is(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt("hello")
        assert (turn.stop, turn.answer) == ("end_turn", NANO_LABEL + HELLO.answer.text)
        chunks = [u for u in turn.updates if u["sessionUpdate"] == "agent_message_chunk"]
        assert len(chunks) > 5
        assert len({chunk["messageId"] for chunk in chunks}) == 1


async def test_usage_is_told_with_the_size_of_the_context(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt("hello")
        usage = turn.usage
        assert usage["size"] == NANO_CONTEXT
        assert 100 < usage["used"] < 2000


async def test_thought_streams_before_the_answer(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt("Please think hard about primes")
        assert turn.thoughts == PRIMES.answer.thought
        assert turn.answer == NANO_LABEL + PRIMES.answer.text
        kinds = [update["sessionUpdate"] for update in turn.updates]
        last_thought = max(i for i, kind in enumerate(kinds) if kind == "agent_thought_chunk")
        assert kinds.index("agent_message_chunk") == last_thought + 1
        assert kinds.count("agent_thought_chunk") > 50


async def test_characters_of_several_tokens_arrive_whole(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt("greet in other scripts")
        assert turn.answer == NANO_LABEL + SCRIPTS.answer.text


async def test_second_turn_goes_on_and_is_labelled_again(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        session = await agent.new_session(workspace)
        assert (await session.prompt("hello")).answer == NANO_LABEL + HELLO.answer.text
        assert (await session.prompt("thanks")).answer == NANO_LABEL + THANKS.answer.text


async def test_unknown_prompt_is_answered_with_what_nano_is(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt("What is the capital of France?")
        assert turn.answer == NANO_LABEL + UNKNOWN.answer.text


async def test_two_sessions_at_once_keep_to_their_own_workspace(
    world: Env, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "poem.txt").touch()
    turns: dict[str, Turn] = {}
    async with open_agent(world, "--demo") as agent:
        first = await agent.new_session(workspace)
        second = await agent.new_session(tmp_path / "other")

        async def list_files(name: str) -> None:
            session = first if name == "first" else second
            turns[name] = await session.prompt("list the files")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(list_files, "first")
            tasks.start_soon(list_files, "second")
    assert {turn.answer for turn in turns.values()} == {NANO_LABEL + LIST.answer.text}
    listings = {name: turn.calls[0]["rawOutput"] for name, turn in turns.items()}
    assert "calc.py" in str(listings["first"])
    assert "poem.txt" not in str(listings["first"])
    assert "poem.txt" in str(listings["second"])
    assert "calc.py" not in str(listings["second"])


async def test_prompt_takes_the_place_of_the_one_that_runs(world: Env, workspace: Path) -> None:
    turns: list[Turn] = []
    async with open_agent(world, "--demo") as agent:
        session = await agent.new_session(workspace)

        async def count() -> None:
            turns.append(await session.prompt("count forever"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            await session.says(COUNT.answer.text)
            turns.append(await session.prompt("hello"))
    assert [turn.stop for turn in turns] == ["cancelled", "end_turn"]
    # In front of it stands what the first prompt brought until it was told to stop.
    assert turns[1].answer.endswith(NANO_LABEL + HELLO.answer.text)


async def test_mode_can_be_set_to_the_one_that_there_is(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        session = await agent.new_session(workspace)
        await agent.connection.set_session_mode(session.id, "gptoss_20b")
        with pytest.raises(RequestError, match="modeId") as caught:
            await agent.connection.set_session_mode(session.id, "architect")
        assert caught.value.code == -32602
        assert (await session.prompt("hello")).stop == "end_turn"


async def test_config_option_is_set_and_the_whole_list_comes_back(
    world: Env, workspace: Path
) -> None:
    async with open_agent(world, "--demo") as agent:
        session = await agent.new_session(workspace)
        answer = await agent.connection.set_config_option("effort", session.id, "high")
        values = {option.id: option.current_value for option in answer.config_options}
        assert values == {
            "mode": "gptoss_20b",
            "model": "nano",
            "effort": "high",
            "approvals": "ask",
        }
        with pytest.raises(RequestError, match="value") as caught:
            await agent.connection.set_config_option("effort", session.id, "extreme")
        assert caught.value.code == -32602
        assert (await session.prompt("hello")).answer == NANO_LABEL + HELLO.answer.text


async def test_closed_session_is_closed(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        session = await agent.new_session(workspace)
        await agent.connection.close_session(session.id)
        with pytest.raises(RequestError, match="sessionId names no open session"):
            await session.prompt("hello")


async def test_two_editors_share_one_engine(apart: Env, workspace: Path) -> None:
    async with open_agent(apart, "--demo") as one, open_agent(apart, "--demo") as other:
        for agent in (one, other):
            turn = await (await agent.new_session(workspace)).prompt("hello")
            assert turn.answer == NANO_LABEL + HELLO.answer.text
        assert len(engines(apart)) == 1
