"""Real servers, where `ACP_AGENT_TEST_SELECTORS` names some, separated by spaces."""

from __future__ import annotations

import os

import anyio
import pytest

from acp_agent.backends.select import make_backend, parse_selector, require_model
from acp_agent.conversation import ModelRequest, UserMessage
from acp_agent.ports import Availability, StepEnded, TextPart

pytestmark = pytest.mark.anyio

SELECTORS = os.environ.get("ACP_AGENT_TEST_SELECTORS", "").split()
named = pytest.mark.skipif(not SELECTORS, reason="ACP_AGENT_TEST_SELECTORS names no server")
each = pytest.mark.parametrize("selector", SELECTORS or ["none"])
REQUEST = ModelRequest([UserMessage("Say hello in one word.")], effort="low", max_tokens=200)


@named
@each
async def test_a_real_server_is_available_with_the_model(selector: str) -> None:
    backend = make_backend(parse_selector(selector), os.environ)
    with anyio.fail_after(60):
        await require_model(backend)
        assert await backend.is_available() == Availability("ready")
        assert await backend.context_size() > 1000


@named
@each
async def test_a_real_server_answers_in_parts(selector: str) -> None:
    backend = make_backend(parse_selector(selector), os.environ)
    with anyio.fail_after(120):
        async with backend.stream(REQUEST) as stream:
            events = [event async for event in stream]
    assert [event for event in events if isinstance(event, TextPart)]
    assert isinstance(events[-1], StepEnded)


@named
@each
async def test_a_real_server_answers_after_one_that_was_left(selector: str) -> None:
    backend = make_backend(parse_selector(selector), os.environ)
    with anyio.fail_after(120):
        async with backend.stream(REQUEST) as stream:
            async for event in stream:
                if isinstance(event, TextPart):
                    break
        step = await backend.complete(REQUEST)
    assert any(message.text for message in step.messages)
