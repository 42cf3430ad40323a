"""Any server with OpenAI's Responses API as a model: llama.cpp, LM Studio, Ollama, vLLM, others.

It is used without the server's memory: each request carries the whole conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from acp_agent.backends.api import PATIENCE, WHOLE, Api, Patience
from acp_agent.backends.chat_wire import read_timings
from acp_agent.backends.choice_schema import Choice
from acp_agent.backends.endpoint import Locate
from acp_agent.backends.failures import Service, broken, error_text, is_guardrail
from acp_agent.backends.loose_json import as_object, members
from acp_agent.backends.openai_model import OpenAIModel
from acp_agent.backends.openai_server import NAME, OpenAIServer
from acp_agent.backends.reply import Reply
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
from acp_agent.conversation import ModelRequest
from acp_agent.ports import ModelEvent, Timings

CONTEXT = 8192  # where the server names none
_TEXT = ("response.output_text.delta", "response.refusal.delta")
_REASONING = (
    "response.reasoning_text.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning.delta",
)
_LAST = ("response.completed", "response.incomplete", "response.failed")


def openai_responses(
    locate: Locate,
    *,
    model: str = "",
    context: int = CONTEXT,
    url_variable: str = "",
    key_variable: str = "",
    patience: Patience = PATIENCE,
    strict: bool = False,
) -> OpenAIModel:
    """Return a model behind the Responses API; without `model`, the server's first."""
    api = Api(Service(NAME, url_variable, key_variable), locate, patience=patience)
    server = OpenAIServer(api, context=context, strict=strict)
    return OpenAIModel("openai_responses", server, Responses(), model)


class Responses:
    """The Responses API."""

    path = "/v1/responses"
    chooses = False  # llama.cpp takes `text.format` and answers as if it were not there

    def body(
        self, request: ModelRequest, model: str, choice: Choice | None
    ) -> Mapping[str, object]:
        """Return the request, which says nothing of a `choice`."""
        del choice
        return responses_body(request, model)

    def reader(self, server: OpenAIServer, request: ModelRequest, reply: Reply) -> ResponsesReader:
        """Return what reads the answer into `reply`."""
        return ResponsesReader(server, reply, request.max_tokens)


class ResponsesReader:
    """Reads the events of one response."""

    def __init__(self, server: OpenAIServer, reply: Reply, max_tokens: int | None) -> None:
        self.is_done = False
        self._server = server
        self._reply = reply
        self._max_tokens = max_tokens
        self._streamed: set[str] = set()

    def read(self, event: ServerEvent) -> list[ModelEvent]:
        """Return the parts that the event brings. Raises BackendError."""
        if event.data == DONE:
            return []
        fields = as_object(event.data)
        if fields is None:
            raise self._server.api.mismatch("it streams something else than JSON")
        kind = str(fields.get("type") or event.name)
        if kind == "error" or (fields.get("error") and "response" not in fields):
            return self._broken(fields)
        try:
            if event.name == WHOLE:
                return self._end("response.completed", fields)
            return self._known(kind, fields)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._server.api.mismatch(
                f"it streams a {kind!r} event of another shape"
            ) from None

    def close(self) -> list[ModelEvent]:
        """Return nothing: an answer without its last event has no end."""
        return []

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
        text = error_text(fields)
        if not is_guardrail(text) or self._reply.is_empty:
            raise broken(self._server.api.service, fields, context=self._server.context)
        self._reply.repaired(f"the server ended the answer: {text}")
        self.is_done = True
        return self._reply.end("stop", Timings())
