"""Composition root: every lifetime of a serving agent, where core and adapters meet."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import assert_never

import anyio.to_thread

from acp_agent.agent.permissions import Permissions
from acp_agent.agent.session import Session
from acp_agent.agent.turn import Limits
from acp_agent.agent.voice import Voice
from acp_agent.backends.endpoint import Endpoint
from acp_agent.backends.llama_server import LlamaServer
from acp_agent.backends.script_text import read_script
from acp_agent.backends.scripted import ScriptedEngine
from acp_agent.backends.select import make_backend, parse_selector
from acp_agent.backends.utf8_gaps import Gaps
from acp_agent.config import Settings, selects_provider
from acp_agent.engine.home import EngineSpec
from acp_agent.engine.launch import Launcher
from acp_agent.engine.locate import Found, Local, Nano, Remote, find_engine, weights
from acp_agent.engine.nano import ensure_nano
from acp_agent.harmony.model import GREEDY, HarmonyModel
from acp_agent.harmony.prompts import environment_note, instructions
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.ports import Editor, Sampling
from acp_agent.protocol.opening import Opened
from acp_agent.protocol.server import serve_connection
from acp_agent.protocol.sessions import OpenSession

logger = logging.getLogger(__name__)

NANO_LABEL = "*nano, demo weights, not gpt-oss:* "
NANO_CONTEXT = 16_384
DEFAULT_CONTEXT = 32_768


async def serve(settings: Settings, opened: Opened, variables: Mapping[str, str]) -> None:
    """Serve the client that the opening has met, until it leaves.

    `variables` hold the addresses and keys of providers other than our own engine.
    """
    configure_logging(settings)
    async with open_voice(settings, variables) as voice:
        warm_up = voice.model.warm_up if isinstance(voice.model, HarmonyModel) else None
        await serve_connection(opened, partial(open_session, settings, voice), warm_up)


async def open_session(
    settings: Settings, voice: Voice, opened: OpenSession, editor: Editor
) -> Session:
    """Make the core's session for one that the client has opened."""
    from acp_agent.tools.toolbox import make_tools  # with pydantic: 60 ms, after the first answers
    from acp_agent.tools.workspace import Workspace

    workspace = Workspace(opened.roots[0], opened.roots[1:], editor)
    others = tuple(str(root) for root in opened.roots[1:])
    return Session(
        opened.id,
        opened.options,
        lambda _: voice,
        make_tools(workspace, editor, command_timeout=settings.command_timeout),
        Permissions(editor),
        instructions=instructions(),
        preface=environment_note(str(opened.cwd), others),
        limits=Limits(steps=settings.max_steps),
    )


@asynccontextmanager
async def open_voice(settings: Settings, variables: Mapping[str, str]) -> AsyncGenerator[Voice]:
    """Give the model that answers in this process; the engine starts when it is first needed."""
    max_tokens = settings.max_tokens or None
    vocabulary = partial(load_vocabulary, weights(settings))
    if settings.script:
        model = HarmonyModel(ScriptedEngine(read_script(Path(settings.script))))
        yield Voice(model, max_tokens=max_tokens)
        return
    if selects_provider(settings):
        backend = make_backend(parse_selector(settings.model), variables)
        yield Voice(backend, max_tokens=max_tokens, temperature=settings.temperature)
        return
    async with AsyncExitStack() as stack:
        engine = LlamaServer(
            Locator(settings, stack).locate,
            model=settings.model,
            gaps=lambda: Gaps.of(vocabulary()),
        )
        if settings.demo:
            model = HarmonyModel(engine, vocabulary=vocabulary, sampling=GREEDY)
            yield Voice(model, label=NANO_LABEL, max_tokens=max_tokens)
        else:
            sampling = Sampling(temperature=settings.temperature)
            model = HarmonyModel(engine, vocabulary=vocabulary, sampling=sampling)
            yield Voice(model, max_tokens=max_tokens)


class Locator:
    """Says where the engine is, each time anew; our own engines are held until the stack ends."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._launchers: dict[EngineSpec, Launcher] = {}

    async def locate(self) -> Endpoint:
        """Find or start the engine. Raises BackendError."""
        found: Found = await find_engine(self._settings)
        match found:
            case Remote(endpoint):
                return endpoint
            case Nano():
                path = await anyio.to_thread.run_sync(ensure_nano, abandon_on_cancel=True)
                # So small that a second thread would only wait for the first.
                return await self._start(
                    EngineSpec(path, NANO_CONTEXT, self._settings.parallel, threads=1)
                )
            case Local(path):
                settings = self._settings
                return await self._start(
                    EngineSpec(
                        path,
                        settings.context or DEFAULT_CONTEXT,
                        settings.parallel,
                        settings.batch,
                        settings.ubatch,
                        settings.port,
                    )
                )
            case _:
                assert_never(found)

    async def _start(self, spec: EngineSpec) -> Endpoint:
        if spec not in self._launchers:
            settings = self._settings
            launcher = Launcher(spec, keepalive=settings.keepalive, idle=settings.idle_unload)
            self._launchers[spec] = await self._stack.enter_async_context(launcher)
        return await self._launchers[spec].locate()


def configure_logging(settings: Settings) -> None:
    """Send the log to stderr; stdout is the wire."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
