"""A prompt on a machine without a model: what the user reads, is asked, and gets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
import pytest

from acp_agent.agent.setup import Offer, Setup, Tell
from acp_agent.backends.script import Answer, Say
from acp_agent.backends.scripted import ScriptedEngine
from acp_agent.conversation import UserMessage
from acp_agent.errors import AgentError, NoModel
from acp_agent.events import Text, ToolCallStarted, ToolCallUpdated
from acp_agent.ports import EngineEvent, Sampling
from tests.agent.conftest import AnsweringEditor, MakeStage, Stage

pytestmark = pytest.mark.anyio

OFFER = Offer("gpt-oss-20b", "12.1 GB", "Apache-2.0", "The licence.", "acp-agent models install x")


class MissingModel(ScriptedEngine):
    """An engine that has no weights before `there`."""

    there = False

    @asynccontextmanager
    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        if not self.there:
            raise NoModel("no gpt-oss model was found")
        async with super().stream(prompt, sampling) as events:
            yield events


@dataclass
class ScriptedInstaller:
    """Says `words` one after the other, and then brings the model, fails, or never ends."""

    engine: MissingModel
    trouble: str = ""
    failure: str = ""
    hangs: bool = False
    licence: str = OFFER.licence
    words: tuple[str, ...] = ("downloading: 1.0 of 12.1 GB",)
    begun: anyio.Event = field(default_factory=anyio.Event)

    async def offer(self) -> Offer:
        return replace(OFFER, trouble=self.trouble, licence=self.licence)

    async def install(self, tell: Tell) -> None:
        for words in self.words:
            await tell(words)
        self.begun.set()
        if self.hangs:
            await anyio.sleep_forever()
        if self.failure:
            raise AgentError(self.failure)
        self.engine.there = True


def bare_machine(
    stage: MakeStage, *answers: str | None, **how: object
) -> tuple[Stage, ScriptedInstaller]:
    engine = MissingModel([Answer([[Say("Hello.")]])])
    editor = AnsweringEditor(*answers)
    installer = ScriptedInstaller(engine, **how)  # pyright: ignore[reportArgumentType]
    return stage(engine=engine, editor=editor, setup=Setup(installer, editor)), installer


def texts(play: Stage) -> list[object]:
    return [event.content[0] for event in play.of(ToolCallUpdated) if event.content]


async def test_the_model_is_offered_installed_and_answers(stage: MakeStage) -> None:
    play, _ = bare_machine(stage, "install")
    assert await play.prompt("hi") == "end_turn"
    assert play.of(ToolCallStarted)[0].title == "Install gpt-oss-20b (12.1 GB)"
    assert texts(play) == [
        Text("The licence."),
        Text("downloading: 1.0 of 12.1 GB"),
        Text("It is installed."),
    ]
    assert play.statuses() == ["in_progress", "completed"]
    assert play.text().splitlines() == [
        "No gpt-oss model is ready on this machine.  ",
        "gpt-oss-20b (12.1 GB, licence Apache-2.0) can be installed: answer the question below, or"
        " run `acp-agent models install x` in a terminal.  ",
        "If you have one: set GPT_OSS_GGUF_MODEL_PATH to a GGUF file, or GPT_OSS_URL to a llama.cpp"
        " server that runs.",
        "Hello.",
    ]


async def test_a_model_of_ones_own_need_not_have_a_licence(stage: MakeStage) -> None:
    play, installer = bare_machine(stage, "later")
    installer.licence = ""
    await play.prompt("Hi")
    assert "\ngpt-oss-20b (12.1 GB) can be installed: " in play.text()


async def test_the_question_names_the_licence(stage: MakeStage) -> None:
    play, _ = bare_machine(stage, "install")
    await play.prompt("hi")
    assert play.editor.questions == [["Accept the licence and install", "Not now"]]


async def test_who_says_not_now_is_asked_again_by_the_next_prompt(stage: MakeStage) -> None:
    play, _ = bare_machine(stage, "later", "install")
    assert await play.prompt("one") == "end_turn"
    assert play.statuses() == ["failed"]
    assert await play.prompt("two") == "end_turn"
    assert "one" not in play.prompt_text()  # it was never answered


async def test_a_dismissed_question_cancels_the_turn(stage: MakeStage) -> None:
    play, _ = bare_machine(stage, None)
    assert await play.prompt("hi") == "cancelled"
    assert play.statuses() == ["failed"]


async def test_where_it_cannot_be_installed_the_reason_is_said_and_nothing_asked(
    stage: MakeStage,
) -> None:
    play, _ = bare_machine(stage, trouble="gpt-oss-20b needs 16 GB of memory, this machine has 8.")
    assert await play.prompt("hi") == "end_turn"
    assert play.text().splitlines()[1].startswith("gpt-oss-20b needs 16 GB of memory")
    assert play.of(ToolCallStarted) == []
    assert play.editor.questions == []


async def test_a_download_that_fails_says_why(stage: MakeStage) -> None:
    play, _ = bare_machine(stage, "install", failure="the disk is full")
    assert await play.prompt("hi") == "end_turn"
    assert texts(play)[-1] == Text("the disk is full")
    assert play.statuses() == ["in_progress", "failed"]


async def test_a_cancel_stops_the_download(stage: MakeStage) -> None:
    play, installer = bare_machine(stage, "install", hangs=True)
    stops: list[str] = []

    async def prompt() -> None:
        stops.append(await play.prompt("hi"))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(prompt)
            await installer.begun.wait()
            play.session.cancel()
    assert stops == ["cancelled"]
    assert play.statuses() == ["in_progress", "failed"]


async def test_without_an_installer_the_error_is_told(stage: MakeStage) -> None:
    play = stage(engine=MissingModel([]))
    with anyio.fail_after(5), pytest.raises(NoModel):
        await play.session.prompt(UserMessage("hi"), play.emit)
