"""What goes to vLLM and what comes back, as values; pure.

Shapes as of vLLM's source of late 2026 (`entrypoints/openai/completion`): read, never recorded from
a running server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from acp_agent.backends.api import Answer, Api, Lines, error_message, json_object
from acp_agent.errors import BackendError, ContextOverflow, EngineFailed
from acp_agent.harmony.vocab import CALL, ENDOFTEXT, RETURN
from acp_agent.ports import Sampling, StepEnded, Timings, Tokens

STOP_IDS = (RETURN, CALL)
_TERMINATORS = (*STOP_IDS, ENDOFTEXT)
_LIMIT = re.compile(r"maximum (?:context|model) length (?:is|of) (\d+)")


def completion_body(
    model: str, prompt: Sequence[int], sampling: Sampling, room: int
) -> dict[str, object]:
    """Return the request that continues `prompt` in at most `room` tokens.

    Every sampling value is said, none left to the server, whose default is 16 tokens.
    """
    wanted = sampling.max_tokens
    body: dict[str, object] = {
        "model": model,
        "prompt": list(prompt),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
        "stop_token_ids": STOP_IDS,
        "skip_special_tokens": False,
        "max_tokens": room if wanted is None else min(wanted, room),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    return body


class EventStream:
    """Takes the server-sent events of one completion apart, however the bytes arrive."""

    def __init__(self, api: Api, url: str) -> None:
        self._api = api
        self._url = url
        self._lines = Lines()
        self._last = -1
        self._timings = Timings()
        self._finish = ""

    @property
    def finished(self) -> StepEnded | None:
        """How the generation ended, if the server has said so."""
        if not self._finish:
            return None
        return StepEnded("stop" if self._finish == "stop" else "limit", self._timings)

    def feed(self, data: bytes) -> tuple[list[int], bool]:
        """Return the ids that `data` completes, and whether the server said that this is all.

        Raises:
            EngineFailed: The server says that it failed.
            EngineMismatch: These are no events of vLLM with token ids.

        """
        ids: list[int] = []
        try:
            for line in self._lines.feed(data):
                if not line.startswith(b"data:"):
                    continue  # a comment that keeps the connection alive
                event = line.removeprefix(b"data:").strip()
                if event == b"[DONE]":
                    return ids, True
                ids += self._read(event)
        except (KeyError, TypeError, ValueError, AttributeError):
            reason = "it streams events without token ids, or is too old to know them (< 0.10.2)"
            raise self._api.mismatch(self._url, reason) from None
        return ids, False

    def _read(self, event: bytes) -> list[int]:
        fields = json_object(event)
        if fields is None:
            raise self._api.mismatch(self._url, "it streams something else than JSON")
        if "error" in fields or fields.get("object") == "error":
            raise EngineFailed(f"vLLM broke off: {error_message(fields) or 'it gave no reason'}")
        if fields.get("usage"):
            self._timings = timings(fields["usage"])
        return [token for choice in fields["choices"] for token in self._choice(choice)]

    def _choice(self, choice: Mapping[str, Any]) -> list[int]:
        finish = choice.get("finish_reason")
        ids = choice.get("token_ids")
        if ids is None and (choice.get("text") or not finish):
            raise ValueError("no token ids")
        found = [int(token) for token in ids or ()]
        self._last = found[-1] if found else self._last
        if finish in ("abort", "error"):
            raise EngineFailed(f"vLLM gave the generation up ({finish})")
        if finish:
            self._finish = str(finish)
            found += self._terminator(choice.get("stop_reason"))
        return found

    def _terminator(self, reason: object) -> list[int]:
        """Return the id that ended the message where the server kept it to itself.

        `stop_reason` names the stop id; it is null for the end-of-sequence id, <|return|>.
        """
        if self._finish != "stop" or self._last in _TERMINATORS or isinstance(reason, str):
            return []
        return [reason if isinstance(reason, int) else RETURN]


def timings(usage: Mapping[str, Any]) -> Timings:
    """Return the server's figures; it tells what was cached only if it was started to."""
    details = cast("Mapping[str, Any]", usage.get("prompt_tokens_details") or {})
    cached = int(details.get("cached_tokens") or 0)
    return Timings(
        cached_tokens=cached,
        prompt_tokens=int(usage.get("prompt_tokens") or 0) - cached,
        predicted_tokens=int(usage.get("completion_tokens") or 0),
    )


def models(answer: Answer) -> list[tuple[str, int | None]] | None:
    """Return ids and context sizes from `GET /v1/models`, or None if these are no models."""
    data = answer.fields().get("data")
    if answer.status != 200 or not isinstance(data, list):
        return None
    found: list[tuple[str, int | None]] = []
    for entry in cast("list[Any]", data):
        if isinstance(entry, dict) and "id" in entry:
            fields = cast("dict[str, Any]", entry)
            size = fields.get("max_model_len")
            found.append((str(fields["id"]), size if isinstance(size, int) else None))
    return found


def failure(api: Api, answer: Answer, prompt_tokens: int) -> BackendError:
    """Return the error that an unsuccessful answer to a completion means."""
    message = error_message(answer.fields())
    if not message:
        reason = f"it answered HTTP {answer.status} to a completion request"
        return api.mismatch(answer.url, reason)
    limit = _LIMIT.search(message)
    if answer.status == 400 and limit:
        return ContextOverflow(prompt_tokens, int(limit[1]))
    return EngineFailed(f"vLLM refused the request (HTTP {answer.status}): {message}")


def joined(ids: list[int]) -> list[Tokens]:
    """Return the ids as one event, or none."""
    return [Tokens(tuple(ids))] if ids else []
