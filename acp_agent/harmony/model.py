"""A token engine made a model: prompt rendered, output parsed, nothing of it known to the core."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from anyio import to_thread

from acp_agent.conversation import ModelRequest, ModelStep
from acp_agent.errors import EngineUnavailable, VocabularyError
from acp_agent.harmony.grammar import header_guard
from acp_agent.harmony.parser import Parser
from acp_agent.harmony.vocab import Vocabulary, load_vocabulary
from acp_agent.ports import (
    Availability,
    EngineEvent,
    ModelEvent,
    ModelInfo,
    Sampling,
    StepEnded,
    TokenEngine,
    Tokens,
)

if TYPE_CHECKING:
    from acp_agent.harmony.codec import Codec

GPT_OSS = Sampling()  # the model card's
GREEDY = Sampling(temperature=0.0)  # for weights that have learnt by heart


def new_call_id() -> str:
    """Return an id that no other call of any session has."""
    return f"call_{os.urandom(6).hex()}"


class HarmonyModel:
    """gpt-oss on any engine that takes and gives token ids.

    `sampling` is the profile of the model; a request's temperature and limit go before it.
    `vocabulary` is called in a worker thread, when the first prompt is rendered.
    """

    chooser = None  # gpt-oss calls tools dependably, and a schema would have to spare its channels

    def __init__(
        self,
        engine: TokenEngine,
        *,
        vocabulary: Callable[[], Vocabulary] = load_vocabulary,
        sampling: Sampling = GPT_OSS,
        today: Callable[[], date] = date.today,
        call_ids: Callable[[], str] = new_call_id,
    ) -> None:
        self._engine = engine
        self._vocabulary = vocabulary
        self._sampling = sampling
        self._today = today
        self._call_ids = call_ids
        self._ready: tuple[Vocabulary, Codec] | None = None

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def default_model(self) -> str:
        return self._engine.default_model

    async def is_available(self) -> Availability:
        return await self._engine.is_available()

    async def list_models(self) -> Sequence[ModelInfo]:
        return await self._engine.list_models()

    async def context_size(self) -> int:
        return await self._engine.context_size()

    async def warm_up(self) -> None:
        """Load the vocabulary now. Raises EngineUnavailable if there is none."""
        await self._prepared()

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator[HarmonyStream]:
        """Answer `request`. Raises BackendError, also if there is no vocabulary."""
        vocabulary, codec = await self._prepared()
        prompt = codec.prompt(request, self._today())
        async with self._engine.stream(prompt, self._sampling_for(request)) as events:
            yield HarmonyStream(events, Parser(vocabulary, self._call_ids))

    async def complete(self, request: ModelRequest) -> ModelStep:
        """Answer `request` in one piece. Raises as `stream` does."""
        async with self.stream(request) as stream:
            async for _ in stream:
                pass
            return stream.step()

    async def prefill(self, request: ModelRequest) -> None:
        """Let the engine read what is known of the next prompt. Raises as `stream` does."""
        _, codec = await self._prepared()
        await self._engine.prefill(codec.ahead(request, self._today()))

    async def count(self, request: ModelRequest) -> int:
        """Return how many tokens the prompt has. Raises EngineUnavailable."""
        _, codec = await self._prepared()
        return len(codec.prompt(request, self._today()))

    def _sampling_for(self, request: ModelRequest) -> Sampling:
        sampling = self._sampling
        if request.temperature is not None:
            sampling = replace(sampling, temperature=request.temperature)
        if request.max_tokens is not None:
            sampling = replace(sampling, max_tokens=request.max_tokens)
        if self._engine.supports_grammar:
            sampling = replace(sampling, grammar=header_guard([t.name for t in request.tools]))
        return sampling

    async def _prepared(self) -> tuple[Vocabulary, Codec]:
        if self._ready is None:
            # Abandoned on cancel: the thread then finishes for the next caller.
            try:
                self._ready = await to_thread.run_sync(self._prepare, abandon_on_cancel=True)
            except VocabularyError as error:
                raise EngineUnavailable(str(error)) from error
        return self._ready

    def _prepare(self) -> tuple[Vocabulary, Codec]:
        vocabulary = self._vocabulary()
        from acp_agent.harmony.codec import Codec  # with openai_harmony; 0.1 s, in this thread

        return vocabulary, Codec(vocabulary)


class HarmonyStream:
    """A model call under way, as parts to show."""

    def __init__(self, events: AsyncIterator[EngineEvent], parser: Parser) -> None:
        self._events = events
        self._parser = parser
        self._waiting: deque[ModelEvent] = deque()

    def __aiter__(self) -> AsyncIterator[ModelEvent]:
        return self

    async def __anext__(self) -> ModelEvent:
        while not self._waiting:
            event = await anext(self._events)
            if isinstance(event, Tokens):
                self._waiting.extend(self._parser.feed(event.ids))
            else:
                if isinstance(event, StepEnded) and event.reason == "stop":
                    self._waiting.extend(self._parser.finish())
                self._waiting.append(event)
        return self._waiting.popleft()

    def step(self) -> ModelStep:
        """Return what was generated so far, well formed."""
        return self._parser.step()
