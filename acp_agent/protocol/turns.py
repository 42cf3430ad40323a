"""One session's turns at the edge: one after the other, each answered exactly once, then silent.

What a turn is belongs to the core's `Session`. Here stands what ACP asks of any agent: a cancel is
never too early, a new prompt takes the place of the one that runs, and no update follows an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import anyio

from acp_agent.conversation import UserMessage
from acp_agent.errors import INTERNAL_ERROR, AgentError, RpcError
from acp_agent.events import Emit, Event, Noticed, StopReason
from acp_agent.ports import Editor
from acp_agent.protocol import jsonrpc
from acp_agent.protocol.connection import Job
from acp_agent.protocol.convert import Converter
from acp_agent.protocol.jsonrpc import Object
from acp_agent.protocol.sessions import OpenSession

_log = logging.getLogger(__name__)


class Session(Protocol):
    """What the core offers to the edge; prompts never overlap."""

    async def prompt(self, message: UserMessage, emit: Emit) -> StopReason:
        """Run one turn. Raises BackendError when no model could answer."""
        ...

    def cancel(self) -> None:
        """End the turn that runs, if any; its prompt returns `cancelled`."""
        ...

    async def prewarm(self, emit: Emit) -> None:
        """Get ready for the next prompt while the user types; may be cut off at any moment.

        What comes up meanwhile, such as a title, goes to `emit`.
        """
        ...

    async def close(self) -> None: ...


SessionFactory = Callable[[OpenSession, Editor], Awaitable[Session]]


class _Turn:
    """A prompt from its arrival to its answer."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.waiting = True
        self.has_order = False
        self.answered = False


class Conversation:
    """A session that prompts have arrived for, or that is being warmed up for the first."""

    def __init__(
        self,
        opened: OpenSession,
        converter: Converter,
        make: Callable[[], Awaitable[Session]],
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """Take how to make the core's session, at the first prompt, and where updates go."""
        self._opened = opened
        self._converter = converter
        self._make = make
        self._send = send
        self._session: Session | None = None
        self._turns: set[_Turn] = set()
        self._order = anyio.Lock()  # held from before a turn runs until its answer is on its way
        self._warming = anyio.CancelScope()
        self.is_warm = False

    @property
    def is_idle(self) -> bool:
        return not self._turns

    def prompt(self, message: UserMessage) -> Job:
        """Accept a prompt; whatever ran or waited before it ends as cancelled."""
        self.cancel()
        turn = _Turn()
        self._turns.add(turn)
        return Job(
            run=partial(self._run, turn, message),
            cancel=partial(self._cancel, turn),
            answered=partial(self._answered, turn),
        )

    def cancel(self) -> None:
        """End every turn, also one that has not begun."""
        for turn in self._turns:
            self._cancel(turn)

    async def close(self) -> Object:
        """End every turn, see each answered, and free the session."""
        self.cancel()
        self.cool()
        await self.free()
        return {}

    async def free(self) -> None:
        """Let go of what the session holds, after its turns have ended."""
        async with self._order:
            if self._session is not None:
                await self._session.close()

    def warm(self) -> Callable[[], Awaitable[None]]:
        """Return the work of getting ready for the next prompt; `cool` ends it, begun or not."""
        self.cool()
        self._warming = anyio.CancelScope()
        self.is_warm = True
        return partial(self._warm, self._warming)

    async def _warm(self, scope: anyio.CancelScope) -> None:
        with scope:
            async with self._order:
                await (await self._core()).prewarm(self._update)
        if scope.cancelled_caught:
            self.is_warm = False

    def cool(self) -> None:
        """Stop warming: a prompt, here or elsewhere, needs the machine."""
        self._warming.cancel()

    def _cancel(self, turn: _Turn) -> None:
        if turn.waiting or self._session is None:
            turn.scope.cancel()
        elif turn.has_order and not turn.answered:
            self._session.cancel()

    async def _run(self, turn: _Turn, message: UserMessage) -> Object:
        stop: StopReason = "cancelled"
        try:
            with turn.scope:
                await self._order.acquire()
                turn.has_order = True
                session = await self._core()
                await self._tell_notes(turn)
                turn.waiting = False
                stop = await session.prompt(message, partial(self._emit, turn))
        except RpcError:
            raise
        except AgentError as error:
            data = {"kind": type(error).__name__}
            raise RpcError(INTERNAL_ERROR, _one_line(error), data) from error
        finally:
            turn.answered = True
        return {"stopReason": stop}

    async def _core(self) -> Session:
        if self._session is None:
            self._session = await self._make()
        return self._session

    async def _tell_notes(self, turn: _Turn) -> None:
        notes, self._opened.notes = self._opened.notes, ()
        for note in notes:
            await self._emit(turn, Noticed(note, "warning"))

    async def _emit(self, turn: _Turn, event: Event) -> None:
        if turn.answered:
            _log.warning("dropped an update that came after the turn's end")
            return
        await self._tell_notes(turn)  # what came up since the turn began
        await self._update(event)

    async def _update(self, event: Event) -> None:
        for update in self._converter.updates(event):
            params: Object = {"sessionId": self._opened.id, "update": update}
            await self._send(jsonrpc.notification("session/update", params))

    def _answered(self, turn: _Turn) -> None:
        turn.answered = True
        self._turns.discard(turn)
        if turn.has_order:
            turn.has_order = False
            self._order.release()


def _one_line(error: AgentError) -> str:
    return " ".join(str(error).split()) or type(error).__name__
