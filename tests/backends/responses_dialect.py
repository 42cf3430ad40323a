"""Stand-ins for servers with the Responses API.

llama.cpp's (2026-10) as recorded from the real one, which test_chat_engine.py has itself; the other
follows OpenAI's reference (`sequence_number`, `output_index`, `response.incomplete`), and no server
of that kind was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.openai_model import OpenAIModel
from acp_agent.backends.openai_responses import openai_responses
from tests.backends.chat_dialects import STREAM, halves
from tests.backends.compliance import Asked, Play
from tests.backends.stand_in import HASTE, OVERFLOW, WRONG_KEY, chunk
from tests.backends.stand_in import answer as response

Json = dict[str, Any]


def event(kind: str, **fields: object) -> bytes:
    """Return one named event as one chunk."""
    import json

    return chunk(f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n")


@dataclass(frozen=True)
class ResponsesDialect:
    """The Responses API; `says_incomplete` of a cut answer, or names its figures and no more."""

    name: str
    says_incomplete: bool = True
    model: str = "gpt-oss-20b"
    context: int = 4096
    thinks: bool = True
    calls: bool = True
    chooses: bool = False

    def backend(self, endpoint: Endpoint) -> OpenAIModel:
        return openai_responses(fixed(endpoint), model=self.model, patience=HASTE)

    def allowed(self, asked: Asked) -> object:
        return None

    def question(self, asked: Asked) -> bytes | None:
        if asked.path == "/v1/responses":
            return None
        if asked.path == "/v1/models":
            entry = {"id": self.model, "object": "model", "meta": {"n_ctx": 4096}}
            return response(200, {"object": "list", "data": [entry]})
        return response(200, {"status": "ok"})

    def opening(self, play: Play) -> Sequence[bytes]:
        pieces = [STREAM, event("response.created", response={"id": "r", "status": "in_progress"})]
        if play.thought:
            pieces += [
                event("response.reasoning_text.delta", delta=part, item_id="rs_1")
                for part in halves(play.thought)
            ]
        pieces += [
            event("response.output_text.delta", delta=text, item_id="msg_1") for text in play.text
        ]
        if play.call is not None:
            name, arguments = play.call
            item = {"id": "fc_1", "type": "function_call", "name": name, "arguments": ""}
            pieces.append(event("response.output_item.added", item=item, output_index=0))
            pieces += [
                event("response.function_call_arguments.delta", delta=part, item_id="fc_1")
                for part in halves(arguments)
            ]
        return pieces

    def closing(self, play: Play) -> bytes:
        usage = {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15}
        whole: Json = {"id": "r", "status": "completed", "output": output(play), "usage": usage}
        if play.ending == "limit":
            whole |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
            return event("response.incomplete", response=whole) + b"0\r\n\r\n"
        return event("response.completed", response=whole) + b"0\r\n\r\n"

    def garbage(self) -> bytes:
        return chunk("data: {oops\n\n")

    def refused(self) -> bytes:
        return response(401, WRONG_KEY)

    def overflow(self) -> bytes:
        return response(400, OVERFLOW)


def output(play: Play) -> list[Json]:
    """Return the items of the whole answer, which repeat what was streamed."""
    items: list[Json] = []
    if play.thought:
        content = [{"type": "reasoning_text", "text": play.thought}]
        items.append({"id": "rs_1", "type": "reasoning", "summary": [], "content": content})
    if play.text:
        content = [{"type": "output_text", "text": "".join(play.text)}]
        items.append({"id": "msg_1", "type": "message", "role": "assistant", "content": content})
    if play.call is not None:
        name, arguments = play.call
        items.append({"id": "fc_1", "type": "function_call", "name": name, "arguments": arguments})
    return items


RESPONSES_DIALECTS = (ResponsesDialect("responses"),)
