"""Composition root: every lifetime of a serving agent, where core and adapters meet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any

import anyio

from acp_agent.agent.orchestrator import Fm
from acp_agent.agent.permissions import Permissions
from acp_agent.agent.session import Session
from acp_agent.agent.turn import Limits
from acp_agent.config import Settings, rubric_file, selects_provider
from acp_agent.engine.at_hand import small_model
from acp_agent.engine.locate import weights
from acp_agent.errors import VocabularyError
from acp_agent.harmony.prompts import environment_note, instructions
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.offer import fm_backend, models
from acp_agent.ports import Editor
from acp_agent.protocol.opening import Opened
from acp_agent.protocol.server import serve_connection
from acp_agent.protocol.sessions import OpenSession
from acp_agent.routing.load import load_rubric
from acp_agent.routing.log import DecisionLog
from acp_agent.routing.router import Router
from acp_agent.routing.rubric import Rubric
from acp_agent.small_voice import SmallVoice
from acp_agent.tools.base import Toolbox
from acp_agent.voices import Engines, Voices, open_engines

logger = logging.getLogger(__name__)

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]


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
            factory = partial(open_session, settings, voices, fm, servers.start_soon)
            await serve_connection(opened, factory, warm_up)
            servers.cancel_scope.cancel()


async def open_session(
    settings: Settings,
    voices: Voices,
    fm: Fm | None,
    spawn: Spawn,
    opened: OpenSession,
    editor: Editor,
) -> Session:
    """Make the core's session for one that the client has opened."""
    from acp_agent.tools.toolbox import make_tools  # with pydantic: 60 ms, after the first answers
    from acp_agent.tools.workspace import Workspace

    workspace = Workspace(opened.roots[0], opened.roots[1:], editor)
    tools = make_tools(workspace, editor, command_timeout=settings.command_timeout)
    others = tuple(str(root) for root in opened.roots[1:])
    return Session(
        opened.id,
        opened.options,
        voices.voice,
        _with_servers(settings, spawn, opened, tools),
        Permissions(editor),
        instructions=instructions(),
        preface=environment_note(str(opened.cwd), others),
        limits=Limits(steps=settings.max_steps),
        fm=fm,
        workspace_root=str(opened.cwd),
    )


def _with_servers(settings: Settings, spawn: Spawn, opened: OpenSession, tools: Toolbox) -> Toolbox:
    """Return the tools and those of the session's MCP servers, which start now."""
    if not opened.servers:
        return tools
    from acp_agent.tools.combined import Combined
    from acp_agent.tools.mcp.server import TimeLimits
    from acp_agent.tools.mcp.tools import open_mcp_tools

    servers = open_mcp_tools(
        opened.servers,
        str(opened.cwd),
        spawn,
        opened.note,
        limits=TimeLimits(call=settings.mcp_timeout),
        budget=settings.mcp_tool_tokens,
        count=_estimator(settings),
    )
    return Combined(tools, servers)


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


def _estimator(settings: Settings) -> Callable[[str], int]:
    """Return what counts tokens: by the vocabulary, loaded at the first call; else by guessing."""
    counter = cache(partial(_counter, settings))

    def count(text: str) -> int:
        if not selects_provider(settings):
            with suppress(VocabularyError):
                return counter()(text)
        return len(text) // 3

    return count


def configure_logging(settings: Settings) -> None:
    """Send the log to stderr; stdout is the wire."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
