"""The deltas of a chat answer as parts of a reply: markers and prompted calls out, limit kept."""

from __future__ import annotations

from acp_agent.backends.chat_wire import CallDelta, Delta, end_reason
from acp_agent.backends.markers import Markers
from acp_agent.backends.profiles import ChatProfile
from acp_agent.backends.prompted_calls import PromptedCalls, Read, ReadCall
from acp_agent.backends.reply import Reply, wire_name
from acp_agent.conversation import ModelRequest
from acp_agent.ports import ModelEvent, Timings

CHARACTERS_PER_TOKEN = 4  # a guess for a server that neither counts nor stops


class ChatText:
    """Feeds a `Reply`; `is_full` once a limit that the server does not keep is reached."""

    def __init__(self, reply: Reply, request: ModelRequest, profile: ChatProfile) -> None:
        self._reply = reply
        self._markers = Markers() if profile.markers else None
        prompted = profile.tools == "prompted" and request.tools
        offered = {wire_name(tool.name) for tool in request.tools}
        self._prompted = PromptedCalls(offered) if prompted else None
        kept = profile.limits or request.max_tokens is None
        self._room = None if kept else (request.max_tokens or 0) * CHARACTERS_PER_TOKEN
        self._read_calls = 0
        self._ids: dict[int, str] = {}

    @property
    def is_full(self) -> bool:
        return self._room is not None and self._room <= 0

    def feed(self, delta: Delta) -> list[ModelEvent]:
        """Return the parts to show."""
        events = self._reply.think(delta.reasoning)
        text = self._markers.feed(delta.text) if self._markers else delta.text
        events += self._said(self._within(text))
        for call in delta.calls:
            events += self._reply.call(self._key(call), call.name, call.arguments)
        return events

    def close(self, finish: str, timings: Timings) -> list[ModelEvent]:
        """Return the parts that were held back, and the end."""
        events: list[ModelEvent] = []
        reason = end_reason(finish)
        if self._markers:
            events += self._said(self._within(self._markers.close()))
            if self._markers.found:
                self._reply.repaired("template markers in the text")
        if self._prompted:
            events += self._shown(self._prompted.close(whole=reason == "stop"))
        return [*events, *self._reply.end(reason, timings)]

    def _key(self, call: CallDelta) -> tuple[int, str]:
        """Return what tells calls apart: the index, and the id where a server counts all as 0."""
        if call.name:
            self._ids[call.index] = call.id
        return call.index, self._ids.get(call.index, "")

    def _within(self, text: str) -> str:
        if self._room is None:
            return text
        text = text[: self._room]
        self._room -= len(text)
        return text

    def _said(self, text: str) -> list[ModelEvent]:
        return self._shown(self._prompted.feed(text)) if self._prompted else self._reply.say(text)

    def _shown(self, found: list[Read]) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        for item in found:
            if isinstance(item, ReadCall):
                self._read_calls += 1
                key = ("prompted", self._read_calls)
                events += self._reply.call(key, item.name, item.arguments)
            else:
                events += self._reply.say(item)
        return events
