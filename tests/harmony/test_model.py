"""HarmonyModel over a scripted engine: what it sends, what it passes on, how it fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date

import anyio
import pytest

from acp_agent.conversation import Call, Message, ModelRequest, ModelStep, ToolSpec, UserMessage
from acp_agent.errors import EngineUnavailable, StreamDropped, VocabularyError
from acp_agent.harmony.codec import Codec
from acp_agent.harmony.grammar import header_guard
from acp_agent.harmony.model import GREEDY, HarmonyModel
from acp_agent.harmony.vocab import Vocabulary
from acp_agent.ports import (
    Availability,
    CallOpened,
    EngineEvent,
    EngineLoading,
    LocalModelBackend,
    ModelInfo,
    PromptProgress,
    Sampling,
    StepEnded,
    TextPart,
    ThoughtPart,
    Timings,
    Tokens,
)

pytestmark = pytest.mark.anyio
DAY = date(2026, 11, 20)
SHELL = ToolSpec("shell", "Runs.", {"type": "object", "properties": {}})
REQUEST = ModelRequest((UserMessage("Hi"),), "Be brief.", (SHELL,))
ENDED = StepEnded("stop", Timings(cached_tokens=1, prompt_tokens=2, predicted_tokens=3))


class ScriptedEngine:
    """Plays events; an exception among them is raised, and None waits for ever."""

    name = "scripted"
    default_model = "script"

    def __init__(
        self, events: Iterable[EngineEvent | Exception | None] = (), *, grammar: bool = True
    ) -> None:
        self.supports_grammar = grammar
        self.prompts: list[tuple[Sequence[int], Sampling]] = []
        self.prefilled: list[Sequence[int]] = []
        self.open = 0
        self._events = list(events)

    async def is_available(self) -> Availability:
        return Availability("ready")

    async def list_models(self) -> Sequence[ModelInfo]:
        return (ModelInfo("script", "Script"),)

    async def context_size(self) -> int:
        return 4096

    @asynccontextmanager
    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        self.prompts.append((prompt, sampling))
        self.open += 1
        try:
            yield self._play()
        finally:
            self.open -= 1

    async def prefill(self, prompt: Sequence[int]) -> None:
        self.prefilled.append(prompt)

    async def _play(self) -> AsyncIterator[EngineEvent]:
        for event in self._events:
            match event:
                case None:
                    await anyio.sleep_forever()
                case Exception():
                    raise event
                case _:
                    yield event


MakeModel = Callable[[ScriptedEngine], HarmonyModel]


@pytest.fixture
def model(vocabulary: Vocabulary) -> MakeModel:
    def make(engine: ScriptedEngine) -> HarmonyModel:
        return HarmonyModel(
            engine, vocabulary=lambda: vocabulary, today=lambda: DAY, call_ids=lambda: "call-1"
        )

    return make


def tokens(vocabulary: Vocabulary, text: str) -> Tokens:
    return Tokens(tuple(vocabulary.encode_trusted(text)))


async def test_a_step_is_shown_as_it_comes_and_kept_exactly(
    model: MakeModel, vocabulary: Vocabulary
) -> None:
    thought = tokens(vocabulary, "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant")
    call = tokens(vocabulary, "<|channel|>commentary to=functions.shell<|message|>{}<|call|>")
    engine = ScriptedEngine(
        [EngineLoading("loading"), PromptProgress(1, 0, 2), thought, call, ENDED]
    )
    backend: LocalModelBackend = model(engine)
    async with backend.stream(REQUEST) as stream:
        events = [event async for event in stream]
        step = stream.step()
    assert events == [
        EngineLoading("loading"),
        PromptProgress(1, 0, 2),
        ThoughtPart(0, "Look."),
        CallOpened("call-1", "functions.shell"),
        ENDED,
    ]
    assert step == ModelStep(
        (Message("analysis", "Look."), Message("commentary", "{}", "functions.shell")),
        (Call("call-1", "functions.shell", "{}"),),
        thought.ids + call.ids,
    )
    assert engine.open == 0


async def test_the_engine_gets_the_prompt_the_model_cards_sampling_and_the_guard(
    model: MakeModel, vocabulary: Vocabulary
) -> None:
    engine = ScriptedEngine([ENDED])
    await model(engine).complete(REQUEST)
    assert engine.prompts == [
        (Codec(vocabulary).prompt(REQUEST, DAY), Sampling(grammar=header_guard(["shell"])))
    ]


async def test_a_request_goes_before_the_profile(vocabulary: Vocabulary) -> None:
    engine = ScriptedEngine([ENDED], grammar=False)
    greedy = HarmonyModel(engine, vocabulary=lambda: vocabulary, sampling=GREEDY)
    await greedy.complete(ModelRequest((UserMessage("Hi"),), max_tokens=9))
    await greedy.complete(ModelRequest((UserMessage("Hi"),), temperature=0.5))
    assert [sampling for _, sampling in engine.prompts] == [
        Sampling(temperature=0.0, max_tokens=9),
        Sampling(temperature=0.5),
    ]


async def test_complete_gives_the_whole_step(model: MakeModel, vocabulary: Vocabulary) -> None:
    answer = tokens(vocabulary, "<|channel|>final<|message|>Hello<|return|>")
    step = await model(ScriptedEngine([answer, ENDED])).complete(REQUEST)
    assert step == ModelStep((Message("final", "Hello"),), (), answer.ids)


async def test_what_came_before_the_stream_broke_is_kept(
    model: MakeModel, vocabulary: Vocabulary
) -> None:
    half = tokens(vocabulary, "<|channel|>final<|message|>Hel")
    engine = ScriptedEngine([half, StreamDropped("gone")])
    async with model(engine).stream(REQUEST) as stream:
        with pytest.raises(StreamDropped):
            async for _ in stream:
                pass
        step = stream.step()
    assert step.messages == (Message("final", "Hel", complete=False),)
    assert engine.open == 0


async def test_leaving_the_stream_closes_the_engines_request(
    model: MakeModel, vocabulary: Vocabulary
) -> None:
    engine = ScriptedEngine([tokens(vocabulary, "<|channel|>final<|message|>Hel"), None])
    seen: list[object] = []
    with anyio.fail_after(5):
        async with model(engine).stream(REQUEST) as stream:
            with anyio.CancelScope() as scope:
                async for event in stream:
                    seen.append(event)
                    scope.cancel()
            step = stream.step()
    assert seen == [TextPart(0, "Hel")]
    assert vocabulary.decode(step.tokens or ()) == "<|channel|>final<|message|>Hel<|end|>"
    assert engine.open == 0


async def test_prefill_sends_what_is_known_of_the_next_prompt(
    model: MakeModel, vocabulary: Vocabulary
) -> None:
    engine = ScriptedEngine()
    empty = ModelRequest((), "Be brief.", (SHELL,))
    await model(engine).prefill(empty)
    assert engine.prefilled == [Codec(vocabulary).ahead(empty, DAY)]


async def test_without_a_vocabulary_the_backend_is_unavailable() -> None:
    def missing() -> Vocabulary:
        raise VocabularyError("no ranks")

    broken = HarmonyModel(ScriptedEngine(), vocabulary=missing)
    with pytest.raises(EngineUnavailable, match="no ranks"):
        await broken.complete(REQUEST)


async def test_the_vocabulary_is_asked_for_once(vocabulary: Vocabulary) -> None:
    asked: list[None] = []

    def load() -> Vocabulary:
        asked.append(None)
        return vocabulary

    lazy = HarmonyModel(ScriptedEngine([ENDED]), vocabulary=load)
    assert asked == []
    await lazy.warm_up()
    await lazy.complete(REQUEST)
    assert asked == [None]


async def test_the_rest_is_the_engines_own(model: MakeModel) -> None:
    backend = model(ScriptedEngine())
    assert (backend.name, backend.default_model) == ("scripted", "script")
    assert await backend.is_available() == Availability("ready")
    assert await backend.list_models() == (ModelInfo("script", "Script"),)
    assert await backend.context_size() == 4096
