"""Updates as an editor shows them in the end: one message, call or plan for each id."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

Json = dict[str, Any]


def asked(number: int, words: str) -> Json:
    """Return what a session that is loaded says of a prompt, which nobody is told live."""
    return {
        "sessionUpdate": "user_message_chunk",
        "messageId": f"user-{number}",
        "content": {"type": "text", "text": words},
    }


def coalesced(updates: Sequence[Json]) -> list[Json]:
    """Return texts joined, calls as they ended, in the order in which they began."""
    shown: dict[str, Json] = {}
    for number, update in enumerate(updates):
        if update["sessionUpdate"] == "available_commands_update":  # sent whenever one is opened
            continue
        key = _key(update, number)
        if key not in shown:
            shown[key] = deepcopy(update)
        elif update["sessionUpdate"].endswith("_chunk"):
            shown[key]["content"]["text"] += update["content"]["text"]
            _merge(shown[key], update.get("_meta", {}))
        else:
            _merge(shown[key], update.get("_meta", {}))
            shown[key] |= {name: value for name, value in update.items() if name != "_meta"}
    return list(shown.values())


def _key(update: Json, number: int) -> str:
    for name in ("messageId", "toolCallId"):
        if name in update:
            return f"{name} {update[name]}"
    if "compactionId" in update:
        return f"{update['sessionUpdate']} {update['compactionId']}"
    return f"notice {number}" if update["sessionUpdate"] == "notice" else update["sessionUpdate"]


def _merge(shown: Json, meta: Json) -> None:
    for name, value in meta.items():
        known = shown.setdefault("_meta", {})
        if name == "terminal_output" and name in known:
            known[name]["data"] += value["data"]
        else:
            known[name] = deepcopy(value)
