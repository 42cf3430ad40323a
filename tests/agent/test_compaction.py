"""Long conversations: what is cut, summed up and kept, and that the history stays well formed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from acp_agent.agent.history import SUMMARY as HEADING
from acp_agent.agent.recorder import NoRecord
from acp_agent.agent.session import Past
from acp_agent.backends.script import (
    Answer,
    Begin,
    Invoke,
    Item,
    Overflow,
    Preamble,
    Raw,
    Say,
    Think,
)
from acp_agent.backends.scripted import ScriptedEngine
from acp_agent.conversation import Call, Entry, ModelStep, ToolMessage, UserMessage
from acp_agent.errors import ContextOverflow
from acp_agent.events import (
    CompactionSummarized,
    CompactionUpdated,
    Event,
    Noticed,
    TextDelta,
    ToolCallUpdated,
)
from acp_agent.harmony.parser import Parser
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.ports import EngineEvent, Sampling
from tests.agent.conftest import MakeStage, Stage

pytestmark = pytest.mark.anyio

FACT = "the port is 4711"
SUMMARY = f"The user builds a server; {FACT}."
READ = Invoke("read_file", '{"path": "long.txt"}')


def answers() -> list[Answer]:
    return [
        Answer([[Say(SUMMARY)]], "Sum up our conversation", again=True),
        Answer([[READ], [Say("Fine.")]], "read it", again=True),
        Answer([[Think("ok"), Say("Noted.")]], again=True),
    ]


def engine(context: int = 4000) -> ScriptedEngine:
    return ScriptedEngine(answers(), context=context)


def written(play: Stage, characters: int = 8_000) -> Stage:
    words = "".join(f"line {n}\n" for n in range(characters // 8))
    (play.cwd / "long.txt").write_text(words)
    return play


def told(play: Stage) -> list[str]:
    return [event.text for event in play.of(CompactionUpdated) if event.text]


async def test_a_short_conversation_is_left_alone(stage: MakeStage) -> None:
    play = stage(engine=engine())
    for _ in range(3):
        await play.prompt("hello")
    assert play.of(CompactionUpdated) == []


async def test_old_tool_results_are_cut_first_and_only_as_far_as_needed(stage: MakeStage) -> None:
    play = written(stage(engine=engine(9_000)))
    for _ in range(3):
        await play.prompt("read it")
    (words,) = told(play)
    assert words.startswith("old tool results were cut: ")
    text = play.prompt_text()
    assert "characters left out …]" in text
    assert "line 1\n" in text  # the head stays
    assert HEADING not in text


async def test_a_fact_outlives_five_summaries(stage: MakeStage) -> None:
    play = stage(engine=engine(2_400))
    await play.prompt(f"Remember: {FACT}. " + "word " * 400)
    while len(play.of(CompactionSummarized)) == 0 or len(told(play)) < 5:
        assert await play.prompt("more " * 400) == "end_turn"
        assert len(play.events) < 5_000
    assert FACT in play.prompt_text()
    assert HEADING.strip() in play.prompt_text()


class Entries(NoRecord):
    """Keeps the history as a record would."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def added(self, entry: Entry) -> None:
        self.entries.append(entry)

    def dropped(self, count: int) -> None:
        del self.entries[-count:]

    def replaced(self, entries: Sequence[Entry]) -> None:
        self.entries = list(entries)


async def test_the_history_stays_well_formed_harmony(stage: MakeStage) -> None:
    recorded = Entries()
    play = written(stage(engine=engine(6_000), recorder=recorded))
    for _ in range(6):
        await play.prompt("read it")
    history = recorded.entries
    vocabulary = load_vocabulary()
    waiting = 0
    for entry in history:
        match entry:
            case UserMessage():
                assert waiting == 0
            case ModelStep(calls=calls, tokens=tokens):
                assert waiting == 0
                waiting = len(calls)
                parser = Parser(vocabulary, str)
                parser.feed(tokens or ())
                assert parser.step().repairs == ()
            case ToolMessage():
                waiting -= 1
    assert waiting == 0


class Crowded(ScriptedEngine):
    """An engine that says `times` times that the prompt is too large, though it holds more."""

    times = 0

    @asynccontextmanager
    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        if self.times:
            self.times -= 1
            raise ContextOverflow(2 * len(prompt), len(prompt))
        async with super().stream(prompt, sampling) as events:
            yield events


async def test_an_overflow_that_the_engine_reports_is_recovered_once(stage: MakeStage) -> None:
    crowded = Crowded(answers())
    play = written(stage(engine=crowded))
    await play.prompt("read it")
    crowded.times = 1
    assert await play.prompt("go on") == "end_turn"
    assert [words.split(":")[0] for words in told(play)] == [
        "old tool results were cut",
        "earlier messages were summed up",
    ]
    crowded.times = 2
    with anyio.fail_after(10), pytest.raises(ContextOverflow):
        await play.session.prompt(UserMessage("go on"), play.emit)


CUT_CALL = '<|channel|>commentary to=functions.shell json<|message|>{"comm'


def filling(*cut: Item, room: int = 2_500) -> ScriptedEngine:
    """Return an engine whose context is full while it answers "go on", unless it has room."""
    return ScriptedEngine([Answer([[*cut, Overflow(room), Say("Whole.")]], "go on"), *answers()])


async def test_what_an_overflow_cuts_begins_anew_in_a_message_of_its_own(stage: MakeStage) -> None:
    play = written(stage(engine=filling(Think("Hm."), Begin("Half of"))))
    await play.prompt("read it")
    play.events.clear()
    assert await play.prompt("go on") == "end_turn"
    at = play.events.index(Noticed("the context was full; what was cut begins anew"))
    cut, anew = (
        {event.message_id: event.text for event in part if isinstance(event, TextDelta)}
        for part in (play.events[:at], play.events[at:])
    )
    assert not cut.keys() & anew.keys()
    assert play.text() == "Half ofWhole."
    assert (len(cut), len(anew)) == (1, 1)
    await play.prompt("hello")
    assert "Half of" not in play.prompt_text()
    assert "Whole." in play.prompt_text()


async def test_a_call_that_an_overflow_cuts_has_failed_before_the_step_begins_anew(
    stage: MakeStage,
) -> None:
    play = written(stage(engine=filling(Raw(CUT_CALL))))
    await play.prompt("read it")
    play.events.clear()
    assert await play.prompt("go on") == "end_turn"
    shown = [e for e in play.events if isinstance(e, ToolCallUpdated | TextDelta)]
    assert isinstance(shown[0], ToolCallUpdated)
    assert shown[0].status == "failed"
    assert play.text() == "Whole."


async def test_an_overflow_that_nothing_can_be_done_about_keeps_what_was_said(
    stage: MakeStage,
) -> None:
    play = stage(engine=filling(Begin("Half of"), room=1))
    with anyio.fail_after(10), pytest.raises(ContextOverflow):
        await play.session.prompt(UserMessage("go on"), play.emit)
    await play.prompt("hello")
    assert "Half of" in play.prompt_text()


async def test_what_was_said_stays_if_making_room_is_cancelled(stage: MakeStage) -> None:
    play = written(stage(engine=filling(Begin("Half of"))))
    await play.prompt("hello " * 3_000)

    async def emit(event: Event) -> None:
        if isinstance(event, CompactionUpdated):
            play.session.cancel()
        await play.emit(event)

    with anyio.fail_after(10):
        assert await play.session.prompt(UserMessage("go on"), emit) == "cancelled"
    await play.prompt("hello")
    assert "Half of" in play.prompt_text()


async def test_a_prompt_that_is_too_large_alone_is_refused_with_the_numbers(
    stage: MakeStage,
) -> None:
    play = stage(engine=engine(2_400))
    await play.prompt("hello")
    with anyio.fail_after(10), pytest.raises(ContextOverflow) as caught:
        await play.session.prompt(UserMessage("word " * 5_000), play.emit)
    assert caught.value.context_size == 2_400
    assert caught.value.prompt_tokens > 5_000
    assert await play.prompt("hello") == "end_turn"


async def test_a_refusal_tells_that_a_part_of_the_context_is_kept_for_the_answer(
    stage: MakeStage,
) -> None:
    play = stage(engine=engine(4_000))
    await play.prompt("hello")
    with anyio.fail_after(10), pytest.raises(ContextOverflow) as caught:
        await play.session.prompt(UserMessage("word " * 2_600), play.emit)
    assert caught.value.prompt_tokens <= 4_000
    assert "context holds 4000, 1000 of them for the answer; send a shorter" in str(caught.value)


async def test_compact_sums_up_on_demand_and_says_what_came_of_it(stage: MakeStage) -> None:
    play = stage(engine=engine(50_000))
    assert await play.prompt("/compact") == "end_turn"
    assert play.text() == "There is nothing to sum up yet."
    await play.prompt(f"Remember: {FACT}. " + "word " * 500)
    play.events.clear()
    assert await play.prompt("/compact the port") == "end_turn"
    assert "Above all keep what matters for: the port" in play.prompt_text()
    assert play.text().startswith("The conversation has ")
    assert "".join(event.text for event in play.of(CompactionSummarized)) == SUMMARY
    assert [event.status for event in play.of(CompactionUpdated)] == ["in_progress", "completed"]
    await play.prompt("hello")
    assert FACT in play.prompt_text()
    assert "word word" not in play.prompt_text()


async def test_a_prompt_too_large_takes_no_summary_with_it(stage: MakeStage) -> None:
    play = stage(engine=engine(4_000))
    await play.prompt(f"Remember: {FACT}.")
    await play.prompt("/compact")
    with anyio.fail_after(10), pytest.raises(ContextOverflow):
        await play.session.prompt(UserMessage("word " * 5_000), play.emit)
    await play.prompt("hello")
    assert FACT in play.prompt_text()


async def test_a_model_that_cannot_sum_up_loses_no_summary_of_before(stage: MakeStage) -> None:
    padding = "word " * 100
    play = stage(
        engine=ScriptedEngine(
            [
                Answer([[Preamble("Let me look."), READ]], "for: the work"),
                Answer([[Say(padding + SUMMARY)]], "Sum up our conversation"),
                Answer([[Say("Hello.")]]),
            ],
            context=50_000,
        )
    )
    await play.prompt("Remember this.")
    await play.prompt("/compact")
    await play.prompt("hello")
    await play.prompt("/compact the work")
    await play.prompt("still there?")
    assert FACT in play.prompt_text()
    assert "You: Hello." in play.prompt_text()
    assert "Let me look." not in play.prompt_text()


async def test_a_cancelled_summary_is_said_to_be_cancelled(stage: MakeStage) -> None:
    stopped = Answer(
        [
            [
                Say("The user"),
            ]
        ],
        "Sum up our conversation",
    )
    play = stage(engine=ScriptedEngine([stopped, Answer([[Say("Noted.")]])], context=50_000))
    await play.prompt("hello")

    async def emit(event: Event) -> None:
        await play.emit(event)
        if isinstance(event, CompactionSummarized):
            play.session.cancel()

    with anyio.fail_after(10):
        assert await play.session.prompt(UserMessage("/compact"), emit) == "cancelled"
    assert [event.status for event in play.of(CompactionUpdated)] == ["in_progress", "cancelled"]


async def test_what_a_killed_process_left_open_is_answered_before_it_is_summed_up(
    stage: MakeStage,
) -> None:
    entries = (UserMessage("work"), ModelStep((), (Call("1", "functions.shell", "{}"),)))
    play = stage(engine=engine(50_000), past=Past(entries, 1))
    await play.prompt("/compact")
    assert "This call was stopped before it finished." in play.prompt_text()


class Told(ScriptedEngine):
    """An engine whose context is what it says now."""

    size = 2_400

    async def context_size(self) -> int:
        return self.size


async def test_another_model_is_not_held_to_the_context_of_the_former(stage: MakeStage) -> None:
    told = Told(answers(), context=50_000)
    play = stage(engine=told)
    await play.prompt("word " * 400)
    told.size = 50_000
    play.options.values["model"] = "larger"
    assert await play.prompt("word " * 1_500) == "end_turn"
    assert play.of(CompactionUpdated) == []
