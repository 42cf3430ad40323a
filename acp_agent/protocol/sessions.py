"""What `session/new` makes: a light record of the session and its options, until it is closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acp_agent.agent.options import Option, SessionOptions
from acp_agent.protocol.schema import Fields

MCP_NOTE = "MCP servers are not supported yet; their tools are missing in this session"


class OpenSession:
    """One open session: `roots` are what tools may touch, `cwd` the first of them."""

    __slots__ = ("cwd", "id", "notes", "options", "roots")

    def __init__(
        self,
        session_id: str,
        roots: tuple[Path, ...],
        options: SessionOptions,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.id = session_id
        self.cwd = roots[0]
        self.roots = roots
        self.options = options
        self.notes = notes


def open_session(params: Fields, session_id: str, options: SessionOptions) -> OpenSession:
    """Read the params of `session/new`."""
    cwd = Path(params.absolute_path("cwd"))
    if not _is_directory(cwd):
        params.fail("cwd", "must be an existing directory")
    more = tuple(Path(path) for path in params.absolute_paths("additionalDirectories"))
    servers = params.items("mcpServers")
    for server in servers:
        _check_server(server)
    return OpenSession(session_id, (cwd, *more), options, (MCP_NOTE,) if servers else ())


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


def _check_server(server: Fields) -> None:
    server.text("name")
    if server.has("type"):
        server.one_of("type", ("http", "sse", "stdio"))
    if server.optional_text("type") in ("http", "sse"):
        server.text("url")
        pairs = server.items("headers")
    else:
        server.text("command")
        server.texts("args")
        pairs = server.items("env")
    for pair in pairs:
        pair.text("name")
        pair.text("value")
