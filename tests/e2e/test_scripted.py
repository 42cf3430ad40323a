"""The real agent playing scripts: what a model may do wrong, and how a turn may end."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from acp import RequestError

from tests.e2e.agent import Session, open_agent
from tests.e2e.turn import Turn
from tests.sandbox.boxes import working

pytestmark = pytest.mark.anyio

Env = dict[str, str]


async def play(env: Env, workspace: Path, script: str, *flags: str) -> Turn:
    """Return the turn of an agent that plays `script` for a prompt."""
    file = workspace.with_name("script.txt")
    file.write_text(dedent(script))
    async with open_agent(env, "--script", str(file), *flags) as agent:
        return await (await agent.new_session(workspace)).prompt("go")


async def test_bad_calls_are_told_to_the_model_and_the_run_goes_on(
    world: Env, workspace: Path
) -> None:
    script = """
        call no_such_tool {}
        call read_file
          {"path": "calc
        call read_file {"start_line": 1}
        call read_file {"path": "missing.py"}
        call read_file {"path": "../../etc/passwd"}
        say I give up.
    """
    turn = await play(world, workspace, script)
    assert (turn.stop, turn.answer) == ("end_turn", "I give up.")
    assert [call["status"] for call in turn.calls] == ["failed"] * 5
    told = [str(call["rawOutput"]) for call in turn.calls]
    for text, word in zip(
        told,
        ["no_such_tool", "JSON", "path", "there is no file", "outside the workspace"],
        strict=True,
    ):
        assert word in text


async def test_calls_that_cannot_run_end_the_turn_in_the_end(world: Env, workspace: Path) -> None:
    turn = await play(world, workspace, "call no_such_tool {}\nagain\n")
    assert turn.stop == "max_turn_requests"
    assert 1 < len(turn.calls) < 20


async def test_limit_of_steps_ends_the_turn(world: Env, workspace: Path) -> None:
    env = world | {"ACP_AGENT_MAX_STEPS": "3"}
    turn = await play(env, workspace, "call list_files {}\nagain\n")
    assert (turn.stop, len(turn.calls)) == ("max_turn_requests", 3)
    assert "stopped after 3 steps" in turn.thoughts


async def test_limit_of_tokens_ends_the_turn(world: Env, workspace: Path) -> None:
    turn = await play(world, workspace, "begin This answer is too\nlimit\n")
    assert (turn.stop, turn.answer) == ("max_tokens", "This answer is too")


async def test_words_before_a_call_are_shown_as_the_answer_is(world: Env, workspace: Path) -> None:
    script = """
        think I look first.
        preamble I will list the files.
        call list_files {}
        say Done.
    """
    turn = await play(world, workspace, script)
    assert (turn.thoughts, turn.answer) == ("I look first.", "I will list the files.Done.")
    kinds = [update["sessionUpdate"] for update in turn.updates]
    assert kinds.index("agent_message_chunk") < kinds.index("tool_call")


async def test_several_files_are_changed_by_one_patch_with_a_diff_for_each(
    world: Env, workspace: Path
) -> None:
    script = """
        call apply_patch patch:
          *** Begin Patch
          *** Add File: docs/notes.md
          +Notes
          *** Delete File: test_calc.py
          *** Update File: calc.py
          @@ def add(a, b):
          -    return a - b
          +    return a + b
          *** End Patch
        say Done.
    """
    turn = await play(world, workspace, script)
    [call] = turn.calls
    assert call["status"] == "completed"
    shown = {Path(diff["path"]).name: diff.get("oldText") for diff in call["content"]}
    assert set(shown) == {"notes.md", "test_calc.py", "calc.py"}
    assert shown["notes.md"] is None
    files = sorted(path.name for path in workspace.rglob("*") if path.is_file())
    assert files == ["calc.py", "notes.md"]


async def test_command_that_exceeds_its_time_is_killed_and_the_model_told(
    world: Env, workspace: Path
) -> None:
    script = """
        call shell {"command": "echo begun; sleep 60", "timeout": 0.5}
        say Done.
    """
    turn = await play(world, workspace, script, "--approvals", "full")
    [call] = turn.calls
    assert (turn.stop, call["status"]) == ("end_turn", "failed")
    assert call["rawOutput"]["output"] == "begun\n"
    assert call["rawOutput"]["timed_out"] is True


async def test_command_reads_nothing_and_does_not_wait_for_input(
    world: Env, workspace: Path
) -> None:
    script = """
        call shell {"command": "cat; echo over"}
        say Done.
    """
    turn = await play(world, workspace, script, "--approvals", "full")
    assert turn.calls[0]["rawOutput"]["output"] == "over\n"


async def test_an_overflow_in_mid_answer_is_recovered_where_room_can_be_made(
    world: Env, workspace: Path
) -> None:
    (workspace / "long.txt").write_text("one line of many in a long file\n" * 600)
    file = workspace.with_name("script.txt")
    script = """
        on "read":
          call read_file {"path": "long.txt"}
          say Read.
        on "go on":
          begin Half of
          overflow 4000
          say The whole answer.
    """
    file.write_text(dedent(script))
    async with open_agent(world, "--script", str(file)) as agent:
        session = await agent.new_session(workspace)
        await session.prompt("read")
        turn = await session.prompt("go on")
    chunks = [u for u in turn.updates if u["sessionUpdate"] == "agent_message_chunk"]
    messages: dict[str, str] = {}
    for chunk in chunks:
        said = messages.get(chunk["messageId"], "")
        messages[chunk["messageId"]] = said + chunk["content"]["text"]
    assert (turn.stop, list(messages.values())) == ("end_turn", ["Half of", "The whole answer."])
    assert "the context was full; what was cut begins anew" in turn.thoughts


async def fails(session: Session, text: str) -> tuple[str, object]:
    with pytest.raises(RequestError) as caught:
        await session.prompt(text)
    return str(caught.value), caught.value.data


async def test_failures_of_the_engine_are_errors_of_the_prompt_alone(
    world: Env, workspace: Path
) -> None:
    script = """
        on "break":
          begin Half of
          drop
        on "refuse":
          fail the slot is on fire
        on "overflow":
          overflow
        otherwise:
          say Fine.
    """
    file = workspace.with_name("script.txt")
    file.write_text(dedent(script))
    async with open_agent(world, "--script", str(file)) as agent:
        session = await agent.new_session(workspace)
        assert await fails(session, "break") == (
            "the connection to the engine broke off in mid-answer; ask again",
            {"kind": "StreamDropped"},
        )
        assert Turn("", session.updates).answer == "Half of"
        assert await fails(session, "refuse") == (
            "the slot is on fire",
            {"kind": "EngineFailed"},
        )
        assert (await fails(session, "overflow"))[1] == {"kind": "ContextOverflow"}
        assert (await session.prompt("and now?")).answer == "Fine."


async def test_python_elsewhere_than_in_the_image_of_the_settings_is_told_once(
    world: Env, workspace: Path
) -> None:
    await working("landlock")
    image = str(workspace / "Dockerfile")
    script = 'call python {"code": "6 * 7"}\ncall python {"code": "7 * 8"}\nsay Done.\n'
    turn = await play(world | {"ACP_AGENT_SANDBOX_IMAGE": image}, workspace, script)
    assert [call["rawOutput"]["output"] for call in turn.calls] == ["42\n", "56\n"]
    assert turn.thoughts.count(f", and not in '{image}' (sandbox_image): ") == 1
