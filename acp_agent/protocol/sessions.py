"""What `session/new` makes: a light record of the session and its options, until it is closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from acp_agent.agent.options import Option, SessionOptions
from acp_agent.protocol.schema import Fields
from acp_agent.servers import HttpServer, ServerConfig, StdioServer

if TYPE_CHECKING:
    # With dataclasses, which no start waits for.
    from acp_agent.agent.stored import Stored
    from acp_agent.protocol.convert import Converter


class OpenSession:
    """One open session: `roots` are what tools may touch, `cwd` the first of them.

    `notes` are told with the next turn; `stored` is what it had been before it was loaded, and
    `converter` has shown that.
    """

    __slots__ = ("converter", "cwd", "id", "notes", "options", "roots", "servers", "stored")

    def __init__(
        self,
        session_id: str,
        roots: tuple[Path, ...],
        options: SessionOptions,
        servers: tuple[ServerConfig, ...] = (),
    ) -> None:
        self.id = session_id
        self.cwd = roots[0]
        self.roots = roots
        self.options = options
        self.servers = servers
        self.notes: tuple[str, ...] = ()
        self.stored: Stored | None = None
        self.converter: Converter | None = None

    def note(self, text: str) -> None:
        """Tell the user something that they should know and need not act on."""
        self.notes = (*self.notes, text)


def open_session(params: Fields, session_id: str, options: SessionOptions) -> OpenSession:
    """Read the params of `session/new`."""
    cwd = Path(params.absolute_path("cwd"))
    if not _is_directory(cwd):
        params.fail("cwd", "must be an existing directory")
    more = tuple(Path(path) for path in params.absolute_paths("additionalDirectories"))
    servers = tuple(_server(server) for server in params.items("mcpServers"))
    return OpenSession(session_id, (cwd, *more), options, servers)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return False


def config_options(options: SessionOptions) -> list[dict[str, Any]]:
    """Return the complete list that every answer about options carries."""
    return [_select(option, options[option.id]) for option in options.options]


def mode_state(options: SessionOptions) -> dict[str, Any]:
    """Return the older form of the `mode` option, which clients read until v2."""
    mode = next(option for option in options.options if option.id == "mode")
    return {
        "currentModeId": options["mode"],
        "availableModes": [
            _described({"id": choice.value, "name": choice.name}, choice.description)
            for choice in mode.choices
        ],
    }


def _select(option: Option, value: str) -> dict[str, Any]:
    shown = {
        "id": option.id,
        "name": option.name,
        "category": option.category,
        "type": "select",
        "currentValue": value,
        "options": [
            _described({"value": choice.value, "name": choice.name}, choice.description)
            for choice in option.choices
        ],
    }
    return _described(shown, option.description)


def _described(shown: dict[str, Any], description: str) -> dict[str, Any]:
    if description:
        shown["description"] = description
    return shown


def _server(server: Fields) -> ServerConfig:
    name = server.text("name")
    if server.has("type"):
        server.one_of("type", ("http", "sse", "stdio"))
    kind = server.optional_text("type")
    if kind in ("http", "sse"):
        url = server.text("url")
        if not url.startswith(("http://", "https://")):
            server.fail("url", "must be an http:// or https:// address")
        return HttpServer(name, url, _pairs(server, "headers"), sse=kind == "sse")
    command = server.text("command")
    if not command:
        server.fail("command", "must not be empty")
    return StdioServer(name, command, server.texts("args"), _pairs(server, "env"))


def _pairs(server: Fields, field: str) -> tuple[tuple[str, str], ...]:
    return tuple((pair.text("name"), pair.text("value")) for pair in server.items(field))
