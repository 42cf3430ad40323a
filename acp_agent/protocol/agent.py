"""The agent's side of ACP v1: which methods there are, what is negotiated, which sessions are open.

The methods here answer at once, from memory; they serve the opening and the connection alike. The
few that run for a while (`SLOW`) are only named here and live in `turns`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from acp_agent.agent.command_list import COMMANDS
from acp_agent.agent.options import SessionOptions
from acp_agent.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RpcError,
)
from acp_agent.protocol.jsonrpc import Object, Request
from acp_agent.protocol.schema import Fields
from acp_agent.protocol.sessions import OpenSession, config_options, mode_state, open_session

PROTOCOL_VERSION = 1
LOCAL: Object = {"id": "local", "name": "Local model, no login"}
SETUP: Object = {
    "id": "setup",
    "name": "Install a model",
    "description": "gpt-oss on this machine: choose, accept the licence, download",
    "type": "terminal",
    # The client appends this to the command line that it starts the agent with.
    "args": ["--setup"],
}
CAPABILITIES: Object = {
    "loadSession": True,
    "promptCapabilities": {"image": False, "audio": False, "embeddedContext": True},
    "mcpCapabilities": {"http": True, "sse": True},
    "sessionCapabilities": {
        "list": {},
        "resume": {},
        "close": {},
        "delete": {},
        "additionalDirectories": {},
    },
}
SLOW = (
    "session/prompt",
    "session/close",
    "session/load",
    "session/resume",
    "session/list",
    "session/delete",
)


class ClientCapabilities(NamedTuple):
    """What the client said it can do."""

    read_files: bool = False
    write_files: bool = False
    terminals: bool = False
    notices: bool = False
    live_terminals: bool = False
    panes: bool = False
    setup_terminal: bool = False
    compaction: bool = False


class Reply(NamedTuple):
    """The result of a request, and the updates (session id, update) that follow the answer."""

    result: Object
    updates: tuple[tuple[str, Object], ...] = ()


def random_id() -> str:
    return f"sess_{os.urandom(12).hex()}"


class Agent:
    """The state of one client's connection, in both phases."""

    def __init__(
        self,
        options: Callable[[], SessionOptions],
        version: str,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        """Take what makes a new session's options, and the version to introduce oneself with."""
        self.client: ClientCapabilities | None = None
        self.sessions: dict[str, OpenSession] = {}
        self._options = options
        self._version = version
        self._new_id = new_id
        self._methods: dict[str, Callable[[Fields], Reply]] = {
            "initialize": self._initialize,
            "authenticate": self._authenticate,
            "session/new": self._new_session,
            "session/set_mode": self._set_mode,
            "session/set_config_option": self._set_config_option,
        }

    def admit(self, request: Request) -> None:
        """Refuse a method that there is not, or that comes before `initialize`."""
        if request.method not in self._methods and request.method not in SLOW:
            raise RpcError(METHOD_NOT_FOUND, "method not found")
        if self.client is None and request.method != "initialize":
            raise RpcError(INVALID_REQUEST, f"{request.method}: send initialize first")

    def answer(self, request: Request) -> Reply:
        """Answer an admitted request that is not slow. Raises RpcError."""
        return self._methods[request.method](Fields(request.params, request.method))

    def session(self, params: Fields) -> OpenSession:
        """Return the session that the params name."""
        session = self.sessions.get(params.text("sessionId"))
        if session is None:
            raise RpcError(INVALID_PARAMS, f"{params.where}: sessionId names no open session")
        return session

    def _initialize(self, params: Fields) -> Reply:
        params.integer("protocolVersion", 0, 65535)
        offered = params.part("clientCapabilities")
        files = offered.part("fs")
        self.client = ClientCapabilities(
            read_files=files.flag("readTextFile"),
            write_files=files.flag("writeTextFile"),
            terminals=offered.flag("terminal"),
            notices=offered.part("session").is_object("notices"),
            live_terminals=offered.meta.get("terminal_output") is True,
            panes=offered.meta.get("ui_pane") is True,
            compaction=offered.part("session").is_object("compaction"),
            setup_terminal=offered.part("auth").flag("terminal"),
        )
        return Reply(
            {
                # Whatever the client speaks, this is all that there is; it hangs up if it cannot.
                "protocolVersion": PROTOCOL_VERSION,
                "agentCapabilities": CAPABILITIES,
                "agentInfo": {"name": "gpt-oss-acp", "title": "GPT-OSS", "version": self._version},
                "authMethods": [LOCAL, SETUP] if self.client.setup_terminal else [LOCAL],
            }
        )

    def _authenticate(self, params: Fields) -> Reply:
        params.one_of("methodId", (LOCAL["id"],))
        return Reply({})

    def _new_session(self, params: Fields) -> Reply:
        session = self.opened(params, self._new_id())
        self.sessions[session.id] = session
        result: Object = {"sessionId": session.id, **session_state(session)}
        return Reply(result, ((session.id, commands_update()),))

    def opened(self, params: Fields, session_id: str) -> OpenSession:
        """Return a session as the params of `session/new`, `load` and `resume` want it."""
        return open_session(params, session_id, self._options())

    def _set_mode(self, params: Fields) -> Reply:
        session = self.session(params)
        if not _choose(session.options, "mode", params, "modeId"):
            return Reply({})
        update = {
            "sessionUpdate": "config_option_update",
            "configOptions": config_options(session.options),
        }
        return Reply({}, ((session.id, update),))

    def _set_config_option(self, params: Fields) -> Reply:
        session = self.session(params)
        option = params.one_of("configId", [option.id for option in session.options.options])
        changed = _choose(session.options, option, params, "value")
        result: Object = {"configOptions": config_options(session.options)}
        if "mode" not in changed:
            return Reply(result)
        update = {"sessionUpdate": "current_mode_update", "currentModeId": session.options["mode"]}
        return Reply(result, ((session.id, update),))


def commands_update() -> Object:
    """Return the update that names the slash commands; clients forget them with the process."""
    listed: list[Object] = []
    for name, description, hint in COMMANDS:
        command: Object = {"name": name, "description": description}
        listed.append({**command, "input": {"hint": hint}} if hint else command)
    return {"sessionUpdate": "available_commands_update", "availableCommands": listed}


def session_state(session: OpenSession) -> Object:
    """Return what every answer that opens a session says of its options."""
    return {
        "modes": mode_state(session.options),
        "configOptions": config_options(session.options),
    }


def _choose(options: SessionOptions, option_id: str, params: Fields, field: str) -> set[str]:
    """Set the option to the value in `field`; return all options that have changed by it."""
    option = next(option for option in options.options if option.id == option_id)
    value = params.one_of(field, [choice.value for choice in option.choices])
    before = dict(options.values)
    options.set(option_id, value)
    return {name for name, value in options.values.items() if value != before[name]}
