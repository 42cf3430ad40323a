"""One question to a stand-in with Chat Completions, and all that came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acp_agent.backends.endpoint import fixed
from acp_agent.backends.openai_chat import openai_chat
from acp_agent.backends.openai_model import OpenAIModel
from acp_agent.backends.profiles import OPENAI, ChatProfile
from acp_agent.conversation import ModelRequest, ModelStep, ToolSpec, UserMessage
from acp_agent.errors import (
    BackendError,
)
from acp_agent.ports import (
    ModelEvent,
)
from tests.backends.stand_in import HASTE, StandIn, events, stand_in

SHELL = ToolSpec("shell", "Run a command.", {"type": "object"})
SEARCH = ToolSpec("browser.search", "Search the web.", {"type": "object"})
REQUEST = ModelRequest([UserMessage("hi")], temperature=0.15, max_tokens=140)
DONE = "data: [DONE]\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def text(*pieces: str, finish: str = "stop") -> bytes:
    return events(*(chunk({"content": piece}) for piece in pieces), chunk({}, finish), DONE)


def backend(there: StandIn, profile: ChatProfile = OPENAI) -> OpenAIModel:
    return openai_chat(fixed(there.endpoint), model="m", profile=profile, patience=HASTE)


async def ask(
    answers: Sequence[bytes], request: ModelRequest = REQUEST, profile: ChatProfile = OPENAI
) -> tuple[list[ModelEvent], ModelStep, list[dict[str, Any]]]:
    found: list[ModelEvent] = []
    failure: BackendError | None = None
    async with stand_in(*answers) as there:
        async with backend(there, profile).stream(request) as stream:
            try:
                found = [event async for event in stream]
            except BackendError as error:  # out of the stand-in's task group as what it is
                failure = error
    if failure is not None:
        raise failure
    return found, stream.step(), there.bodies


def only_text(step: ModelStep) -> str:
    return "".join(m.text for m in step.messages if m.channel == "final")
