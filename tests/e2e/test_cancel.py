"""Cancelling the real agent: answered as cancelled, silent afterwards, nothing left running."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from acp_agent.voices import NANO_LABEL
from scripts.nano_dialogues import COUNT, HELLO
from tests.e2e.agent import Agent, Session, open_agent
from tests.e2e.editor import Editor
from tests.e2e.processes import Process, descendants, running, until
from tests.e2e.terminals import Terminals
from tests.e2e.turn import Turn

pytestmark = pytest.mark.anyio

Env = dict[str, str]


def sleepers() -> set[Process]:
    """Return the running `sleep 30`, which is a child of the agent's or of this editor's."""
    return {process for process in descendants(os.getpid()) if "sleep 30" in process.command}


async def cancelled_command(session: Session) -> tuple[Turn, set[Process]]:
    """Cancel a turn while its command runs; return the turn, and the command's processes."""
    turns: list[Turn] = []
    started: set[Process] = set()
    terminals = session.agent.editor.terminals

    async def run() -> None:
        turns.append(await session.prompt("run a slow command"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await session.runs("sleep 30")
        if terminals is not None:
            await session.agent.editor.until(
                lambda: "content" in Turn("", session.updates).calls[0]
            )
        await until(lambda: bool(sleepers()))
        started |= sleepers()
        await session.cancel()
    return turns[0], started


def answer_index(agent: Agent, method: str) -> int:
    """Return where in the frames the first request of `method` is answered."""
    request = next(f for f in agent.editor.frames if f.get("method") == method)
    return next(
        number
        for number, frame in enumerate(agent.editor.frames)
        if frame.get("id") == request["id"] and "result" in frame
    )


async def test_cancel_mid_stream_answers_cancelled_and_is_silent_afterwards(
    world: Env, workspace: Path
) -> None:
    turns: list[Turn] = []
    async with open_agent(world, "--demo") as agent:
        session = await agent.new_session(workspace)

        async def count() -> None:
            turns.append(await session.prompt("count forever"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            await session.says(f"{COUNT.answer.text} one two three")
            await session.cancel()
        second = await session.prompt("hello")

    assert turns[0].stop == "cancelled"
    assert turns[0].answer.startswith(f"{NANO_LABEL}{COUNT.answer.text} one two three")
    assert (second.stop, second.answer) == ("end_turn", NANO_LABEL + HELLO.answer.text)
    frames = agent.editor.frames[answer_index(agent, "session/prompt") :]
    updates = [f["params"]["update"] for f in frames if f.get("method") == "session/update"]
    late = {u.get("messageId") for u in updates} & {u.get("messageId") for u in turns[0].updates}
    assert late <= {None}  # updates without a message id are the second turn's usage


async def test_cancel_during_a_command_kills_it(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        session = await agent.new_session(workspace)
        turn, started = await cancelled_command(session)
        assert running(started) == set()
        assert descendants(agent.process.pid) == set()
        [call] = turn.calls
        assert (turn.stop, call["title"], call["status"]) == ("cancelled", "sleep 30", "failed")
        assert (await session.prompt("hello")).answer == NANO_LABEL + HELLO.answer.text


async def test_cancel_during_a_command_releases_the_editors_terminal(
    world: Env, workspace: Path, terminals: Terminals
) -> None:
    async with open_agent(world, "--demo", editor=Editor(terminals=terminals)) as agent:
        turn, started = await cancelled_command(await agent.new_session(workspace))
    assert (turn.stop, terminals.released) == ("cancelled", ["term-1"])
    assert running(started) == set()


async def test_cancel_while_a_terminal_is_opened_releases_it_all_the_same(
    world: Env, workspace: Path, terminals: Terminals
) -> None:
    editor = Editor(terminals=terminals)
    async with open_agent(world, "--demo", editor=editor) as agent:
        # So the answer that names the terminal follows on the heels of the cancel.
        editor.opening = agent.connection.cancel
        turn = await (await agent.new_session(workspace)).prompt("run a slow command")
        assert turn.stop == "cancelled"
        with anyio.fail_after(10):
            while terminals.released != ["term-1"]:
                await anyio.lowlevel.checkpoint()
        assert sleepers() == set()


async def cancelled_question(world: Env, workspace: Path, editor: Editor, *, answers: bool) -> Turn:
    """Cancel a turn while its user is being asked."""
    turns: list[Turn] = []
    async with open_agent(world, "--demo", editor=editor) as agent:
        session = await agent.new_session(workspace)

        async def run() -> None:
            turns.append(await session.prompt("write hello world"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await editor.until(lambda: editor.questions != [])
            await session.cancel()
            if answers:
                editor.answering.set()
    return turns[0]


async def test_question_that_the_editor_answers_with_cancelled_runs_nothing(
    world: Env, workspace: Path
) -> None:
    editor = Editor(decide=lambda _call, _options: None, answering=anyio.Event())
    turn = await cancelled_question(world, workspace, editor, answers=True)
    assert (turn.stop, [call["status"] for call in turn.calls]) == ("cancelled", ["failed"])
    assert not (workspace / "hello.py").exists()


async def test_question_that_is_never_answered_is_taken_back(world: Env, workspace: Path) -> None:
    editor = Editor(answering=anyio.Event())
    turn = await cancelled_question(world, workspace, editor, answers=False)
    assert (turn.stop, [call["status"] for call in turn.calls]) == ("cancelled", ["failed"])
    assert "$/cancel_request" in [frame.get("method") for frame in editor.frames]
    assert not (workspace / "hello.py").exists()


async def test_cancel_with_nothing_to_cancel_is_harmless(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        session = await agent.new_session(workspace)
        await session.cancel()
        turn = await session.prompt("hello")
        await session.cancel()
        assert (turn.stop, turn.answer) == ("end_turn", NANO_LABEL + HELLO.answer.text)
        assert (await session.prompt("thanks")).stop == "end_turn"
