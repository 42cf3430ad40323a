"""What one prompt brought, as the SDK understood the agent's updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass
class Turn:
    """What one prompt brought: why it stopped, and its updates in their order."""

    stop: str
    updates: list[Json]

    @property
    def answer(self) -> str:
        return _text(self.updates, "agent_message_chunk")

    @property
    def thoughts(self) -> str:
        return _text(self.updates, "agent_thought_chunk")

    @property
    def plans(self) -> list[Json]:
        return [update for update in self.updates if update["sessionUpdate"] == "plan"]

    @property
    def usage(self) -> Json:
        """The last account of the context."""
        return [u for u in self.updates if u["sessionUpdate"] == "usage_update"][-1]

    @property
    def calls(self) -> list[Json]:
        """The tool calls, each as all its updates together left it."""
        return list(merged_calls(self.updates).values())

    def statuses(self, call: Json) -> list[str]:
        """Every status that the call was in, in order."""
        mine = [u for u in self.updates if u.get("toolCallId") == call["toolCallId"]]
        said = [update["status"] for update in mine if "status" in update]
        return [status for number, status in enumerate(said) if status not in said[:number]]


def merged_calls(updates: Sequence[Json]) -> dict[str, Json]:
    """Return each tool call with everything that is known about it."""
    calls: dict[str, Json] = {}
    for update in updates:
        if update["sessionUpdate"] in ("tool_call", "tool_call_update"):
            calls[update["toolCallId"]] = calls.get(update["toolCallId"], {}) | update
    return calls


def _text(updates: Sequence[Json], kind: str) -> str:
    chunks = [update for update in updates if update["sessionUpdate"] == kind]
    return "".join(chunk["content"]["text"] for chunk in chunks)
