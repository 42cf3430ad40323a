"""Turns that end otherwise than by an answer: cut, cancelled, broken off, run out of tries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from acp_agent.agent.turn import Limits
from acp_agent.backends.script import (
    Answer,
    Begin,
    Drop,
    Invoke,
    Limit,
    Overflow,
    Raw,
    Say,
    Think,
    Wait,
)
from acp_agent.backends.scripted import ScriptedEngine
from acp_agent.errors import ContextOverflow, EngineMismatch, NotReady, StreamDropped, ToolFailed
from acp_agent.events import (
    Noticed,
    Text,
    ToolCallUpdated,
    UsageUpdated,
)
from acp_agent.ports import PermissionOption
from acp_agent.sandbox.bare import open_bare
from acp_agent.tools.python import PythonTool
from acp_agent.tools.toolbox import make_tools
from acp_agent.tools.workspace import Workspace
from tests.agent.conftest import AnsweringEditor, MakeStage

pytestmark = pytest.mark.anyio

DONE = [Think("ok"), Say("Done.")]
WRITE = Invoke("write_file", '{"path": "a.txt", "content": "new\\n"}')
ENDLESS = [Begin("word " * 20_000), Limit()]


async def test_a_call_without_its_terminator_does_not_run(stage: MakeStage) -> None:
    cut = '<|channel|>commentary to=functions.write_file json<|message|>{"path": "a.txt"}<|return|>'
    play = stage([Raw(cut)], DONE)
    assert await play.prompt() == "end_turn"
    assert "did not run" in play.prompt_text()
    assert play.statuses() == ["failed"]


async def test_bad_calls_without_end_end_the_turn(stage: MakeStage) -> None:
    play = stage([Invoke("nothing", "{}")], again=True, limits=Limits(bad_calls=3))
    assert await play.prompt() == "max_turn_requests"
    assert len(play.engine.requests) == 3
    assert play.of(Noticed) == [
        Noticed("stopped: nothing could be run 3 times in a row", "warning")
    ]


async def test_a_good_call_forgives_bad_ones(stage: MakeStage) -> None:
    bad, good = [Invoke("nothing", "{}")], [Invoke("list_files", "{}")]
    play = stage(bad, good, bad, good, DONE, limits=Limits(bad_calls=2))
    assert await play.prompt() == "end_turn"


async def test_steps_without_end_end_the_turn(stage: MakeStage) -> None:
    play = stage([Invoke("list_files", "{}")], again=True, limits=Limits(steps=4))
    assert await play.prompt() == "max_turn_requests"
    assert len(play.engine.requests) == 4


async def test_a_cut_answer_says_max_tokens(stage: MakeStage) -> None:
    play = stage([Begin("half of"), Limit()])
    assert await play.prompt() == "max_tokens"
    assert play.text() == "half of"


async def test_a_call_cut_in_its_arguments_ends_as_failed(stage: MakeStage) -> None:
    cut = '<|channel|>commentary to=functions.shell json<|message|>{"command": "rm'
    play = stage([Raw(cut), Limit()])
    assert await play.prompt() == "max_tokens"
    assert play.statuses() == ["failed"]


async def test_cancel_mid_stream_answers_cancelled_and_keeps_what_was_said(
    stage: MakeStage,
) -> None:
    play = stage(ENDLESS, again=True)
    stops: list[str] = []

    async def run() -> None:
        stops.append(await play.prompt("first"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        with anyio.fail_after(10):
            await play.spoke.wait()
        play.session.cancel()
    said = play.text()
    assert stops == ["cancelled"]
    assert said
    play.engine.requests.clear()
    with anyio.move_on_after(0.2):
        await play.prompt("second")
    assert f"<|channel|>final<|message|>{said}<|end|>" in play.prompt_text(0)


async def test_cancel_while_a_question_is_open_runs_nothing(stage: MakeStage) -> None:
    play = stage([WRITE], DONE)
    stops: list[str] = []

    async def run() -> None:
        stops.append(await play.prompt())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        with anyio.fail_after(10):
            await play.editor.asked.wait()
        play.session.cancel()
    assert stops == ["cancelled"]
    assert play.statuses() == ["pending", "failed"]
    assert not (play.cwd / "a.txt").exists()


async def test_a_question_answered_with_cancelled_ends_the_turn(stage: MakeStage) -> None:
    play = stage([WRITE], DONE, answers=[None])
    assert await play.prompt() == "cancelled"
    assert len(play.engine.requests) == 1


async def test_a_new_prompt_takes_the_place_of_the_running_one(stage: MakeStage) -> None:
    play = stage(ENDLESS, again=True)
    stops: list[tuple[str, str]] = []

    async def run(name: str) -> None:
        stops.append((name, await play.prompt(name)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, "first")
        with anyio.fail_after(10):
            await play.spoke.wait()
        tasks.start_soon(run, "second")
        with anyio.fail_after(10):
            while len(play.engine.requests) < 2:
                await anyio.lowlevel.checkpoint()
        play.session.cancel()
    assert stops == [("first", "cancelled"), ("second", "cancelled")]


async def test_a_dropped_stream_says_nothing_twice_and_the_session_goes_on(
    stage: MakeStage,
) -> None:
    play = stage([Begin("The beginning"), Drop()], again=True)
    with pytest.raises(StreamDropped):
        await play.prompt()
    assert play.text() == "The beginning"
    with pytest.raises(StreamDropped):
        await play.prompt("again")
    assert play.prompt_text().count("The beginning") == 1


async def test_a_prompt_that_is_too_long_is_an_error_with_the_numbers(stage: MakeStage) -> None:
    play = stage([Overflow(300), DONE[-1]])
    with pytest.raises(ContextOverflow, match="context holds 300"):
        await play.prompt()


async def test_malformed_output_is_repaired_and_logged(
    stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    play = stage([Raw("<|channel|>final<|channel|>final<|message|>Well.<|return|>")])
    assert await play.prompt() == "end_turn"
    assert play.text() == "Well."
    assert "repaired what the model wrote" in caplog.text


async def test_reasoning_alone_is_no_answer(stage: MakeStage) -> None:
    mute = [Raw("<|channel|>analysis<|message|>Hm.<|end|>")]
    play = stage(mute, again=True, limits=Limits(bad_calls=2))
    assert await play.prompt() == "max_turn_requests"


async def test_a_prompt_that_was_too_long_does_not_spoil_the_session(stage: MakeStage) -> None:
    script = [Answer([[Overflow()]], pattern="huge"), Answer([DONE])]
    play = stage(engine=ScriptedEngine(script))
    with pytest.raises(ContextOverflow):
        await play.prompt("huge")
    assert await play.prompt("small") == "end_turn"
    assert "huge" not in play.prompt_text()


async def test_a_prompt_too_long_that_was_cancelled_goes_with_the_next_error(
    stage: MakeStage,
) -> None:
    play = stage([Wait(60), Say("late")], again=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play.prompt, "huge")
        with anyio.fail_after(10):
            while not play.engine.requests:
                await anyio.lowlevel.checkpoint()
        play.session.cancel()
    play.engine.play([Answer([[Overflow()]], pattern="next"), Answer([DONE])])
    with pytest.raises(ContextOverflow):
        await play.prompt("next")
    assert await play.prompt("small") == "end_turn"
    assert "huge" not in play.prompt_text()


async def test_an_answer_without_its_terminator_is_said_once(stage: MakeStage) -> None:
    play = stage([Raw("<|channel|>final<|message|>Hello")])
    assert await play.prompt() == "end_turn"
    assert play.text() == "Hello"


class RefusingEditor(AnsweringEditor):
    """An editor that cannot ask its user."""

    async def request_permission(
        self, call: ToolCallUpdated, options: Sequence[PermissionOption]
    ) -> str | None:
        raise ToolFailed("the editor refused session/request_permission: not now")


async def test_an_editor_that_cannot_ask_means_no_and_the_run_goes_on(stage: MakeStage) -> None:
    play = stage([WRITE], DONE, editor=RefusingEditor())
    assert await play.prompt() == "end_turn"
    assert not (play.cwd / "a.txt").exists()
    assert "not now" in play.prompt_text()


class SizelessEngine(ScriptedEngine):
    """An engine that does not say how much it holds."""

    async def context_size(self) -> int:
        raise EngineMismatch("no /props here")


async def test_an_answer_stands_though_the_context_size_is_unknown(stage: MakeStage) -> None:
    play = stage(engine=SizelessEngine([Answer([DONE])]))
    assert await play.prompt() == "end_turn"
    assert play.of(UsageUpdated) == []


class SlowSandbox:
    """What `python` finds on a machine whose image is not built: `trouble` of the tool."""

    def __init__(self) -> None:
        self.built = False

    async def trouble(self) -> str:
        if not self.built:
            raise NotReady("Getting the image, once.", self.build)
        return "no sandbox here"

    async def build(self) -> None:
        self.built = True


async def test_what_a_call_waits_for_is_shown_in_it_and_it_runs_then(
    stage: MakeStage, tmp_path: Path
) -> None:
    editor = AnsweringEditor("allow_once")
    workspace = Workspace(tmp_path, (), editor)
    sandbox = SlowSandbox()
    python = PythonTool(workspace, open_bare, trouble=sandbox.trouble)
    tools = make_tools(workspace, editor, command_timeout=10, more=[python], closers=[python.close])
    play = stage([Invoke("python", "6 * 7")], DONE, toolbox=tools, editor=editor)
    assert await play.prompt() == "end_turn"
    await tools.close()
    told = [call.content for call in play.of(ToolCallUpdated) if call.content]
    assert told[0] == (Text("Getting the image, once."),)
    assert play.statuses() == ["pending", "in_progress", "completed"]
    assert "42" in play.prompt_text()
