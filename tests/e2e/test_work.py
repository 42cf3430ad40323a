"""The demo weights at work: calls, diffs, permissions, and files and commands of the editor's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from acp.schema import PermissionOption, ToolCallUpdate

from acp_agent.verbs.demo import FILES, PROMPT, QUESTION
from acp_agent.voices import NANO_LABEL
from scripts.nano_dialogues import COMPUTE, FIX, WRITE
from tests.e2e.agent import open_agent
from tests.e2e.editor import Editor, choose
from tests.e2e.terminals import Terminals
from tests.e2e.turn import Json, Turn, merged_calls

pytestmark = pytest.mark.anyio

Env = dict[str, str]

BROKEN = FILES["calc.py"]
MENDED = BROKEN.replace("a - b", "a + b")
DENIAL = "Understood, I did not write the file."


def rows(turn: Turn, *fields: str) -> list[tuple[object, ...]]:
    return [tuple(call[field] for field in fields) for call in turn.calls]


async def test_failing_test_is_mended(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt(PROMPT)
    assert (turn.stop, turn.answer) == ("end_turn", NANO_LABEL + FIX.answer.text)
    assert (workspace / "calc.py").read_text() == MENDED
    assert rows(turn, "kind", "title", "status") == [
        ("think", "Update plan (0/3)", "completed"),
        ("execute", "python3 test_calc.py", "failed"),
        ("read", "Read calc.py", "completed"),
        ("edit", "Edit calc.py", "completed"),
        ("execute", "python3 test_calc.py", "completed"),
        ("think", "Update plan (3/3)", "completed"),
    ]
    thoughts = turn.thoughts.removeprefix("the engine is loading its model\n")
    assert thoughts == "".join(step.thought for step in FIX.steps) + FIX.answer.thought
    assert [[entry["status"] for entry in plan["entries"]] for plan in turn.plans] == [
        ["in_progress", "pending", "pending"],
        ["completed", "completed", "completed"],
    ]
    # Nothing but permissions was asked for: this editor offers neither files nor terminals.
    assert agent.editor.methods == ["session/request_permission"] * 3


async def test_calls_say_where_they_are_and_what_came_of_them(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt(PROMPT)
    _, failing, reading, editing, passing, _ = turn.calls
    path = str(workspace / "calc.py")
    assert [location["path"] for location in reading["locations"]] == [path]
    assert editing["locations"] == [{"path": path, "line": 5}]
    assert reading["rawInput"] == {"path": "calc.py"}
    assert reading["rawOutput"] == BROKEN.rstrip("\n")
    assert failing["rawInput"] == {"command": "python3 test_calc.py"}
    assert failing["rawOutput"]["exit_code"] == 1
    assert "add(2, 3) is -1, not 5" in failing["rawOutput"]["output"]
    assert passing["rawOutput"]["output"] == "ok: 1 test passed\n"
    assert turn.statuses(passing) == ["pending", "in_progress", "completed"]


async def test_diff_is_shown_before_the_question_and_the_file_is_unchanged_until_then(
    world: Env, workspace: Path
) -> None:
    seen: list[tuple[Json, str]] = []
    editor = Editor()

    def decide(call: ToolCallUpdate, options: Sequence[PermissionOption]) -> str | None:
        [updates] = editor.updates.values()
        shown = merged_calls(updates)[call.tool_call_id]
        seen.append((shown, (workspace / "calc.py").read_text()))
        return choose("allow_once")(call, options)

    editor.decide = decide
    async with open_agent(world, "--demo", editor=editor) as agent:
        await (await agent.new_session(workspace)).prompt(PROMPT)
    [(shown, text)] = [item for item in seen if item[0]["kind"] == "edit"]
    assert (shown["status"], text) == ("pending", BROKEN)
    [diff] = shown["content"]
    path = str(workspace / "calc.py")
    assert diff == {"type": "diff", "path": path, "oldText": BROKEN, "newText": MENDED}


async def test_question_carries_the_call_and_four_distinct_answers(
    world: Env, workspace: Path
) -> None:
    async with open_agent(world, "--demo") as agent:
        await (await agent.new_session(workspace)).prompt("write hello world")
    request = agent.editor.asked[0]["params"]
    path = str(workspace / "hello.py")
    assert request["toolCall"]["kind"] == "edit"
    assert request["toolCall"]["content"][0]["path"] == path
    assert [option["kind"] for option in request["options"]] == [
        "allow_once",
        "allow_always",
        "reject_once",
        "reject_always",
    ]


async def test_rejected_call_changes_nothing_and_the_model_is_told(
    world: Env, workspace: Path
) -> None:
    editor = Editor(decide=choose("reject_once"))
    async with open_agent(world, "--demo", editor=editor) as agent:
        turn = await (await agent.new_session(workspace)).prompt("write hello world")
    assert (turn.stop, turn.answer) == ("end_turn", NANO_LABEL + DENIAL)
    assert rows(turn, "kind", "status") == [("edit", "failed")]
    assert not (workspace / "hello.py").exists()


async def test_question_answered_with_cancelled_ends_the_turn(world: Env, workspace: Path) -> None:
    editor = Editor(decide=lambda _call, _options: None)
    async with open_agent(world, "--demo", editor=editor) as agent:
        turn = await (await agent.new_session(workspace)).prompt("write hello world")
    assert (turn.stop, turn.answer) == ("cancelled", "")
    assert rows(turn, "kind", "status") == [("edit", "failed")]
    assert not (workspace / "hello.py").exists()


async def test_always_is_remembered_for_the_same_command(world: Env, workspace: Path) -> None:
    editor = Editor(decide=choose("allow_always"))
    async with open_agent(world, "--demo", editor=editor) as agent:
        turn = await (await agent.new_session(workspace)).prompt(PROMPT)
    assert turn.stop == "end_turn"
    assert [question["kind"] for question in editor.questions] == ["execute", "edit"]


async def test_read_only_session_changes_nothing_and_asks_nothing(
    world: Env, workspace: Path
) -> None:
    async with open_agent(world, "--demo") as agent:
        session = await agent.new_session(workspace)
        await agent.connection.set_config_option("approvals", session.id, "read-only")
        turn = await session.prompt("write hello world")
    assert agent.editor.methods == []
    assert {call["status"] for call in turn.calls} == {"failed"}
    assert not (workspace / "hello.py").exists()


async def test_full_approvals_ask_nothing(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo", "--approvals", "full") as agent:
        turn = await (await agent.new_session(workspace)).prompt("write hello world")
    assert agent.editor.methods == []
    assert turn.answer == NANO_LABEL + WRITE.answer.text
    assert (workspace / "hello.py").read_text() == "print('hello world')\n"


async def test_unsaved_buffer_is_read_and_changed_through_the_editor(
    world: Env, workspace: Path
) -> None:
    path = workspace / "calc.py"
    unsaved = f"# not saved yet\n{BROKEN}"
    editor = Editor(buffers={str(path): unsaved})
    async with open_agent(world, "--demo", editor=editor) as agent:
        turn = await (await agent.new_session(workspace)).prompt(PROMPT)
    reading, editing = turn.calls[2], turn.calls[3]
    assert reading["rawOutput"] == unsaved.rstrip("\n")
    changed = f"# not saved yet\n{MENDED}"
    [diff] = editing["content"]
    assert (diff["oldText"], diff["newText"]) == (unsaved, changed)
    assert editor.buffers == {str(path): changed}
    assert path.read_text() == BROKEN  # the editor saves when its user wants to
    assert editor.methods.count("fs/write_text_file") == 1


async def test_new_file_is_written_through_the_editor(world: Env, workspace: Path) -> None:
    editor = Editor(buffers={})
    async with open_agent(world, "--demo", editor=editor) as agent:
        turn = await (await agent.new_session(workspace)).prompt("write hello world")
    assert turn.stop == "end_turn"
    assert editor.buffers == {str(workspace / "hello.py"): "print('hello world')\n"}
    assert not (workspace / "hello.py").exists()


async def test_command_runs_in_a_terminal_of_the_editor(
    world: Env, workspace: Path, terminals: Terminals
) -> None:
    editor = Editor(terminals=terminals)
    async with open_agent(world, "--demo", editor=editor) as agent:
        turn = await (await agent.new_session(workspace)).prompt("write hello world")
    assert turn.answer == NANO_LABEL + WRITE.answer.text
    running = turn.calls[1]
    assert (running["title"], running["status"]) == ("python3 hello.py", "completed")
    assert running["content"] == [{"type": "terminal", "terminalId": "term-1"}]
    assert running["rawOutput"]["output"] == "hello world\n"
    created = next(r["params"] for r in editor.asked if r["method"] == "terminal/create")
    assert created["cwd"] == str(workspace)
    assert terminals.released == ["term-1"]
    # The file of a sandbox and the command; where none works, a shell, `-c` and the command.
    assert (created["args"][-1], len(created["args"]) < 3) == ("python3 hello.py", True)
    assert "sandbox" not in created["command"] or not Path(created["command"]).exists()


async def test_output_of_a_command_is_shown_where_there_is_no_terminal(
    world: Env, workspace: Path
) -> None:
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt("write hello world")
    [shown] = turn.calls[1]["content"]
    assert shown["type"] == "content"
    assert shown["content"]["text"].startswith("```\nhello world\n")


async def test_python_computes_in_a_sandbox_or_after_a_question(
    world: Env, workspace: Path
) -> None:
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt(QUESTION)
    [step] = COMPUTE.steps
    [call] = turn.calls
    assert turn.answer == NANO_LABEL + COMPUTE.answer.text
    assert (call["kind"], call["status"], call["rawInput"]) == (
        "execute",
        "completed",
        {"code": step.body},
    )
    assert call["rawOutput"]["output"] == "541\n"
    asked = call["title"].startswith("without a sandbox: ")
    assert agent.editor.methods == ["session/request_permission"] * asked


async def test_python_without_a_sandbox_says_so_and_runs_when_allowed(
    world: Env, workspace: Path
) -> None:
    env = world | {"ACP_AGENT_SANDBOX": "off"}
    async with open_agent(env, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt(QUESTION)
    [question] = agent.editor.questions
    assert question["title"].startswith("without a sandbox: primes = ")
    [call] = turn.calls
    assert call["content"][0]["content"]["text"] == (
        "This code runs without a sandbox, with all your rights: it is off by the settings."
    )
    assert call["rawOutput"]["output"] == "541\n"


async def test_python_without_a_sandbox_does_not_run_when_rejected(
    world: Env, workspace: Path
) -> None:
    assert COMPUTE.refused
    env = world | {"ACP_AGENT_SANDBOX": "off"}
    editor = Editor(decide=choose("reject_once"))
    async with open_agent(env, "--demo", editor=editor) as agent:
        turn = await (await agent.new_session(workspace)).prompt(QUESTION)
    assert (turn.stop, turn.answer) == ("end_turn", NANO_LABEL + COMPUTE.refused.text)
    assert rows(turn, "status") == [("failed",)]


async def test_search_finds_what_is_in_the_workspace(world: Env, workspace: Path) -> None:
    (workspace / "notes.md").write_text("# Notes\n\nTODO: multiply\n")
    async with open_agent(world, "--demo") as agent:
        turn = await (await agent.new_session(workspace)).prompt("search for TODO")
    [call] = turn.calls
    assert (call["kind"], call["status"]) == ("search", "completed")
    assert "notes.md:3" in str(call["rawOutput"])
