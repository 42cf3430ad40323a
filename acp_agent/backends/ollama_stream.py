"""The answer of Ollama's `/api/chat`, line by line, made a reply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from acp_agent.backends.api import Api
from acp_agent.backends.failures import broken
from acp_agent.backends.loose_json import as_object
from acp_agent.backends.reply import Reply
from acp_agent.backends.sse import ServerEvent
from acp_agent.ports import ModelEvent, Timings


class ChatReader:
    """Reads the lines of one answer into `reply`; `context` is what was asked for.

    Ollama sends a call whole, when it could read it.
    """

    def __init__(self, api: Api, reply: Reply, context: int) -> None:
        self.is_done = False
        self._api = api
        self._reply = reply
        self._context = context
        self._calls = 0

    def read(self, event: ServerEvent) -> list[ModelEvent]:
        """Return the parts that the line brings. Raises BackendError."""
        fields = as_object(event.data)
        if fields is None:
            raise self._api.mismatch("it streams something else than JSON")
        if fields.get("error"):
            raise broken(self._api.service, fields, context=self._context)
        try:
            return self._known(fields)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._api.mismatch("it streams no messages") from None

    def close(self) -> list[ModelEvent]:
        """Return nothing: only the line that says `done` is an end."""
        return []

    def _known(self, fields: Mapping[str, Any]) -> list[ModelEvent]:
        message = fields["message"]
        events = self._reply.think(str(message.get("thinking") or ""))
        events += self._reply.say(str(message.get("content") or ""))
        for call in message.get("tool_calls") or ():
            events += self._call(call["function"])
        if fields["done"]:
            reason = "limit" if fields.get("done_reason") == "length" else "stop"
            events += self._reply.end(reason, timings(fields))
            self.is_done = True
        return events

    def _call(self, function: Mapping[str, Any]) -> list[ModelEvent]:
        self._calls += 1
        arguments = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
        return self._reply.call(self._calls, str(function["name"]), arguments)


def timings(fields: Mapping[str, Any]) -> Timings:
    """Return the server's figures, which come in nanoseconds; what was cached it does not tell."""
    return Timings(
        prompt_tokens=int(fields.get("prompt_eval_count") or 0),
        prompt_ms=int(fields.get("prompt_eval_duration") or 0) / 1e6,
        predicted_tokens=int(fields.get("eval_count") or 0),
        predicted_ms=int(fields.get("eval_duration") or 0) / 1e6,
    )
