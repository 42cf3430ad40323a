"""What an unsuccessful answer of an OpenAI-compatible server means; pure.

Servers agree on little: the error is an object, a string or the whole body, and a full context is
told by its words alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint
from acp_agent.backends.loose_json import as_object, members
from acp_agent.errors import (
    BackendError,
    ContextOverflow,
    EngineFailed,
    EngineMismatch,
    EngineUnauthorized,
    EngineUnavailable,
    StreamDropped,
)

_OVERFLOW = re.compile(
    r"exceed\w* (?:the )?(?:model(?:'s)? |available )?context|exceed\w*_context"
    r"|context (?:window|length|size) .*exceed|maximum context length|context_length_exceeded"
    r"|context the overflows|prompt (?:is|was) too long|too many tokens",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"(\d[\d,]*) tokens")
ASK_AGAIN = "ask again, and this engine of ours starts anew"
_NOT_READY = {"model_unavailable", "apple_fm_not_ready", "assets_unavailable"}


def error_text(fields: Mapping[str, Any]) -> str:
    """Return the words of an error body in any of its shapes, or an empty text."""
    error = fields.get("error")
    details = members(error)
    if details:
        return str(details.get("message") or details.get("code") or details.get("type") or "")
    return str(fields.get("message") or fields.get("detail") or error or "")


def error_codes(fields: Mapping[str, Any]) -> set[str]:
    """Return the machine's names of an error: type and code, or a bare string."""
    error = fields.get("error")
    details = members(error)
    names = (details.get("code"), details.get("type"), error if not details else None)
    return {str(name) for name in names if name}


def is_loading(status: int, body: bytes) -> bool:
    """Tell whether this answer means: wait, I am still reading the weights."""
    return status == 503 and "loading" in error_text(as_object(body) or {}).lower()


def is_passing(status: int, body: bytes) -> bool:
    """Tell whether the same request may succeed in a moment; a server's 500 may not."""
    if status == 503:
        return not error_codes(as_object(body) or {}) & _NOT_READY
    return status == 429


def is_guardrail(text: str) -> bool:
    """Tell whether the model's owner stopped the answer."""
    return "guardrail" in text.lower()


def failure(
    endpoint: Endpoint,
    status: int,
    body: bytes,
    *,
    asked: int,
    context: int,
    key_variable: str,
    ours: bool = False,
) -> BackendError:
    """Return the error that the answer means; `asked` is our estimate of the prompt's tokens."""
    fields = as_object(body)
    if status in (401, 403):
        hint = f"set {key_variable}" if key_variable else "name its key in the settings"
        hint = ASK_AGAIN if ours else hint
        return EngineUnauthorized(
            f"the server at {endpoint.url} wants another key (HTTP {status}); {hint}"
        )
    if fields is None:
        return mismatch(endpoint.url, f"it answered HTTP {status} without JSON", ours=ours)
    text = error_text(fields) or f"HTTP {status}"
    full = overflow(fields, text, asked=asked, context=context)
    if full is not None:
        return full
    if status == 503:
        return EngineUnavailable(f"the server at {endpoint.url} cannot answer now: {text}")
    return EngineFailed(f"the server at {endpoint.url} refused the request (HTTP {status}): {text}")


def overflow(
    fields: Mapping[str, Any], text: str, *, asked: int, context: int
) -> ContextOverflow | None:
    """Return the overflow that an error is, or None if it is another; numbers are guessed last."""
    if not _OVERFLOW.search(f"{text} {error_codes(fields)} {fields.get('unavailableReason', '')}"):
        return None
    named = sorted(int(number.replace(",", "")) for number in _NUMBERS.findall(text))
    size = _count(fields, "n_ctx") or (named[0] if len(named) > 1 else context)
    needed = _count(fields, "n_prompt_tokens") or (named[-1] if named else asked)
    return ContextOverflow(max(needed, size + 1), size)


def _count(fields: Mapping[str, Any], key: str) -> int:
    value = members(fields.get("error")).get(key)
    return value if isinstance(value, int) else 0


def mismatch(url: str, reason: str, *, ours: bool = False) -> EngineMismatch:
    """Return the error that names the address and what is expected there."""
    hint = ASK_AGAIN if ours else "check the address"
    return EngineMismatch(
        f"what answers at {url} is not an OpenAI-compatible server: {reason}; {hint}"
    )


def connection_failure(
    endpoint: Endpoint, error: http.HttpError, *, ours: bool = False
) -> BackendError:
    """Return the error that a failed connection means."""
    match error:
        case http.Refused():
            hint = ASK_AGAIN if ours else "start the server there"
            return EngineUnavailable(f"nothing answers at {endpoint.url} ({error}); {hint}")
        case http.Dropped(answered=True):
            return StreamDropped(f"the connection to {endpoint.url} broke off in mid-answer")
        case http.Dropped():
            return EngineFailed(f"the server at {endpoint.url} closed the connection unanswered")
        case _:
            return mismatch(endpoint.url, str(error), ours=ours)
