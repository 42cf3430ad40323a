"""The methods for sessions of before: list, load, resume, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from acp_agent.agent.stored import Asked, Listed, SessionStore, Stored
from acp_agent.errors import INTERNAL_ERROR, INVALID_PARAMS, AgentError, RpcError
from acp_agent.events import Event
from acp_agent.protocol import jsonrpc
from acp_agent.protocol.agent import Agent, ClientCapabilities, session_state
from acp_agent.protocol.connection import Job
from acp_agent.protocol.convert import Converter, user_chunk
from acp_agent.protocol.jsonrpc import Object
from acp_agent.protocol.schema import Fields
from acp_agent.protocol.sessions import OpenSession

METHODS = ("session/load", "session/resume", "session/list", "session/delete")
T = TypeVar("T")
Send = Callable[[bytes], Awaitable[None]]


class Library:
    """Takes sessions up again for one client; `leave` ends one that this client has open."""

    def __init__(
        self,
        agent: Agent,
        store: SessionStore,
        send: Send,
        leave: Callable[[str], Awaitable[None]],
    ) -> None:
        self._agent = agent
        self._store = store
        self._send = send
        self._leave = leave

    def job(self, method: str, params: Fields) -> Job:
        """Return the work of one of `METHODS`. Raises RpcError."""
        if method == "session/list":
            return self._list(params)
        session_id = params.text("sessionId")
        if method == "session/delete":
            return Job(lambda: self._delete(session_id))
        opened = self._agent.opened(params, session_id)
        return Job(lambda: self._take_up(opened, params, replay=method == "session/load"))

    def _list(self, params: Fields) -> Job:
        cwd = Path(params.absolute_path("cwd")) if params.has("cwd") else None
        cursor = params.text("cursor") if params.has("cursor") else ""

        async def page() -> Object:
            try:
                found, following = await self._store.page(cwd, cursor)
            except ValueError:
                raise RpcError(
                    INVALID_PARAMS, f"{params.where}: cursor is none that this agent gave"
                ) from None
            result: Object = {"sessions": [_info(session) for session in found]}
            return {**result, "nextCursor": following} if following else result

        return Job(page)

    async def _delete(self, session_id: str) -> Object:
        if session_id in self._agent.sessions:
            await self._leave(session_id)
        await _told(self._store.delete(session_id))
        return {}

    async def _take_up(self, opened: OpenSession, params: Fields, *, replay: bool) -> Object:
        has_record = await self._store.has(opened.id)
        if opened.id in self._agent.sessions:  # asked at last: requests run at the same time
            if not has_record:
                raise RpcError(
                    INVALID_PARAMS,
                    f"{params.where}: sessionId names an open session without a record, which has"
                    " nothing to take up; it stays open",
                )
            await self._leave(opened.id)
        stored = await _told(self._store.take_up(opened.id))
        if stored is None:
            raise RpcError(INVALID_PARAMS, f"{params.where}: sessionId names no session")
        try:
            await self._read(opened, stored, replay=replay)
        finally:
            stored.release()
        opened.stored = stored
        _restore(opened, stored)
        self._agent.sessions[opened.id] = opened
        return session_state(opened)

    async def _read(self, opened: OpenSession, stored: Stored, *, replay: bool) -> None:
        # Ids that it has given are not given again, also to a client that has kept what it saw.
        opened.converter = Converter(self._agent.client or ClientCapabilities())
        try:
            async for batch in stored.shown():
                for item in batch:
                    updates = _updates(item, opened.converter)
                    if replay:
                        await self._show(opened.id, updates)
        except OSError as error:
            reason = error.strerror or error
            raise RpcError(INTERNAL_ERROR, f"cannot read the session: {reason}") from None

    async def _show(self, session_id: str, updates: Sequence[Object]) -> None:
        for update in updates:
            params: Object = {"sessionId": session_id, "update": update}
            await self._send(jsonrpc.notification("session/update", params))


def _updates(item: Asked | Event, converter: Converter) -> Sequence[Object]:
    return (user_chunk(item),) if isinstance(item, Asked) else converter.updates(item)


def _restore(opened: OpenSession, stored: Stored) -> None:
    """Choose what was chosen, as far as it is still on offer."""
    for option in opened.options.options:
        value = stored.options.get(option.id, "")
        if value in [choice.value for choice in option.choices]:
            opened.options.set(option.id, value)
    if stored.skipped:
        opened.note(f"{stored.skipped} lines of this session's record could not be read")


def _info(session: Listed) -> Object:
    info: Object = {
        "sessionId": session.id,
        "cwd": session.cwd,
        "updatedAt": session.updated,
    }
    if session.title:
        info["title"] = session.title
    if session.roots[1:]:
        info["additionalDirectories"] = list(session.roots[1:])
    return info


async def _told(work: Awaitable[T]) -> T:
    """Await the store; what goes wrong there is for the user."""
    try:
        return await work
    except AgentError as error:
        raise RpcError(INTERNAL_ERROR, str(error), {"kind": type(error).__name__}) from None
