"""Asks a llama.cpp server, ours or another's: what it is, how it does, for a few tokens.

For people who look at an engine; a conversation goes through backends/llama_server.py.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import anyio

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint, Locate
from acp_agent.backends.failures import Answer, Service, connection_failure, is_loading
from acp_agent.backends.llama_server import LlamaServer
from acp_agent.backends.llama_wire import RESPONSE_FIELDS, failure, mismatch, timings
from acp_agent.errors import EngineUnavailable
from acp_agent.ports import Timings

SERVICE = Service("a llama.cpp server", "GPT_OSS_URL", "GPT_OSS_API_KEY")
QUICK_SECONDS = 10.0  # for questions that need no computing
# llama.cpp takes the names of Harmony's control tokens for the tokens themselves, whatever it is
# told; a text that is cut after `<` holds no such name.
_CONTROL = re.compile(r"(?<=<)(?=\|)")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model was asked and what it said, all at once."""

    prompt: tuple[int, ...]
    text: str
    tokens: tuple[int, ...]
    ended: str  # "eos", "limit" or "word"
    timings: Timings


async def ask(
    endpoint: Endpoint, path: str, value: object = None, *, seconds: float | None = QUICK_SECONDS
) -> Answer:
    """Send a GET, or a POST of `value`; return the answer, whatever its status.

    Raises:
        BackendError: Nothing answers, not in time, or not as an HTTP server does.

    """
    body = None if value is None else json.dumps(value).encode()
    method = "GET" if body is None else "POST"
    try:
        with anyio.fail_after(seconds):
            async with http.request(
                method, endpoint.at(path), key=endpoint.key, body=body
            ) as response:
                return Answer(endpoint.url, response.status, await response.read())
    except TimeoutError:
        raise EngineUnavailable(
            f"the engine at {endpoint.url} did not answer within {seconds:g} s"
        ) from None
    except http.HttpError as error:
        raise connection_failure(SERVICE, endpoint.url, error) from None


async def until_ready(locate: Locate) -> int:
    """Wait for the weights to be loaded; return the context of one slot. Raises BackendError."""
    return await LlamaServer(locate).context_size()


async def encode(endpoint: Endpoint, text: str, *, special: bool = False) -> list[int]:
    """Return the model's tokens for `text`, of which none is a control token unless `special`.

    Raises:
        BackendError: The server does not say.

    """
    ids: list[int] = []
    for number, part in enumerate([text] if special else _CONTROL.split(text)):
        answer = await ask(endpoint, "/tokenize", {"content": part, "add_special": not number})
        found = _checked(answer).get("tokens")
        if not isinstance(found, list):
            raise mismatch(endpoint.url, "it makes no tokens of a text")
        ids += found
    return ids


async def complete(
    endpoint: Endpoint, tokens: list[int], *, max_tokens: int, temperature: float = 0.0
) -> Reply:
    """Continue `tokens`; 0 is greedy. Raises BackendError."""
    wanted: dict[str, object] = {
        "prompt": tokens,
        "n_predict": max_tokens,
        "temperature": temperature,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "return_tokens": True,
        "cache_prompt": True,
        "response_fields": RESPONSE_FIELDS,
    }
    fields = _checked(await ask(endpoint, "/completion", wanted, seconds=None))
    try:
        return Reply(
            tuple(tokens),
            str(fields["content"]),
            tuple(fields["tokens"]),
            str(fields["stop_type"]),
            timings(fields["timings"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise mismatch(endpoint.url, "its completions hold no tokens and timings") from None


async def is_up(endpoint: Endpoint) -> bool:
    """Tell whether the server has its model."""
    return not is_loading(await ask(endpoint, "/health"))


def _checked(answer: Answer) -> dict[str, Any]:
    if answer.status != 200:
        raise failure(answer.url, answer.status, answer.body)
    return answer.fields()
