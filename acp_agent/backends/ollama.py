"""Ollama as a model: its native `POST /api/chat`, with reasoning and tool calls read by Ollama.

It takes and gives no token ids, so gpt-oss served this way has no exact history; llama.cpp has.
Written to Ollama's source of August 2026; it has not been run against an Ollama.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

from acp_agent.backends.api import PATIENCE, Api, Patience
from acp_agent.backends.choice_schema import Choice, chosen
from acp_agent.backends.endpoint import Locate
from acp_agent.backends.failures import Service
from acp_agent.backends.ollama_library import OllamaLibrary
from acp_agent.backends.ollama_stream import ChatReader
from acp_agent.backends.ollama_wire import ModelFacts, chat_body, unread_call
from acp_agent.backends.reading import read_parts
from acp_agent.backends.reply import Reply, ReplyStream, new_call_id, whole_step
from acp_agent.conversation import ModelRequest, ModelStep
from acp_agent.errors import BackendError, EngineFailed
from acp_agent.ports import Availability, Chooser, ModelEvent, ModelInfo

SERVICE = Service("Ollama", "OLLAMA_BASE_URL", "OLLAMA_API_KEY", unread_call)
CONTEXT = 16_384
KEEP_ALIVE = "10m"


class OllamaBackend:
    """A model of an Ollama, wherever `locate` finds it.

    `model` is a name such as `qwen3:4b`, the first one installed if empty. `context` is asked for
    as `num_ctx`, as far as the model has so much; another one makes Ollama load the model anew.
    """

    name = "ollama"

    def __init__(
        self,
        locate: Locate,
        *,
        model: str = "",
        context: int = CONTEXT,
        keep_alive: str = KEEP_ALIVE,
        call_ids: Callable[[], str] = new_call_id,
        patience: Patience = PATIENCE,
    ) -> None:
        self.default_model = model
        self._wanted = context
        self._keep_alive = keep_alive
        self._call_ids = call_ids
        self._api = Api(SERVICE, locate, patience=patience)
        self._library = OllamaLibrary(self._api)
        self._facts: ModelFacts | None = None

    @property
    def chooser(self) -> Chooser:
        return self

    async def is_available(self) -> Availability:
        """Say whether it is an Ollama, and has the model; raises nothing."""
        try:
            await self._library.greet()
            await self._known()
        except BackendError as error:
            return Availability("unavailable", str(error))
        return Availability("ready")

    async def list_models(self) -> Sequence[ModelInfo]:
        """Return what is installed; the context size only of the model in use."""
        size = self._facts.context_size if self._facts else None
        return [
            ModelInfo(name, name, size if name == self.default_model else None)
            for name in await self._library.names()
        ]

    async def context_size(self) -> int:
        """Return the `num_ctx` of every request. Raises BackendError."""
        size = (await self._known()).context_size
        return self._wanted if size is None else min(size, self._wanted)

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ReplyStream]:
        """Answer `request`; leaving the block closes the connection, at which Ollama stops."""
        return self._asked(request, {})

    async def complete(self, request: ModelRequest) -> ModelStep:
        """Answer `request` in one piece. Raises as `stream` does."""
        return await whole_step(self.stream(request))

    async def choose(self, request: ModelRequest, schema: Mapping[str, object]) -> dict[str, Any]:
        """Answer `request` with an object of `schema`, to which Ollama constrains the model."""
        choice = Choice(schema)
        answering = self._asked(replace(request, tools=()), {"format": choice.schema})
        return chosen(choice, await whole_step(answering), request.max_tokens)

    async def count(self, request: ModelRequest) -> None:
        """Return None: only the server knows its tokens."""

    async def prefill(self, request: ModelRequest) -> None:
        """Have the weights loaded; a prompt cannot be read ahead. Raises BackendError."""
        del request
        await self.load()

    async def load(self) -> None:
        """Read the model into memory, as requests will need it. Raises BackendError."""
        context = await self.context_size()
        await self._library.load(self.default_model, context=context, keep_alive=self._keep_alive)

    async def unload(self) -> None:
        """Let go of the model. Raises BackendError."""
        await self._known()
        await self._library.unload(self.default_model)

    def pull(self, model: str) -> AbstractAsyncContextManager[AsyncIterator[Availability]]:
        """Fetch a model, with progress. Raises BackendError, also while iterating."""
        return self._library.pull(model)

    @asynccontextmanager
    async def _asked(
        self, request: ModelRequest, extra: Mapping[str, object]
    ) -> AsyncGenerator[ReplyStream]:
        reply = Reply(request.tools, self._call_ids)
        async with aclosing(self._run(request, reply, extra)) as events:
            yield ReplyStream(events, reply)

    async def _run(
        self, request: ModelRequest, reply: Reply, extra: Mapping[str, object]
    ) -> AsyncGenerator[ModelEvent]:
        facts, context = await self._known(), await self.context_size()
        body = chat_body(
            self.default_model, request, facts, context=context, keep_alive=self._keep_alive
        ) | dict(extra)
        events = self._api.stream("/api/chat", body, context=context)
        async with aclosing(read_parts(events, ChatReader(self._api, reply, context))) as parts:
            async for part in parts:
                yield part

    async def _known(self) -> ModelFacts:
        """Return the facts of the model that answers; asked once."""
        if self._facts is None:
            if not self.default_model:
                names = await self._library.names()
                if not names:
                    raise EngineFailed("Ollama has no models; fetch one: ollama pull gpt-oss:20b")
                self.default_model = names[0]
            self._facts = await self._library.facts(self.default_model)
        return self._facts
