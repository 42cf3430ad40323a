"""vLLM as it was in late 2026, by the source of its completions endpoint, under the Harmony codec.

It has never been compared with a running vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.script import Invoke, Say, Think, tokens
from acp_agent.backends.vllm import VllmServer
from acp_agent.harmony.model import HarmonyModel
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.ports import LocalModelBackend
from tests.backends.compliance import Asked, Dialect, Play
from tests.backends.stand_in import HASTE, answer, chunk, events

MODEL = "openai/gpt-oss-120b"
CONTEXT = 131_072
MODELS: dict[str, object] = {
    "object": "list",
    "data": [
        {
            "id": MODEL,
            "object": "model",
            "created": 1795000000,
            "owned_by": "vllm",
            "root": MODEL,
            "parent": None,
            "max_model_len": CONTEXT,
            "permission": [],
        }
    ],
}
HEAD = events().removesuffix(b"0\r\n\r\n")
DONE = "data: [DONE]\n\n"
OVERFLOW = {
    "error": {
        "message": "This model's maximum context length is 4096 tokens. However, you requested 5"
        " output tokens and your prompt contains at least 4092 input tokens, for a total of at"
        " least 4097 tokens. Please reduce the length of the input prompt or the number of"
        " requested output tokens.",
        "type": "BadRequestError",
        "param": "input_tokens",
        "code": 400,
    }
}


def event(
    ids: Sequence[int] | None, *, finish: str | None = None, stop: int | str | None = None
) -> dict[str, object]:
    """Return the event of some tokens; the text is not ours to read."""
    choice = {
        "index": 0,
        "text": "x" if ids else "",
        "logprobs": None,
        "finish_reason": finish,
        "stop_reason": stop,
        "prompt_token_ids": None,
        "token_ids": ids,
    }
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1795000000,
        "model": MODEL,
        "choices": [choice],
    }


def usage(prompt: int = 12, predicted: int = 3, cached: int | None = 4) -> dict[str, object]:
    """Return the event after the last token; `cached` is None without the server's flag for it."""
    figures: dict[str, object] = {
        "prompt_tokens": prompt,
        "total_tokens": prompt + predicted,
        "completion_tokens": predicted,
    }
    if cached is not None:
        figures["prompt_tokens_details"] = {"cached_tokens": cached}
    return {**event(None), "choices": list[object](), "usage": figures}


class VllmDialect:
    """gpt-oss-120b on vLLM."""

    name = "vllm"
    model = MODEL
    context = CONTEXT
    thinks = True
    calls = True
    chooses = False

    def backend(self, endpoint: Endpoint) -> LocalModelBackend:
        return HarmonyModel(VllmServer(fixed(endpoint), model=MODEL, patience=HASTE))

    def allowed(self, asked: Asked) -> object:
        return None

    def question(self, asked: Asked) -> bytes | None:
        match asked.method, asked.path:
            case "GET", "/v1/models":
                return answer(200, MODELS)
            case "POST", "/v1/completions":
                return None
            case _:
                return answer(404, {"detail": "Not Found"})

    def opening(self, play: Play) -> Sequence[bytes]:
        return [HEAD, *(chunk(event(part)) for part in _pieces(_spoken(play)[:-1]))]

    def closing(self, play: Play) -> bytes:
        if play.ending == "limit":
            last = event([], finish="length")
        else:
            token = _spoken(play)[-1]
            last = event([token], finish="stop", stop=token)
        return b"".join(map(chunk, (last, usage(), DONE))) + b"0\r\n\r\n"

    def garbage(self) -> bytes:
        return chunk('data: {"id":"cmpl-1","cho\n\n')

    def refused(self) -> bytes:
        return answer(401, {"error": "Unauthorized"})

    def overflow(self) -> bytes:
        return answer(400, OVERFLOW)


def _spoken(play: Play) -> list[int]:
    """Return all the ids of an answer, its terminator last."""
    vocabulary = load_vocabulary()
    said = [Think(play.thought)] if play.thought else []
    said += [Say("".join(play.text))] if play.text else []
    said += [Invoke(*play.call)] if play.call else []
    return [
        token
        for number, item in enumerate(said)
        for token in tokens(vocabulary, item, first=not number)
    ]


def _pieces(ids: list[int]) -> list[list[int]]:
    return [ids[start:end] for start, end in pairwise((*range(0, len(ids), 4), len(ids)))]


VLLM_DIALECTS: tuple[Dialect, ...] = (VllmDialect(),)
