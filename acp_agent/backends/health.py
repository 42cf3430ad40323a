"""What the answer to `GET /health` means, in each of its shapes; pure.

`{status}` (llama.cpp, gpt-oss servers), `{status, model_available}` (foundation-bridge 1.0, apfel),
`{ready, unavailableReason, message}` (foundation-bridge 0.1.3), `{error}` (a server that loads).
"""

from __future__ import annotations

from typing import Any

from acp_agent.backends.failures import error_text
from acp_agent.backends.loose_json import as_object
from acp_agent.ports import Availability

_WELL = ("ok", "healthy", "ready", "available")
_COMING = ("model_not_ready", "loading", "starting")


def health(status: int, body: bytes) -> Availability | None:
    """Return what the answer says; None if it says nothing, as of a server without /health."""
    fields = as_object(body)
    if fields is None or status in (404, 405):
        return None
    state = str(fields.get("status", "")).lower()
    reason = str(fields.get("unavailableReason") or fields.get("reason") or "")
    if state == "downloading":
        return Availability("downloading", reason, _progress(fields))
    if reason in _COMING or state in _COMING or "loading" in error_text(fields).lower():
        return Availability("loading", "the server is loading its model")
    said = [fields[key] for key in ("ready", "model_available", "available") if key in fields]
    if said or state:
        well = all(value is True for value in said) and (not state or state in _WELL)
        if well and status == 200:
            return Availability("ready")
        return Availability("unavailable", _words(fields, reason, state))
    if status >= 500:
        return Availability("unavailable", error_text(fields) or f"HTTP {status} from /health")
    return None


def _words(fields: dict[str, Any], reason: str, state: str) -> str:
    message = str(fields.get("message") or "")
    if reason and message:
        return f"{reason}: {message}"
    return reason or message or f"the server says that its model is {state or 'not available'}"


def _progress(fields: dict[str, Any]) -> float | None:
    progress = fields.get("progress")
    if not isinstance(progress, int | float):
        return None
    return min(max(float(progress), 0.0), 1.0)
