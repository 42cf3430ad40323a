"""The answer of Ollama's `/api/chat`, lines of JSON, as they come, made a reply."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

from acp_agent.backends.api import Api, Lines, error_message, json_object
from acp_agent.backends.reply import Reply
from acp_agent.errors import BackendError, StreamDropped
from acp_agent.ports import ModelEvent, StepEnded, Timings


class ChatReader:
    """Takes the lines of one answer apart, however the bytes arrive, into `reply`.

    `failed` says what the words of an error mean. Ollama sends a call whole, when it could read it.
    """

    def __init__(
        self, api: Api, url: str, reply: Reply, failed: Callable[[str], BackendError]
    ) -> None:
        self._api = api
        self._url = url
        self._reply = reply
        self._failed = failed
        self._calls = 0

    async def events(self, body: AsyncIterator[bytes]) -> AsyncGenerator[ModelEvent]:
        """Give what the answer says, as far as the line that says `done`. Raises BackendError."""
        lines = Lines()
        async for data in body:
            for line in self._taken(lines, data):
                for event in self._read(line):
                    yield event
                    if isinstance(event, StepEnded):
                        return
        for line in lines.last():
            for event in self._read(line):
                yield event
                if isinstance(event, StepEnded):
                    return
        raise StreamDropped("Ollama ended its answer without saying that it was done")

    def _taken(self, lines: Lines, data: bytes) -> list[bytes]:
        try:
            return lines.feed(data)
        except ValueError as error:
            raise self._api.mismatch(self._url, f"it streams {error}") from None

    def _read(self, line: bytes) -> list[ModelEvent]:
        fields = json_object(line)
        if fields is None:
            raise self._api.mismatch(self._url, "it streams something else than JSON")
        if "error" in fields:
            raise self._failed(error_message(fields))
        try:
            return self._known(fields)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._api.mismatch(self._url, "it streams no messages") from None

    def _known(self, fields: Mapping[str, Any]) -> list[ModelEvent]:
        message = fields["message"]
        events = self._reply.think(str(message.get("thinking") or ""))
        events += self._reply.say(str(message.get("content") or ""))
        for call in message.get("tool_calls") or ():
            events += self._call(call["function"])
        if fields["done"]:
            reason = "limit" if fields.get("done_reason") == "length" else "stop"
            events += self._reply.end(reason, timings(fields))
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
