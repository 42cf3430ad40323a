"""What goes to llama.cpp's server and what comes back, as values; pure.

Shapes as of the llama.cpp server README (`POST /completion`) and of a server of late 2026.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acp_agent.backends.failures import error_text
from acp_agent.backends.loose_json import as_object, members
from acp_agent.errors import (
    BackendError,
    ContextOverflow,
    EngineFailed,
    EngineMismatch,
    EngineUnauthorized,
)
from acp_agent.ports import PromptProgress, Sampling, StepEnded, Timings, Tokens

# Without this list the last event repeats the whole prompt as text.
RESPONSE_FIELDS = (
    "content",
    "tokens",
    "stop",
    "stop_type",
    "truncated",
    "timings",
    "tokens_predicted",
    "tokens_evaluated",
)


@dataclass(frozen=True, slots=True)
class Gap:
    """An event of `count` tokens of which the server named only the last."""

    content: str
    last: int
    count: int


WireEvent = Tokens | Gap | PromptProgress | StepEnded


def completion_body(prompt: Sequence[int], sampling: Sampling) -> bytes:
    """Return the request that continues `prompt`; every sampling value is said, none left to it."""
    body: dict[str, object] = {
        "prompt": list(prompt),
        "stream": True,
        "return_tokens": True,
        "return_progress": True,
        "cache_prompt": True,
        "response_fields": RESPONSE_FIELDS,
        "n_predict": -1 if sampling.max_tokens is None else sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
    }
    if sampling.grammar is not None:
        body["grammar"] = sampling.grammar
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    return json.dumps(body).encode()


LONGEST_LINE = 1024 * 1024


class EventStream:
    """Takes the server-sent events of one completion apart, however the bytes arrive."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._buffer = b""
        self._predicted = 0

    def feed(self, data: bytes) -> list[WireEvent]:
        """Return what `data` completes; neighbouring tokens come as one.

        Raises:
            EngineFailed: The server says that it failed.
            EngineMismatch: These are not events of a llama.cpp server.

        """
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > LONGEST_LINE:
            raise mismatch(self._url, "it streams a line without an end")
        events: list[WireEvent] = []
        ids: list[int] = []
        for line in lines:
            if not line.startswith((b"data:", b"error:")):
                continue  # a blank line, or a comment that keeps the connection alive
            event = self._event(line)
            if type(event) is Tokens:
                ids += event.ids
                continue
            if ids:
                events.append(Tokens(tuple(ids)))
                ids = []
            events.append(event)
        if ids:
            events.append(Tokens(tuple(ids)))
        return events

    def _event(self, line: bytes) -> WireEvent:
        fields = as_object(line.partition(b":")[2])
        if fields is None:
            raise mismatch(self._url, "it streams something else than JSON")
        if "error" in fields or line.startswith(b"error:"):
            raise EngineFailed(f"the engine broke off: {error_text(fields) or 'it gave no reason'}")
        try:
            return self._known(fields)
        except (KeyError, TypeError, ValueError):
            reason = "it streams events without token ids, or is too old to know them"
            raise mismatch(self._url, reason) from None

    def _known(self, fields: Mapping[str, Any]) -> WireEvent:
        progress = fields.get("prompt_progress")
        if progress is not None:  # its `tokens` is a placeholder
            return PromptProgress(progress["processed"], progress["cache"], progress["total"])
        if fields["stop"]:
            return StepEnded(_reason(fields), timings(fields.get("timings", {})))
        ids, before = [int(token) for token in fields["tokens"]], self._predicted
        self._predicted = int(fields["tokens_predicted"])
        missing = self._predicted - before - len(ids)
        if missing > 0 and ids:
            return Gap(fields["content"], ids[-1], missing + len(ids))
        return Tokens(tuple(ids))


def _reason(fields: Mapping[str, Any]) -> Any:
    return "limit" if fields.get("stop_type") == "limit" or fields.get("truncated") else "stop"


def timings(fields: Mapping[str, Any]) -> Timings:
    """Return the server's figures; `prompt_tokens` are those it had to read anew."""
    return Timings(
        cached_tokens=int(fields.get("cache_n", 0)),
        prompt_tokens=int(fields.get("prompt_n", 0)),
        prompt_ms=float(fields.get("prompt_ms", 0.0)),
        predicted_tokens=int(fields.get("predicted_n", 0)),
        predicted_ms=float(fields.get("predicted_ms", 0.0)),
    )


def is_loading(status: int, body: bytes) -> bool:
    """Tell whether this answer means: wait, I am still reading the weights."""
    return status == 503 and "loading" in error_text(as_object(body) or {}).lower()


def failure(url: str, status: int, body: bytes) -> BackendError:
    """Return the error that an unsuccessful answer means."""
    fields = as_object(body) or {}
    details, message = members(fields.get("error")), error_text(fields)
    if status in (401, 403):
        return EngineUnauthorized(
            f"the engine at {url} wants another key (HTTP {status}); set GPT_OSS_API_KEY"
        )
    if not details or not message or status in (404, 405):
        return mismatch(url, f"it answered HTTP {status} to a completion request")
    if details.get("type") == "exceed_context_size_error":
        return ContextOverflow(int(details.get("n_prompt_tokens", 0)), int(details.get("n_ctx", 0)))
    return EngineFailed(f"the engine refused the request (HTTP {status}): {message}")


def mismatch(url: str, reason: str) -> EngineMismatch:
    """Return the error that names the address and what is expected there."""
    return EngineMismatch(
        f"what answers at {url} is not a llama.cpp server: {reason};"
        " let GPT_OSS_URL point at a llama-server"
    )


def context_size(props: bytes) -> int | None:
    """Return the context of one slot from the answer to `GET /props`."""
    settings = members((as_object(props) or {}).get("default_generation_settings"))
    size = settings.get("n_ctx")
    return size if isinstance(size, int) else None
