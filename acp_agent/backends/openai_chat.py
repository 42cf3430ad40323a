"""Any server with Chat Completions as a model: LM Studio, llama.cpp, bridges to Apple's model.

What is peculiar to a server is its profile. The model's own tokens are never seen, so a
conversation with gpt-oss is better had through llama.cpp or vLLM, which give them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from acp_agent.backends.api import PATIENCE, WHOLE, Api, Patience
from acp_agent.backends.chat_text import ChatText
from acp_agent.backends.chat_wire import Delta, chat_body, read_chunk
from acp_agent.backends.choice_schema import Choice, choice_fields
from acp_agent.backends.endpoint import Locate
from acp_agent.backends.failures import Service, broken, error_text, is_guardrail
from acp_agent.backends.loose_json import as_object
from acp_agent.backends.openai_model import OpenAIModel
from acp_agent.backends.openai_server import NAME, OpenAIServer
from acp_agent.backends.profiles import OPENAI, ChatProfile
from acp_agent.backends.reply import Reply
from acp_agent.backends.sse import DONE, ServerEvent
from acp_agent.conversation import ModelRequest
from acp_agent.ports import ModelEvent, Timings

OUR_NAME = "the small model's engine"


def openai_chat(
    locate: Locate,
    *,
    model: str = "",
    profile: ChatProfile = OPENAI,
    url_variable: str = "",
    patience: Patience = PATIENCE,
    strict: bool = False,
) -> OpenAIModel:
    """Return a model behind Chat Completions; without `model`, the profile's or the first."""
    name = OUR_NAME if profile.ours else NAME
    service = Service(name, url_variable, profile.key_variable, ours=profile.ours)
    api = Api(service, locate, patience=patience)
    server = OpenAIServer(
        api, context=profile.context_size, sizes_path=profile.sizes_path, strict=strict
    )
    return OpenAIModel(profile.name, server, ChatCompletions(profile), model or profile.model)


class ChatCompletions:
    """Chat Completions, as a server of `profile` speaks it."""

    path = "/v1/chat/completions"

    def __init__(self, profile: ChatProfile) -> None:
        self._profile = profile

    @property
    def chooses(self) -> bool:
        return self._profile.guided != "none"

    def body(
        self, request: ModelRequest, model: str, choice: Choice | None
    ) -> Mapping[str, object]:
        """Return the request."""
        constraint = choice_fields(choice, self._profile) if choice else {}
        return chat_body(request, model, self._profile) | constraint

    def reader(self, server: OpenAIServer, request: ModelRequest, reply: Reply) -> ChatReader:
        """Return what reads the answer into `reply`."""
        return ChatReader(server, reply, ChatText(reply, request, self._profile))


class ChatReader:
    """Reads the chunks of one answer."""

    def __init__(self, server: OpenAIServer, reply: Reply, text: ChatText) -> None:
        self.is_done = False
        self._server = server
        self._reply = reply
        self._text = text
        self._finish = ""
        self._timings = Timings()

    def read(self, event: ServerEvent) -> list[ModelEvent]:
        """Return the parts that the event brings. Raises BackendError."""
        if event.data == DONE:
            self._finish = self._finish or "stop"
            return self.close()
        delta = self._delta(event)
        self._finish = delta.finish or self._finish
        self._timings = delta.timings or self._timings
        parts = self._text.feed(delta)
        if self._text.is_full:
            self._finish = "length"
            parts += self.close()
        return parts

    def close(self) -> list[ModelEvent]:
        """Return the end, if the server has said why it ended."""
        self.is_done = bool(self._finish)
        return self._text.close(self._finish, self._timings) if self.is_done else []

    def _delta(self, event: ServerEvent) -> Delta:
        fields = as_object(event.data)
        if fields is None:
            raise self._server.api.mismatch("it streams something else than JSON")
        if fields.get("error") or event.name == "error":
            return self._broken(fields)
        try:
            delta = read_chunk(fields)
        except (TypeError, ValueError):
            raise self._server.api.mismatch("it streams something else than chat chunks") from None
        return replace(delta, finish=delta.finish or "stop") if event.name == WHOLE else delta

    def _broken(self, fields: Mapping[str, Any]) -> Delta:
        """Return what ends an answer that the model's owner stopped. Raises what else broke it."""
        text = error_text(fields)
        if not is_guardrail(text) or self._reply.is_empty:
            raise broken(self._server.api.service, fields, context=self._server.context)
        self._reply.repaired(f"the server ended the answer: {text}")
        return Delta(finish="content_filter")
