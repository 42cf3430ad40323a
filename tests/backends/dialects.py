"""Every backend by its dialect, and what the tests that all of them share ask of them.

A backend joins by its dialect: add it to `DIALECTS`.
"""

from __future__ import annotations

import anyio
import pytest

from acp_agent.conversation import ModelRequest, ModelStep, ToolSpec, UserMessage
from acp_agent.ports import LocalModelBackend, ModelEvent, TextPart
from tests.backends.chat_dialects import CHAT_DIALECTS
from tests.backends.compliance import Dialect, Play
from tests.backends.ollama_dialect import OLLAMA_DIALECTS
from tests.backends.responses_dialect import RESPONSES_DIALECTS
from tests.backends.vllm_dialect import VLLM_DIALECTS

DIALECTS: tuple[Dialect, ...] = (
    *CHAT_DIALECTS,
    *RESPONSES_DIALECTS,
    *OLLAMA_DIALECTS,
    *VLLM_DIALECTS,
)
every = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
thinking = pytest.mark.parametrize(
    "dialect", [d for d in DIALECTS if d.thinks], ids=lambda d: d.name
)
choosing = pytest.mark.parametrize(
    "dialect", [d for d in DIALECTS if d.chooses], ids=lambda d: d.name
)
calling = pytest.mark.parametrize("dialect", [d for d in DIALECTS if d.calls], ids=lambda d: d.name)

READ_FILE = ToolSpec(
    "read_file",
    "Read a file.",
    {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)
REQUEST = ModelRequest([UserMessage("hello")])
WITH_TOOL = ModelRequest([UserMessage("read a.py")], tools=(READ_FILE,))
HELLO = Play(text=("Hello", " there"))
CALL = Play(call=("read_file", '{"path": "a.py"}'))


async def answer(
    backend: LocalModelBackend, request: ModelRequest = REQUEST
) -> tuple[list[ModelEvent], ModelStep]:
    with anyio.fail_after(10):
        async with backend.stream(request) as stream:
            return [event async for event in stream], stream.step()


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextPart))
