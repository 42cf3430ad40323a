"""Any server with OpenAI's Chat Completions as a model: Apple's bridges, LM Studio, and others.

Text goes in and text comes out; the server's own template and parsers stand between. What is
peculiar to a server is in its `ChatProfile`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

from acp_agent.backends.chat_text import ChatText
from acp_agent.backends.chat_wire import Delta, chat_body, read_chunk
from acp_agent.backends.choice_schema import Choice, choice_fields, read_choice
from acp_agent.backends.endpoint import Locate
from acp_agent.backends.failures import error_text, is_guardrail, overflow
from acp_agent.backends.loose_json import as_object
from acp_agent.backends.openai_server import (
    PATIENCE,
    WHOLE,
    OpenAIServer,
    Patience,
)
from acp_agent.backends.profiles import OPENAI, ChatProfile
from acp_agent.backends.reply import Reply, ReplyStream
from acp_agent.backends.sse import DONE, ServerEvent
from acp_agent.conversation import ModelRequest, ModelStep
from acp_agent.errors import EngineFailed, StreamDropped
from acp_agent.ports import (
    Availability,
    EngineLoading,
    ModelEvent,
    ModelInfo,
    StepEnded,
    Timings,
)

PATH = "/v1/chat/completions"


class OpenAIChat:
    """A model behind Chat Completions; without `model`, the profile's, or the server's first."""

    def __init__(
        self,
        locate: Locate,
        *,
        model: str = "",
        profile: ChatProfile = OPENAI,
        patience: Patience = PATIENCE,
    ) -> None:
        self.default_model = model or profile.model
        self._profile = profile
        self._server = OpenAIServer(
            locate,
            context=profile.context_size,
            key_variable=profile.key_variable,
            sizes_path=profile.sizes_path,
            ours=profile.ours,
            patience=patience,
        )

    @property
    def name(self) -> str:
        return self._profile.name

    async def is_available(self) -> Availability:
        """Say how the server is, and whether it has the model; raises nothing."""
        return await self._server.availability(self.default_model)

    async def list_models(self) -> Sequence[ModelInfo]:
        """Return what the server lists. Raises BackendError."""
        return await self._server.models()

    async def context_size(self) -> int:
        """Return the model's window; the profile's where the server names none."""
        return await self._server.context_size(await self._server.model(self.default_model))

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator[ReplyStream]:
        """Answer `request`; leaving the block closes the connection, which the server sees."""
        reply = Reply(request.tools)
        async with aclosing(self._run(request, reply)) as events:
            yield ReplyStream(events, reply)

    async def complete(self, request: ModelRequest) -> ModelStep:
        """Answer `request` in one piece. Raises as `stream` does."""
        async with self.stream(request) as stream:
            async for _ in stream:
                pass
            return stream.step()

    async def prefill(self, request: ModelRequest) -> None:
        """Do nothing: such a server generates whatever it reads."""

    async def choose(self, request: ModelRequest, schema: Mapping[str, object]) -> dict[str, Any]:
        """Answer `request` with an object of `schema`, constrained where the server can.

        Raises:
            ValueError: The schema refers to itself, which hangs Apple's server for good.
            EngineFailed: The answer is no such object.
            BackendError: As `stream` does.

        """
        choice = Choice(schema)
        plain = replace(request, tools=())
        extra = choice_fields(choice, self._profile)
        reply = Reply()
        async with aclosing(self._run(plain, reply, extra)) as events:
            async for event in events:
                if isinstance(event, StepEnded) and event.reason == "limit":
                    raise EngineFailed(
                        f"the model's choice was cut at {request.max_tokens} tokens; allow it more"
                    )
        messages = reply.step().messages
        return read_choice(choice, "".join(m.text for m in messages if m.channel == "final"))

    async def _run(
        self, request: ModelRequest, reply: Reply, extra: Mapping[str, object] | None = None
    ) -> AsyncGenerator[ModelEvent]:
        model = await self._server.model(self.default_model)
        body = chat_body(request, model, self._profile) | dict(extra or {})
        text = ChatText(reply, request, self._profile)
        finish, timings = "", Timings()
        async with aclosing(self._server.post(PATH, body)) as answer:
            async for event in answer:
                if isinstance(event, EngineLoading):
                    yield event
                    continue
                if event.data == DONE:
                    finish = finish or "stop"
                    break
                delta = self._read(event, reply)
                finish = delta.finish or finish
                timings = delta.timings or timings
                for part in text.feed(delta):
                    yield part
                if text.is_full:
                    finish = "length"
                    break
        if not finish:
            raise StreamDropped("the server ended its answer without saying that it was done")
        for part in text.close(finish, timings):
            yield part

    def _read(self, event: ServerEvent, reply: Reply) -> Delta:
        fields = as_object(event.data)
        if fields is None:
            raise self._server.mismatch("it streams something else than JSON")
        if "error" in fields or event.name == "error":
            return self._broken(fields, reply)
        try:
            delta = read_chunk(fields)
        except (TypeError, ValueError):
            raise self._server.mismatch("it streams something else than chat chunks") from None
        return replace(delta, finish=delta.finish or "stop") if event.name == WHOLE else delta

    def _broken(self, fields: Mapping[str, Any], reply: Reply) -> Delta:
        """Return what ends an answer that the model's owner stopped. Raises what else broke it."""
        text = error_text(fields) or "it gave no reason"
        if is_guardrail(text) and not reply.is_empty:
            reply.repaired(f"the server ended the answer: {text}")
            return Delta(finish="content_filter")
        full = overflow(fields, text, asked=0, context=self._profile.context_size)
        raise full or EngineFailed(f"the server broke off: {text}")
