"""Which tools a session gets: those of every session, and what settings, machine and client add."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from acp_agent.agent.rewriting import NewRewriter, Unchanged
from acp_agent.config import Settings, selects_provider
from acp_agent.engine.locate import weights
from acp_agent.errors import VocabularyError
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.offer import offers_browser
from acp_agent.ports import Editor
from acp_agent.protocol.sessions import OpenSession
from acp_agent.sandbox.choose import (
    FOR_PYTHON,
    FOR_PYTHON_AT_ONCE,
    Chooser,
    ContainerSandboxes,
)
from acp_agent.sandbox.commands import CommandSandbox
from acp_agent.sandbox.docker_engine import listens
from acp_agent.sandbox.for_python import PythonSandbox
from acp_agent.sandbox.policy import Mode, hidden
from acp_agent.tools.base import Tool, Toolbox
from acp_agent.tools.environment import own_environment

if TYPE_CHECKING:
    from acp_agent.tools.browser.make import Browsing
    from acp_agent.tools.python import PythonTool
    from acp_agent.tools.workspace import Workspace

logger = logging.getLogger(__name__)

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]


class Toolkit:
    """Makes the tools of each session; `spawn` starts the tasks that their servers need."""

    def __init__(self, settings: Settings, variables: Mapping[str, str], spawn: Spawn) -> None:
        self._settings = settings
        self._variables = variables
        self._spawn = spawn
        # Nobody who watches a demo waits for an image to be built.
        order = FOR_PYTHON_AT_ONCE if settings.demo else FOR_PYTHON
        self._sandboxes = Chooser(settings.sandbox, self._docker, order, settings.sandbox_image)

    def tools(self, opened: OpenSession, editor: Editor) -> tuple[Toolbox, NewRewriter]:
        """Return the session's tools, and what rewrites the answers for its editor."""
        # With pydantic: 60 ms, after the first answers.
        from acp_agent.tools.toolbox import make_tools
        from acp_agent.tools.workspace import Workspace

        workspace = Workspace(opened.roots[0], opened.roots[1:], editor)
        settings, browsing = self._settings, self._browsing()
        python = self._python(workspace, opened)
        tools = make_tools(
            workspace,
            editor,
            command_timeout=settings.command_timeout,
            commands=CommandSandbox(
                self._sandboxes,
                workspace.roots,
                mode=cast("Mode", settings.shell_sandbox),
                network=settings.shell_network,
            ),
            more=(python, *(browsing.tools if browsing else ()), *_panes(editor)),
            closers=[python.close],
        )
        rewrite: NewRewriter = browsing.citations if browsing else Unchanged
        return self._with_servers(opened, tools), rewrite

    async def reap(self) -> None:
        """Remove what agents that were killed have left in Docker."""
        if self._settings.sandbox not in ("auto", "docker"):
            return
        if listens(self._variables):
            from acp_agent.sandbox.docker import DockerSandboxes

            try:
                await DockerSandboxes(environ=self._variables).reap()
            except Exception:
                # Whatever is wrong with Docker, an editor that wants no container goes on.
                logger.exception("cannot look for what killed agents have left in Docker")

    def _docker(self) -> ContainerSandboxes:
        from acp_agent.sandbox.docker import DockerSandboxes

        settings = self._settings
        return DockerSandboxes(settings.sandbox_image, self._variables, obtain=not settings.demo)

    def _python(self, workspace: Workspace, opened: OpenSession) -> PythonTool:
        from acp_agent.tools.python import PythonRules, PythonTool

        rules = PythonRules(
            timeout=self._settings.python_timeout,
            writable=lambda: opened.options["approvals"] == "full",
            askable=lambda: opened.options["approvals"] in ("ask", "auto-edit"),
            hidden=hidden(Path.home()),
        )
        sandbox = PythonSandbox(self._sandboxes, opened.note)
        return PythonTool(
            workspace,
            sandbox.open,
            trouble=sandbox.trouble,
            rules=rules,
            environ=own_environment(self._variables),
        )

    def _browsing(self) -> Browsing | None:
        settings = self._settings
        if not offers_browser(settings, self._variables):
            return None
        from acp_agent.tools.browser.make import make_browsing

        return make_browsing(
            searxng=settings.browser_searxng,
            allowed=settings.browser_allowed_hosts,
            allow_private=settings.browser_allow_private,
            variables=self._variables,
            prefix=lambda text, tokens: load_vocabulary(weights(settings)).beginning(text, tokens),
        )

    def _with_servers(self, opened: OpenSession, tools: Toolbox) -> Toolbox:
        """Return the tools and those of the session's MCP servers, which start now."""
        if not opened.servers:
            return tools
        from acp_agent.tools.combined import Combined
        from acp_agent.tools.mcp.server import TimeLimits
        from acp_agent.tools.mcp.tools import open_mcp_tools

        servers = open_mcp_tools(
            opened.servers,
            str(opened.cwd),
            self._spawn,
            opened.note,
            limits=TimeLimits(call=self._settings.mcp_timeout),
            budget=self._settings.mcp_tool_tokens,
            count=_estimator(self._settings),
        )
        return Combined(tools, servers)


def _panes(editor: Editor) -> tuple[Tool, ...]:
    if not editor.has_panes:
        return ()
    from acp_agent.tools.ui_pane import UiPane

    return (UiPane(editor),)


def _estimator(settings: Settings) -> Callable[[str], int]:
    """Return what counts tokens: by the vocabulary, loaded at the first call; else by guessing."""
    vocabulary = cache(partial(load_vocabulary, weights(settings)))

    def count(text: str) -> int:
        if not selects_provider(settings):
            with suppress(VocabularyError):
                return len(vocabulary().encode_text(text))
        return len(text) // 3

    return count
