"""What the client offers to one session, asked for over the connection: a `ports.Editor`.

A client's refusal or nonsense becomes a ToolFailed, which the model reads; nothing that a client
answers can end a turn.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio

from acp_agent.errors import RESOURCE_NOT_FOUND, RpcError, ToolFailed
from acp_agent.events import ToolCallUpdated
from acp_agent.ports import EditorTerminal, PermissionOption, TerminalResult
from acp_agent.protocol.agent import ClientCapabilities
from acp_agent.protocol.connection import Connection, ConnectionClosed, Late
from acp_agent.protocol.convert import tool_call_update
from acp_agent.protocol.jsonrpc import Object

CLEAN_UP = 2
EXTENSION = 30.0


class ClientEditor:
    """The client of one session."""

    def __init__(self, connection: Connection, session_id: str, client: ClientCapabilities) -> None:
        self._connection = connection
        self._session_id = session_id
        self.can_read_files = client.read_files
        self.can_write_files = client.write_files
        self.has_terminals = client.terminals
        self.has_panes = client.panes

    async def read_text_file(self, path: str) -> str:
        try:
            answer = await self.ask("fs/read_text_file", {"path": path})
        except RpcError as error:
            if error.code == RESOURCE_NOT_FOUND:
                raise FileNotFoundError(path) from None
            raise ToolFailed(f"the editor could not read {path!r}: {error.message}") from None
        return _text(answer, "content", "fs/read_text_file")

    async def write_text_file(self, path: str, content: str) -> None:
        try:
            await self.ask("fs/write_text_file", {"path": path, "content": content})
        except RpcError as error:
            raise ToolFailed(f"the editor could not write {path!r}: {error.message}") from None

    @asynccontextmanager
    async def open_terminal(
        self, command: str, args: Sequence[str], cwd: str, env: Mapping[str, str], output_limit: int
    ) -> AsyncGenerator[EditorTerminal]:
        params: Object = {
            "command": command,
            "args": list(args),
            "cwd": cwd,
            "env": [{"name": name, "value": value} for name, value in env.items()],
            "outputByteLimit": output_limit,
        }
        answer = await self.call("terminal/create", params, late=self._release_unwanted)
        terminal = ClientTerminal(self, _text(answer, "terminalId", "terminal/create"))
        try:
            yield terminal
        finally:
            with anyio.move_on_after(CLEAN_UP, shield=True):
                await terminal.release()

    async def request_permission(
        self, call: ToolCallUpdated, options: Sequence[PermissionOption]
    ) -> str | None:
        shown = tool_call_update(call)
        del shown["sessionUpdate"]
        params: Object = {
            "toolCall": shown,
            "options": [
                {"optionId": option.option_id, "name": option.name, "kind": option.kind}
                for option in options
            ],
        }
        answer = await self.call("session/request_permission", params)
        outcome = _part(answer, "outcome")
        if outcome.get("outcome") == "cancelled":
            return None
        chosen = outcome.get("optionId")
        if outcome.get("outcome") == "selected" and chosen in [o.option_id for o in options]:
            return chosen
        # Anything that is not plainly a yes is a no.
        no = next((o for o in options if o.kind == "reject_once"), None)
        if no is None or not outcome:
            raise ToolFailed("the editor gave no valid answer to the permission request")
        return no.option_id

    async def extension(self, method: str, params: Object, timeout: float = EXTENSION) -> Any:
        with anyio.move_on_after(timeout):
            return await self.call(method, params)
        raise ToolFailed(f"the editor did not answer {method} within {timeout:g} s")

    async def call(self, method: str, params: Object, late: Late | None = None) -> Any:
        """Ask the client. Raises ToolFailed, whatever goes wrong."""
        try:
            return await self.ask(method, params, late)
        except RpcError as error:
            raise ToolFailed(f"the editor refused {method}: {error.message}") from None

    def _release_unwanted(self, answer: Any) -> None:
        """Give a terminal back that the client made while the turn was being cancelled."""
        try:
            terminal = ClientTerminal(self, _text(answer, "terminalId", "terminal/create"))
        except ToolFailed:
            return
        self._connection.spawn(terminal.release)

    async def ask(self, method: str, params: Object, late: Late | None = None) -> Any:
        params = {"sessionId": self._session_id, **params}
        try:
            return await self._connection.request(method, params, late=late)
        except ConnectionClosed as error:
            raise ToolFailed(str(error)) from None


class ClientTerminal:
    """A terminal of the client, from its creation to its release."""

    def __init__(self, editor: ClientEditor, terminal_id: str) -> None:
        self.terminal_id = terminal_id
        self._editor = editor
        self._params: Object = {"terminalId": terminal_id}

    async def wait(self) -> None:
        await self._editor.call("terminal/wait_for_exit", self._params)

    async def result(self) -> TerminalResult:
        answer = await self._editor.call("terminal/output", self._params)
        ended = _part(answer, "exitStatus")
        code, signal = ended.get("exitCode"), ended.get("signal")
        return TerminalResult(
            output=_text(answer, "output", "terminal/output"),
            exit_code=code if isinstance(code, int) else None,
            signal=signal if isinstance(signal, str) else None,
            truncated=_object(answer).get("truncated") is True,
        )

    async def kill(self) -> None:
        await self._editor.call("terminal/kill", self._params)

    async def release(self) -> None:
        """Give the terminal back, which ends its command; the client may have lost it already."""
        try:
            await self._editor.ask("terminal/release", self._params)
        except (RpcError, ToolFailed):
            return


def _text(answer: Any, name: str, method: str) -> str:
    value: object = _object(answer).get(name)
    if not isinstance(value, str):
        raise ToolFailed(f"the editor's answer to {method} has no text {name!r}")
    return value


def _part(answer: Any, name: str) -> Object:
    return _object(_object(answer).get(name))


def _object(value: Any) -> Object:
    return cast("Object", value) if isinstance(value, dict) else {}
