"""Whatever arrives gets its error, or silence where JSON-RPC wants it, and the agent works on."""

from __future__ import annotations

import pytest

from acp_agent.protocol.agent import Agent
from acp_agent.protocol.jsonrpc import Oversized
from tests.protocol.bad_frames import ANSWERED, UNANSWERED, Answer, answer
from tests.protocol.harness import connected

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("line", "expected"), ANSWERED.values(), ids=ANSWERED)
async def test_bad_input_gets_its_error_and_the_connection_lives_on(
    line: bytes | Oversized, expected: Answer
) -> None:
    async with connected() as client:
        client.send(line)
        assert answer(await client.next()) == expected
        await client.open()
        assert (await client.until_answer(client.prompt()))[-1]["result"]


@pytest.mark.parametrize("line", UNANSWERED.values(), ids=UNANSWERED)
async def test_what_needs_no_answer_gets_none(line: bytes) -> None:
    async with connected() as client:
        if line.strip():  # the splitter swallows blank lines
            client.send(line)
        await client.silence()
        await client.open()


async def test_bug_in_a_quick_handler_shows_nothing_of_the_inside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> object:
        raise ZeroDivisionError("secret")

    async with connected(agent=Agent(broken, "0")) as client:  # pyright: ignore[reportArgumentType]  # the bug
        await client.result("initialize", {"protocolVersion": 1})
        assert await client.error("session/new", {"cwd": "/"}) == (
            -32603,
            "internal error; see the agent's log on stderr",
        )
    assert "ZeroDivisionError: secret" in caplog.text
