"""Who answers in this process: models made from settings and adapters, each when first needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import assert_never

import anyio
import anyio.to_thread

from acp_agent.agent.voice import Voice
from acp_agent.backends.endpoint import Endpoint
from acp_agent.backends.llama_server import LlamaServer
from acp_agent.backends.script_text import read_script
from acp_agent.backends.scripted import ScriptedEngine
from acp_agent.backends.select import make_backend, parse_selector
from acp_agent.backends.utf8_gaps import Gaps
from acp_agent.config import Settings, selects_provider
from acp_agent.engine.by_settings import local_spec, nano_spec, patience
from acp_agent.engine.launch import Launcher
from acp_agent.engine.locate import Found, Local, Nano, Remote, find_engine, weights
from acp_agent.engine.machine import held
from acp_agent.engine.nano import ensure_nano
from acp_agent.engine.obituary import why_ended
from acp_agent.engine.own import warnings_of
from acp_agent.engine.spec import EngineSpec
from acp_agent.errors import EngineUnavailable
from acp_agent.harmony.model import GREEDY, HarmonyModel
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.offer import model_of
from acp_agent.ports import Sampling

NANO_LABEL = "*nano, demo weights, not gpt-oss:* "
LOOK_SECONDS = 2.0  # that a prompt waits to learn whether a server is there


class Engines:
    """The engines that this process uses; they are let go together, and end when nobody uses them.

    A model asks where its engine is when it needs it, which starts one where none runs.
    """

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._launchers: dict[EngineSpec, Launcher] = {}

    async def start(self, spec: EngineSpec) -> Endpoint:
        """Find the engine of this spec, or start it. Raises BackendError."""
        if spec not in self._launchers:
            launcher = Launcher(spec, patience=patience(self._settings))
            self._launchers[spec] = await self._stack.enter_async_context(launcher)
        return await self._launchers[spec].locate()

    def memory(self) -> int | None:
        """Return how many bytes our own engines hold together, None if none is known."""
        states = [launcher.engine for launcher in self._launchers.values()]
        pids = {state.child or state.pid for state in states if state is not None}
        return sum(held(pid)[0] for pid in pids) or None

    async def locate(self, settings: Settings) -> Endpoint:
        """Find the GPT-OSS that these settings lead to, or start it. Raises BackendError."""
        found: Found = await find_engine(settings)
        match found:
            case Remote(endpoint):
                return endpoint
            case Nano():
                path = await anyio.to_thread.run_sync(ensure_nano, abandon_on_cancel=True)
                return await self.start(nano_spec(settings, path))
            case Local(path):
                return await self.start(local_spec(settings, path))
            case _:
                assert_never(found)


class Voices:
    """Every GPT-OSS that a session may choose, by its id."""

    def __init__(self, settings: Settings, variables: Mapping[str, str], engines: Engines) -> None:
        self._settings = settings
        self._variables = variables
        self._engines = engines
        self._voices: dict[str, Voice] = {}

    def voice(self, model_id: str) -> Voice:
        """Return who answers as this model; nothing is asked or started yet."""
        if model_id not in self._voices:
            self._voices[model_id] = self._make(model_of(self._settings, model_id))
        return self._voices[model_id]

    async def missing(self, model_id: str) -> str:
        """Say why this model cannot answer now, "" if it seems that it can; starts nothing."""
        settings = model_of(self._settings, model_id)
        if settings.script:
            return ""
        if not selects_provider(settings):
            try:
                await find_engine(settings)
            except EngineUnavailable as error:
                return str(error)
            return ""
        with anyio.move_on_after(LOOK_SECONDS):
            found = await self.voice(model_id).model.is_available()
            return found.reason if found.state == "unavailable" else ""
        return ""

    async def warm_up(self, model_id: str) -> None:
        """Load what the first prompt needs in this process. Raises EngineUnavailable."""
        model = self.voice(model_id).model
        if isinstance(model, HarmonyModel):
            await model.warm_up()

    def _make(self, settings: Settings) -> Voice:
        max_tokens = settings.max_tokens or None
        vocabulary = partial(load_vocabulary, weights(settings))
        if settings.script:
            model = HarmonyModel(ScriptedEngine(read_script(Path(settings.script))))
            return Voice(model, max_tokens=max_tokens)
        if selects_provider(settings):
            backend = make_backend(
                parse_selector(settings.model), self._variables, settings.context
            )
            return Voice(backend, max_tokens=max_tokens, temperature=settings.temperature)
        engine = LlamaServer(
            partial(self._engines.locate, settings),
            model=settings.model,
            gaps=lambda: Gaps.of(vocabulary()),
            why_ended=why_ended,
            notes=warnings_of,
        )
        if settings.demo:
            nano = HarmonyModel(engine, vocabulary=vocabulary, sampling=GREEDY)
            return Voice(nano, label=NANO_LABEL, max_tokens=max_tokens)
        sampling = Sampling(temperature=settings.temperature)
        model = HarmonyModel(engine, vocabulary=vocabulary, sampling=sampling)
        return Voice(model, max_tokens=max_tokens)


@asynccontextmanager
async def open_engines(settings: Settings) -> AsyncGenerator[Engines]:
    """Hold the engines that are used until the block is left."""
    async with AsyncExitStack() as stack:
        yield Engines(settings, stack)
