"""What an unsuccessful answer of a server means; pure.

Servers agree on little: the error is an object, a string or the whole body, and a full context is
often told by its words alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from acp_agent.backends import http
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
    r"|context (?:window|length|size) .*exceed|maximum (?:context|model) length"
    r"|context_length_exceeded|context the overflows|longer than the context"
    r"|prompt (?:is|was) too long|too many tokens",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"(?:context|model) (?:length|size|window)(?: is| of)?(?: only)? \(?(\d[\d,]*)")
_NUMBERS = re.compile(r"(\d[\d,]*) tokens")
ASK_AGAIN = "ask again, and this engine of ours starts anew"
_NOT_READY = {"model_unavailable", "apple_fm_not_ready", "assets_unavailable"}


def _nothing(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """A server as the user knows it: what it is, and the variables for its address and key.

    `explain` knows words that only such a server says, and what they mean. One of `ours` is started
    by us, so the user has neither its address nor its key to look after.
    """

    name: str
    url_variable: str = ""
    key_variable: str = ""
    explain: Callable[[str], BackendError | None] = _nothing
    ours: bool = False

    def advice(self, variable: str, otherwise: str) -> str:
        """Return what the user can do: set `variable`, if there is one."""
        if self.ours:
            return ASK_AGAIN
        return f"set {variable}" if variable else otherwise


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: where it came from, its status and its body."""

    url: str
    status: int
    body: bytes

    def fields(self) -> dict[str, Any]:
        """Return the JSON object that the body is, or an empty one."""
        return as_object(self.body) or {}


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


def is_loading(answer: Answer) -> bool:
    """Tell whether this means: wait, I am still reading the weights."""
    return answer.status == 503 and "loading" in error_text(answer.fields()).lower()


def is_passing(answer: Answer) -> bool:
    """Tell whether the same request may succeed in a moment; a server's 500 may not."""
    if answer.status == 503:
        return not error_codes(answer.fields()) & _NOT_READY
    return answer.status == 429


def is_guardrail(text: str) -> bool:
    """Tell whether the model's owner stopped the answer."""
    return "guardrail" in text.lower()


def failure(service: Service, answer: Answer, *, asked: int = 0, context: int = 0) -> BackendError:
    """Return the error that the answer means; `asked` is our estimate of the prompt's tokens."""
    where, status = f"{service.name} at {answer.url}", answer.status
    if status in (401, 403):
        advice = service.advice(service.key_variable, "look for its key")
        return EngineUnauthorized(f"{where} wants another key (HTTP {status}); {advice}")
    fields = as_object(answer.body)
    if fields is None or (status in (404, 405) and "error" not in fields):
        return mismatch(service, answer.url, f"it answered HTTP {status} to the request")
    text = error_text(fields)
    known = service.explain(text) or overflow(fields, text, asked=asked, context=context)
    if known is not None:
        return known
    if status == 503:
        return EngineUnavailable(f"{where} cannot answer now: {text or 'it gave no reason'}")
    reason = text or "it gave no reason"
    return EngineFailed(f"{where} refused the request (HTTP {status}): {reason}")


def broken(service: Service, fields: Mapping[str, Any], *, context: int = 0) -> BackendError:
    """Return the error that one in mid-answer means."""
    text = error_text(fields)
    known = service.explain(text) or overflow(fields, text, asked=0, context=context)
    return known or EngineFailed(f"{service.name} broke off: {text or 'it gave no reason'}")


def overflow(
    fields: Mapping[str, Any], text: str, *, asked: int, context: int
) -> ContextOverflow | None:
    """Return the overflow that an error is, or None if it is another; numbers are guessed last."""
    if not _OVERFLOW.search(f"{text} {error_codes(fields)} {fields.get('unavailableReason', '')}"):
        return None
    limit = _LIMIT.search(text)
    named = sorted(_number(found) for found in _NUMBERS.findall(text))
    guess = named[0] if len(named) > 1 else context
    size = _count(fields, "n_ctx") or (_number(limit[1]) if limit else guess)
    needed = _count(fields, "n_prompt_tokens") or (named[-1] if named else asked)
    return ContextOverflow(max(needed, size + 1), size)


def _number(digits: str) -> int:
    return int(digits.replace(",", ""))


def _count(fields: Mapping[str, Any], key: str) -> int:
    value = members(fields.get("error")).get(key)
    return value if isinstance(value, int) else 0


def mismatch(service: Service, url: str, reason: str) -> EngineMismatch:
    """Return the error that names the address and what is expected there."""
    advice = service.advice(service.url_variable, "check the address")
    return EngineMismatch(f"what answers at {url} is not {service.name}: {reason}; {advice}")


def connection_failure(service: Service, url: str, error: http.HttpError) -> BackendError:
    """Return the error that a failed connection means."""
    match error:
        case http.Refused():
            other = f", or set {service.url_variable}" if service.url_variable else ""
            advice = ASK_AGAIN if service.ours else f"start {service.name} there{other}"
            return EngineUnavailable(f"nothing answers at {url} ({error}); {advice}")
        case http.Dropped(answered=True):
            return StreamDropped(f"the connection to {service.name} broke off in mid-answer")
        case http.Dropped():
            return EngineFailed(f"{service.name} at {url} closed the connection unanswered")
        case _:
            return mismatch(service, url, str(error))
