"""An ACP client: starts an agent as a child process and talks to it; it shows nothing.

`run`, `demo` and the tests drive agents with it, ours or any other that speaks ACP v1 on stdio.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio

from acp_agent.errors import AgentError
from acp_agent.protocol.connection import Connection, ConnectionClosed, Job
from acp_agent.protocol.host import Host, LocalHost, allow, reject
from acp_agent.protocol.jsonrpc import Notification, Object, Request
from acp_agent.protocol.process import AgentDied, AgentProcess, agent_process
from acp_agent.protocol.schema import Fields

__all__ = [
    "AgentDied",
    "Client",
    "ClientSession",
    "Host",
    "LocalHost",
    "allow",
    "open_client",
    "reject",
]

START = 30

OnUpdate = Callable[[Object], None]


class ClientSession:
    """One session with the agent; `options` maps the id of each option to its present value."""

    def __init__(self, client: Client, opened: Object) -> None:
        self.id: str = opened["sessionId"]
        self.opened = opened
        self.options = _values(opened)
        self._client = client

    async def prompt(
        self, prompt: str | Sequence[Object], on_update: OnUpdate | None = None
    ) -> str:
        """Send a prompt and return the stop reason; every update has been passed on by then."""
        blocks = [{"type": "text", "text": prompt}] if isinstance(prompt, str) else list(prompt)
        previous = self._client.listeners.get(self.id)
        if on_update is not None:
            self._client.listeners[self.id] = on_update
        try:
            answer = await self._client.request(
                "session/prompt", {"sessionId": self.id, "prompt": blocks}
            )
        finally:
            if previous is not None:
                self._client.listeners[self.id] = previous
            else:
                self._client.listeners.pop(self.id, None)
        return str(answer["stopReason"])

    def cancel(self) -> None:
        """End the turn that runs; its prompt then returns `cancelled`."""
        self._client.connection.notify("session/cancel", {"sessionId": self.id})

    async def set_option(self, option_id: str, value: str) -> None:
        """Choose a value of a config option. Raises RpcError for one that there is not."""
        params: Object = {"sessionId": self.id, "configId": option_id, "value": value}
        self.options = _values(await self._client.request("session/set_config_option", params))

    async def close(self) -> None:
        await self._client.request("session/close", {"sessionId": self.id})


class Client:
    """A running, initialized agent; `agent` is its answer to `initialize`."""

    def __init__(self, process: AgentProcess, host: Host, on_update: OnUpdate | None) -> None:
        self.agent: Object = {}
        self.process = process
        self.listeners: dict[str, OnUpdate] = {}
        incoming = _Incoming(host, self.listeners, on_update)
        self.connection = Connection(process, lambda _: incoming)

    async def new_session(
        self, cwd: Path, additional: Sequence[Path] = (), mcp_servers: Sequence[Object] = ()
    ) -> ClientSession:
        params: Object = {"cwd": str(cwd.absolute()), "mcpServers": list(mcp_servers)}
        if additional:
            params["additionalDirectories"] = [str(path.absolute()) for path in additional]
        return ClientSession(self, await self.request("session/new", params))

    async def load_session(
        self, session_id: str, cwd: Path, on_update: OnUpdate | None = None
    ) -> ClientSession:
        """Take up a session of before; `on_update` gets all that was said in it."""
        if on_update is not None:
            self.listeners[session_id] = on_update
        params: Object = {"sessionId": session_id, "cwd": str(cwd.absolute()), "mcpServers": []}
        try:
            opened = await self.request("session/load", params)
        finally:
            self.listeners.pop(session_id, None)
        return ClientSession(self, {"sessionId": session_id, **opened})

    async def request(self, method: str, params: Object) -> Any:
        """Send any request. Raises RpcError if the agent refuses, AgentDied if it is gone."""
        try:
            return await self.connection.request(method, params)
        except ConnectionClosed:
            raise await self.process.obituary(f"the agent ended during {method}") from None

    async def initialize(self, capabilities: Object) -> None:
        params: Object = {
            "protocolVersion": 1,
            "clientCapabilities": capabilities,
            "clientInfo": {"name": "acp-agent", "version": "1"},
        }
        with anyio.move_on_after(START):
            self.agent = await self.request("initialize", params)
            return
        raise await self.process.obituary(f"no answer to initialize within {START} s")


class _Incoming:
    """What the agent sends: requests go to the host, updates to whoever listens to the session."""

    def __init__(
        self, host: Host, listeners: Mapping[str, OnUpdate], on_update: OnUpdate | None
    ) -> None:
        self._host = host
        self._listeners = listeners
        self._on_update = on_update

    def request(self, request: Request) -> Job:
        return Job(lambda: self._host.request(request.method, request.params))

    def notification(self, notification: Notification) -> None:
        if notification.method != "session/update":
            return
        session_id = Fields(notification.params, notification.method).text("sessionId")
        listener = self._listeners.get(session_id, self._on_update)
        update = notification.params.get("update")
        if listener is not None and isinstance(update, dict):
            listener(cast("Object", update))

    def closing(self) -> None:
        return


@asynccontextmanager
async def open_client(
    command: Sequence[str],
    host: Host,
    *,
    on_update: OnUpdate | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> AsyncGenerator[Client]:
    """Start the agent and initialize it; on leaving, it is gone.

    `on_update` gets the updates that no prompt's own listener takes.

    Raises:
        AgentDied: It cannot be started, or ended before it answered.

    """
    failure: AgentError | None = None
    async with agent_process(command, env=env, cwd=cwd) as process:
        client = Client(process, host, on_update)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.connection.run)
            try:
                await client.initialize(host.capabilities)
                yield client
            except AgentError as error:
                failure = error  # raised below, outside the group, which would wrap it
            finally:
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure


def _values(answer: Object) -> dict[str, object]:
    options = cast("list[Object]", answer.get("configOptions") or [])
    return {str(option["id"]): option["currentValue"] for option in options}
