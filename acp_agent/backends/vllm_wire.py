"""What goes to vLLM and what comes back, as values; pure.

Shapes as of vLLM's source of late 2026 (`entrypoints/openai/completion`): read, never recorded from
a running server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acp_agent.backends.api import Api
from acp_agent.backends.chat_wire import read_timings
from acp_agent.backends.failures import broken
from acp_agent.backends.loose_json import as_object
from acp_agent.backends.sse import DONE, ServerEvent
from acp_agent.errors import EngineFailed
from acp_agent.harmony.vocab import CALL, ENDOFTEXT, RETURN
from acp_agent.ports import EngineEvent, Sampling, StepEnded, Timings, Tokens

STOP_IDS = (RETURN, CALL)
_TERMINATORS = (*STOP_IDS, ENDOFTEXT)


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


class CompletionReader:
    """Reads the events of one completion."""

    def __init__(self, api: Api, context: int) -> None:
        self.is_done = False
        self._api = api
        self._context = context
        self._last = -1
        self._timings = Timings()
        self._finish = ""

    def read(self, event: ServerEvent) -> list[EngineEvent]:
        """Return the ids that the event brings, or the end. Raises BackendError."""
        if event.data == DONE:
            return self.close()
        fields = as_object(event.data)
        if fields is None:
            raise self._api.mismatch("it streams something else than JSON")
        if "error" in fields or fields.get("object") == "error":
            raise broken(self._api.service, fields, context=self._context)
        try:
            self._timings = read_timings(fields) or self._timings
            ids = [token for choice in fields["choices"] for token in self._choice(choice)]
        except (KeyError, TypeError, ValueError, AttributeError):
            reason = "it streams events without token ids, or is too old to know them (< 0.10.2)"
            raise self._api.mismatch(reason) from None
        return [Tokens(tuple(ids))] if ids else []

    def close(self) -> list[EngineEvent]:
        """Return the end, if the server has said why it ended."""
        self.is_done = bool(self._finish)
        reason = "stop" if self._finish == "stop" else "limit"
        return [StepEnded(reason, self._timings)] if self.is_done else []

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
