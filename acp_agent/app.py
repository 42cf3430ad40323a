"""Composition root: every lifetime of a serving agent, where core and adapters meet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

import anyio

from acp_agent.agent.gptoss import Means
from acp_agent.agent.orchestrator import Fm
from acp_agent.agent.permissions import Permissions
from acp_agent.agent.session import Session
from acp_agent.agent.setup import Setup
from acp_agent.agent.turn import Limits
from acp_agent.config import Settings, rubric_file
from acp_agent.engine.at_hand import small_model
from acp_agent.engine.locate import weights
from acp_agent.harmony.prompts import environment_note, instructions
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.offer import fm_backend, models
from acp_agent.ports import Editor
from acp_agent.protocol.opening import Opened
from acp_agent.protocol.server import serve_connection
from acp_agent.protocol.sessions import OpenSession
from acp_agent.recorders import Recorders
from acp_agent.routing.load import load_rubric
from acp_agent.routing.log import DecisionLog
from acp_agent.routing.router import Router
from acp_agent.routing.rubric import Rubric
from acp_agent.small_voice import SmallVoice
from acp_agent.toolkit import Toolkit
from acp_agent.voices import Engines, Voices, open_engines

logger = logging.getLogger(__name__)


async def serve(settings: Settings, opened: Opened, variables: Mapping[str, str]) -> None:
    """Serve the client that the opening has met, until it leaves.

    `variables` hold the addresses and keys of providers other than our own engine.
    """
    configure_logging(settings)
    async with open_engines(settings) as engines:
        voices = Voices(settings, variables, engines)
        fm = make_fm(settings, variables, engines, voices)
        warm_up = partial(voices.warm_up, models(settings)[0].choice.value)
        async with anyio.create_task_group() as servers:
            toolkit = Toolkit(settings, variables, servers.start_soon)
            servers.start_soon(toolkit.reap)
            recorders = Recorders(settings, engines.memory)
            factory = partial(open_session, settings, variables, voices, fm, toolkit, recorders)
            await serve_connection(opened, factory, recorders.store(), warm_up)
            servers.cancel_scope.cancel()


async def open_session(
    settings: Settings,
    variables: Mapping[str, str],
    voices: Voices,
    fm: Fm | None,
    toolkit: Toolkit,
    recorders: Recorders,
    opened: OpenSession,
    editor: Editor,
) -> Session:
    """Make the core's session for one that the client has opened."""
    tools, rewrite = toolkit.tools(opened, editor)
    others = tuple(str(root) for root in opened.roots[1:])
    record, past, export = recorders.open(opened)
    return Session(
        opened.id,
        opened.options,
        Means(
            voices.voice,
            tools,
            Permissions(editor),
            instructions(),
            Limits(steps=settings.max_steps),
            rewrite,
            partial(make_setup, settings, variables, editor),
        ),
        preface=environment_note(str(opened.cwd), others),
        fm=fm,
        workspace_root=str(opened.cwd),
        recorder=record,
        past=past,
        export=export,
    )


def make_setup(settings: Settings, variables: Mapping[str, str], editor: Editor) -> Setup:
    """Return what offers the model where there is none."""
    from acp_agent.installer import ModelInstaller  # with the catalog, which hardly anybody needs

    return Setup(ModelInstaller(settings, variables), editor)


def make_fm(
    settings: Settings, variables: Mapping[str, str], engines: Engines, voices: Voices
) -> Fm | None:
    """Return what mode `fm` takes; None where it is not on offer."""
    named = fm_backend(settings, variables, small_model())
    if not named:
        return None
    # Whoever asked for the demo gets it without a network too.
    nano = partial(voices.voice, models(settings)[0].choice.value) if settings.demo else None
    small = SmallVoice(named, settings, variables, engines.start, nano)
    router = Router(
        partial(_rubric, settings),
        partial(_counter, settings),
        DecisionLog(with_text=settings.routing_log_prompts),
    )
    return Fm(small, router, voices.missing)


def _rubric(settings: Settings) -> Rubric:
    return load_rubric(rubric_file(settings), default_if_broken=settings.routing_default_if_broken)


def _counter(settings: Settings) -> Callable[[str], int]:
    vocabulary = load_vocabulary(weights(settings))
    return lambda text: len(vocabulary.encode_text(text))


def configure_logging(settings: Settings) -> None:
    """Send the log to stderr; stdout is the wire."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("httpx", "httpcore", "httpx2", "httpcore2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
