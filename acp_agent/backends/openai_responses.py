"""Any server with OpenAI's Responses API as a model: llama.cpp, LM Studio, Ollama, vLLM, others.

It is used without the server's memory: each request carries the whole conversation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal

from acp_agent.backends.chat_wire import read_timings
from acp_agent.backends.endpoint import Locate
from acp_agent.backends.failures import error_text, is_guardrail, overflow
from acp_agent.backends.loose_json import as_object, members
from acp_agent.backends.openai_server import PATIENCE, WHOLE, OpenAIServer, Patience
from acp_agent.backends.reply import Reply, ReplyStream
from acp_agent.backends.responses_wire import (
    Item,
    is_call,
    item_key,
    read_call,
    read_item,
    read_items,
    responses_body,
)
from acp_agent.backends.sse import DONE, ServerEvent
from acp_agent.conversation import ModelRequest, ModelStep
from acp_agent.errors import EngineFailed, StreamDropped
from acp_agent.ports import Availability, EngineLoading, ModelEvent, ModelInfo, Timings

PATH = "/v1/responses"
CONTEXT = 8192  # where the server names none
_TEXT = ("response.output_text.delta", "response.refusal.delta")
_REASONING = (
    "response.reasoning_text.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning.delta",
)
_LAST = ("response.completed", "response.incomplete", "response.failed")


class OpenAIResponses:
    """A model behind the Responses API; without `model`, the first that the server lists."""

    def __init__(
        self,
        locate: Locate,
        *,
        model: str = "",
        name: str = "openai_responses",
        context: int = CONTEXT,
        key_variable: str = "",
        patience: Patience = PATIENCE,
    ) -> None:
        self.name = name
        self.default_model = model
        self._server = OpenAIServer(
            locate, context=context, key_variable=key_variable, patience=patience
        )
        self._context = context

    async def is_available(self) -> Availability:
        """Say how the server is, and whether it has the model; raises nothing."""
        return await self._server.availability(self.default_model)

    async def list_models(self) -> Sequence[ModelInfo]:
        """Return what the server lists. Raises BackendError."""
        return await self._server.models()

    async def context_size(self) -> int:
        """Return the model's window, as the server says or as configured."""
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

    async def _run(self, request: ModelRequest, reply: Reply) -> AsyncGenerator[ModelEvent]:
        body = responses_body(request, await self._server.model(self.default_model))
        reader = _Reader(self._server, reply, request.max_tokens, self._context)
        async with aclosing(self._server.post(PATH, body)) as answer:
            async for event in answer:
                if isinstance(event, EngineLoading):
                    yield event
                    continue
                for part in reader.read(event):
                    yield part
                if reader.is_done:
                    return
        raise StreamDropped("the server ended its answer without saying that it was done")


class _Reader:
    """Reads the events of one response into a reply."""

    def __init__(
        self, server: OpenAIServer, reply: Reply, max_tokens: int | None, context: int
    ) -> None:
        self.is_done = False
        self._server = server
        self._reply = reply
        self._max_tokens = max_tokens
        self._context = context
        self._streamed: set[str] = set()

    def read(self, event: ServerEvent) -> list[ModelEvent]:
        """Return the parts that the event brings. Raises BackendError."""
        if event.data == DONE:
            return []
        fields = as_object(event.data)
        if fields is None:
            raise self._server.mismatch("it streams something else than JSON")
        kind = str(fields.get("type") or event.name)
        if kind == "error" or (fields.get("error") and "response" not in fields):
            return self._broken(fields)
        try:
            if event.name == WHOLE:
                return self._end("response.completed", fields)
            return self._known(kind, fields)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._server.mismatch(f"it streams a {kind!r} event of another shape") from None

    def _known(self, kind: str, fields: Mapping[str, Any]) -> list[ModelEvent]:
        if kind in _LAST:
            return self._end(kind, fields["response"], fields)
        key = str(fields.get("item_id") or fields.get("output_index", ""))
        if kind in _TEXT:
            self._streamed.add("message")
            return self._reply.say(str(fields["delta"]))
        if kind in _REASONING:
            self._streamed.add("reasoning")
            return self._reply.think(str(fields["delta"]))
        if kind == "response.output_item.added" and is_call(fields["item"]):
            name, arguments = read_call(fields["item"])
            return self._reply.call(item_key(fields["item"], key), name, arguments)
        if kind == "response.function_call_arguments.delta" and self._reply.knows(key):
            return self._reply.call(key, "", str(fields["delta"]))
        if kind == "response.output_item.done":
            return self._items(list(read_item(fields["item"], key)))
        return []

    def _items(self, items: list[Item]) -> list[ModelEvent]:
        """Return what of these complete items has not been streamed before."""
        events: list[ModelEvent] = []
        for item in items:
            match item.kind:
                case "call" if self._reply.knows(item.key):
                    self._reply.set_arguments(item.key, item.text)
                case "call":
                    events += self._reply.call(item.key, item.name, item.text)
                case "reasoning" if "reasoning" not in self._streamed:
                    events += self._reply.think(item.text)
                case "message" if "message" not in self._streamed:
                    events += self._reply.say(item.text)
                case _:
                    pass
        self._streamed |= {item.kind for item in items}
        return events

    def _end(
        self, kind: str, response: Mapping[str, Any], fields: Mapping[str, Any] | None = None
    ) -> list[ModelEvent]:
        if kind == "response.failed" or response.get("status") == "failed":
            return self._broken(response)
        events = self._items(read_items(response))
        timings = read_timings(fields or {}) or read_timings(response) or Timings()
        self.is_done = True
        return [*events, *self._reply.end(self._reason(kind, response, timings), timings)]

    def _reason(
        self, kind: str, response: Mapping[str, Any], timings: Timings
    ) -> Literal["stop", "limit"]:
        if members(response.get("incomplete_details")).get("reason") == "content_filter":
            self._reply.repaired("the server ended the answer: content_filter")
            return "stop"
        # llama.cpp says `completed` of an answer that it cut.
        cut = self._max_tokens is not None and timings.predicted_tokens >= self._max_tokens
        unfinished = "response.incomplete" in kind or response.get("status") == "incomplete"
        return "limit" if cut or unfinished else "stop"

    def _broken(self, fields: Mapping[str, Any]) -> list[ModelEvent]:
        text = error_text(fields) or "it gave no reason"
        if is_guardrail(text) and not self._reply.is_empty:
            self._reply.repaired(f"the server ended the answer: {text}")
            self.is_done = True
            return self._reply.end("stop", Timings())
        full = overflow(fields, text, asked=0, context=self._context)
        raise full or EngineFailed(f"the server broke off: {text}")
