"""The agent on a connection: the method table's slow side, warm-up, and the end of everything."""

from __future__ import annotations

import logging
import signal
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from acp_agent.agent.stored import SessionStore
from acp_agent.protocol import jsonrpc
from acp_agent.protocol.agent import Agent, ClientCapabilities, commands_update
from acp_agent.protocol.channel import Channel, open_channel
from acp_agent.protocol.client import ClientEditor
from acp_agent.protocol.connection import Connection, Job, Transport
from acp_agent.protocol.convert import Converter
from acp_agent.protocol.jsonrpc import Notification, Object, Request
from acp_agent.protocol.library import METHODS as LIBRARY
from acp_agent.protocol.library import Library
from acp_agent.protocol.opening import Opened, answer_request
from acp_agent.protocol.prompt import user_message
from acp_agent.protocol.schema import Fields
from acp_agent.protocol.sessions import OpenSession
from acp_agent.protocol.turns import Conversation, SessionFactory

CLOSE = 0.3

_log = logging.getLogger(__name__)

Background = Callable[[], Awaitable[None]]


class AgentHandler:
    """Answers a client with an `Agent` for what is quick and a `Conversation` for what is not."""

    def __init__(
        self,
        agent: Agent,
        factory: SessionFactory,
        store: SessionStore,
        connection: Connection,
    ) -> None:
        self._agent = agent
        self._library = Library(agent, store, connection.transport.send, self._leave)
        self._factory = factory
        self._connection = connection
        self._conversations: dict[str, Conversation] = {}

    def request(self, request: Request) -> bytes | Job:
        frames = answer_request(self._agent, request)
        if frames is not None:
            if request.method == "session/set_config_option":
                for conversation in self._conversations.values():
                    conversation.is_warm = False  # another effort, another prompt
            self.warm_all()
            return frames
        params = Fields(request.params, request.method)
        if request.method in LIBRARY:
            job = self._library.job(request.method, params)
            return job._replace(answered=partial(self._taken_up, params))
        opened = self._agent.session(params)
        if request.method == "session/close":
            return self._close(opened)
        message = user_message(params)
        for conversation in self._conversations.values():
            conversation.cool()
        conversation = self._conversation(opened)
        job = conversation.prompt(message)
        return job._replace(answered=partial(self._answered, conversation, job))

    def notification(self, notification: Notification) -> None:
        if notification.method != "session/cancel":
            _log.debug("ignored a notification of an unknown method")
            return
        opened = self._agent.session(Fields(notification.params, notification.method))
        if conversation := self._conversations.get(opened.id):
            conversation.cancel()

    def closing(self) -> None:
        for conversation in self._conversations.values():
            conversation.cool()
            conversation.cancel()

    def warm_all(self) -> None:
        """Get every session ready for its next prompt, unless a turn is running."""
        if any(not conversation.is_idle for conversation in self._conversations.values()):
            return
        for opened in self._agent.sessions.values():
            conversation = self._conversation(opened)
            if not conversation.is_warm:
                self._connection.spawn(conversation.warm())

    async def close(self) -> None:
        """Free every session; what takes too long is left to the process's end."""
        with anyio.move_on_after(CLOSE, shield=True):
            async with anyio.create_task_group() as tasks:
                for conversation in self._conversations.values():
                    tasks.start_soon(conversation.close)

    def _close(self, opened: OpenSession) -> Job:
        return Job(partial(self._freed, self._ended(opened)))

    async def _leave(self, session_id: str) -> None:
        await self._freed(self._ended(self._agent.sessions[session_id]))

    async def _freed(self, conversation: Conversation) -> Object:
        try:
            return await conversation.close()
        except anyio.get_cancelled_exc_class():
            # The client does not wait any more; nobody else would free it.
            self._connection.spawn(conversation.free)
            raise

    def _ended(self, opened: OpenSession) -> Conversation:
        del self._agent.sessions[opened.id]
        conversation = self._conversations.pop(opened.id, None) or self._new(opened)
        # Both at once, so that a prompt that has not begun to run is cancelled as well.
        conversation.cancel()
        return conversation

    def _answered(self, conversation: Conversation, job: Job) -> None:
        job.answered()
        if not all(other.is_idle for other in self._conversations.values()):
            return
        conversation.is_warm = False  # there is an answer more to read
        self.warm_all()

    def _taken_up(self, params: Fields) -> None:
        """Say what follows the answer to a request about sessions of before."""
        self.warm_all()
        session_id = params.text("sessionId") if params.has("sessionId") else ""
        if session_id in self._agent.sessions:
            update: Object = {"sessionId": session_id, "update": commands_update()}
            self._connection.transport.put(jsonrpc.notification("session/update", update))

    def _conversation(self, opened: OpenSession) -> Conversation:
        if opened.id not in self._conversations:
            self._conversations[opened.id] = self._new(opened)
        return self._conversations[opened.id]

    def _new(self, opened: OpenSession) -> Conversation:
        client = self._agent.client or ClientCapabilities()
        editor = ClientEditor(self._connection, opened.id, client)
        return Conversation(
            opened,
            opened.converter or Converter(client),
            partial(self._factory, opened, editor),
            self._connection.transport.send,
        )


async def serve(
    agent: Agent,
    transport: Transport,
    factory: SessionFactory,
    store: SessionStore,
    on_ready: Background | None = None,
) -> None:
    """Serve one client until it has gone, with every session closed behind it."""
    handlers: list[AgentHandler] = []

    def handle(connection: Connection) -> AgentHandler:
        handlers.append(AgentHandler(agent, factory, store, connection))
        return handlers[0]

    connection = Connection(transport, handle)
    try:
        await connection.run(partial(_begin, connection, handlers[0], on_ready))
    finally:
        await handlers[0].close()


async def serve_connection(
    opened: Opened,
    factory: SessionFactory,
    store: SessionStore,
    on_ready: Background | None = None,
) -> None:
    """Go on where the opening ended, until the client closes a pipe or a signal asks to end.

    `factory` is called once for a session, before its first prompt; `store` has those of before.
    `on_ready` runs beside
    everything as soon as the loop does: the place to load what the first prompt will need.
    """
    async with open_channel(opened.wire, opened.splitter, opened.lines) as channel:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_on_signal, channel)
            await serve(opened.agent, channel, factory, store, on_ready)
            tasks.cancel_scope.cancel()


def _begin(connection: Connection, handler: AgentHandler, on_ready: Background | None) -> None:
    if on_ready is not None:
        connection.spawn(on_ready)
    handler.warm_all()


async def _end_on_signal(channel: Channel) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            channel.end()
