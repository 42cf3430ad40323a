"""A model behind one of OpenAI's two APIs: the parts that both have, put together.

What differs between the two, how a request is put and an answer read, is an `OpenAIApi`:
openai_chat.py and openai_responses.py.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from acp_agent.backends.choice_schema import Choice, chosen
from acp_agent.backends.openai_server import OpenAIServer
from acp_agent.backends.reading import Reader, read_parts
from acp_agent.backends.reply import Reply, ReplyStream, whole_step
from acp_agent.conversation import ModelRequest, ModelStep
from acp_agent.ports import Availability, Chooser, ModelEvent, ModelInfo


class OpenAIApi(Protocol):
    """How one of the two APIs is spoken; `chooses`: its answers can be held to a schema."""

    @property
    def path(self) -> str: ...

    @property
    def chooses(self) -> bool: ...

    def body(
        self, request: ModelRequest, model: str, choice: Choice | None
    ) -> Mapping[str, object]: ...

    def reader(
        self, server: OpenAIServer, request: ModelRequest, reply: Reply
    ) -> Reader[ModelEvent]: ...


class OpenAIModel:
    """The model `model` of `server`, the server's first if empty, asked by `spoken`."""

    def __init__(self, name: str, server: OpenAIServer, spoken: OpenAIApi, model: str) -> None:
        self.name = name
        self.default_model = model
        self._server = server
        self._spoken = spoken

    @property
    def chooser(self) -> Chooser | None:
        return self if self._spoken.chooses else None

    async def is_available(self) -> Availability:
        """Say how the server is, and whether it has the model; raises nothing."""
        return await self._server.availability(self.default_model)

    async def list_models(self) -> Sequence[ModelInfo]:
        """Return what the server lists. Raises BackendError."""
        return await self._server.models()

    async def context_size(self) -> int:
        """Return the model's window; the configured one where the server names none."""
        return await self._server.context_size(self.default_model)

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ReplyStream]:
        """Answer `request`; leaving the block closes the connection, which the server sees."""
        return self._asked(request, None)

    async def complete(self, request: ModelRequest) -> ModelStep:
        """Answer `request` in one piece. Raises as `stream` does."""
        return await whole_step(self.stream(request))

    async def count(self, request: ModelRequest) -> None:
        """Return None: only the server knows its tokens."""

    async def prefill(self, request: ModelRequest) -> None:
        """Have an engine of ours read `request`; any other server may have better things to do.

        Such a server generates what it is asked for, one token at the least. Raises BackendError.
        """
        if self._server.api.service.ours:
            await self.complete(replace(request, max_tokens=1))

    async def choose(self, request: ModelRequest, schema: Mapping[str, object]) -> dict[str, Any]:
        """Answer `request` with an object of `schema`, constrained where the server can.

        A schema that refers to itself is refused, for it hangs Apple's server for good.
        """
        choice = Choice(schema)
        step = await whole_step(self._asked(replace(request, tools=()), choice))
        return chosen(choice, step, request.max_tokens)

    @asynccontextmanager
    async def _asked(
        self, request: ModelRequest, choice: Choice | None
    ) -> AsyncGenerator[ReplyStream]:
        reply = Reply(request.tools)
        async with aclosing(self._run(request, reply, choice)) as events:
            yield ReplyStream(events, reply)

    async def _run(
        self, request: ModelRequest, reply: Reply, choice: Choice | None
    ) -> AsyncGenerator[ModelEvent]:
        body = self._spoken.body(request, await self._server.model(self.default_model), choice)
        events = self._server.api.stream(self._spoken.path, body, context=self._server.context)
        reader = self._spoken.reader(self._server, request, reply)
        async with aclosing(read_parts(events, reader)) as parts:
            async for part in parts:
                yield part
