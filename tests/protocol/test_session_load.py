"""session/list, load, resume and delete: what they refuse, and what they say without any."""

from __future__ import annotations

import pytest

from tests.protocol.harness import Json, connected

pytestmark = pytest.mark.anyio

OPEN: Json = {"sessionId": "sess_0", "cwd": "/", "mcpServers": []}
WRONG: list[tuple[Json, str]] = [
    ({"sessionId": None}, "sessionId must be a string"),
    ({"sessionId": 5}, "sessionId must be a string"),
    ({"sessionId": "nope"}, "sessionId names no session"),
    ({"sessionId": "../../etc/passwd"}, "sessionId names no session"),
    ({"cwd": None}, "cwd must be a string"),
    ({"cwd": "here"}, "cwd must be an absolute path"),
    ({"cwd": "/no/such/place"}, "cwd must be an existing directory"),
    ({"mcpServers": 5}, "mcpServers must be a list"),
    ({"additionalDirectories": ["x"]}, "additionalDirectories[0] must be an absolute path"),
]


@pytest.mark.parametrize("method", ["session/load", "session/resume"])
@pytest.mark.parametrize(("wrong", "words"), WRONG)
async def test_a_wrong_field_is_named(method: str, wrong: Json, words: str) -> None:
    async with connected() as client:
        await client.open()
        assert await client.error(method, OPEN | wrong) == (-32602, f"{method}: {words}")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"cwd": "here"}, "cwd must be an absolute path"),
        ({"cwd": 5}, "cwd must be a string"),
        ({"cursor": 5}, "cursor must be a string"),
        ({"cursor": "made up"}, "cursor is none that this agent gave"),
    ],
)
async def test_a_list_that_cannot_be_is_refused(params: Json, words: str) -> None:
    async with connected() as client:
        await client.open()
        assert await client.error("session/list", params) == (-32602, f"session/list: {words}")


async def test_no_session_makes_an_empty_list_and_none_is_easily_deleted() -> None:
    async with connected() as client:
        await client.open()
        assert await client.result("session/list") == {"sessions": []}
        assert await client.result("session/list", {"cwd": None, "cursor": None}) == {
            "sessions": []
        }
        assert await client.result("session/delete", {"sessionId": "sess_7"}) == {}


async def test_a_session_that_is_open_here_is_closed_when_it_is_deleted() -> None:
    async with connected() as client:
        session_id = await client.open()
        await client.until_answer(client.prompt())
        assert await client.result("session/delete", {"sessionId": session_id}) == {}
        assert client.sessions[0].closed
        code, _ = await client.error("session/prompt", {"sessionId": session_id, "prompt": []})
        assert code == -32602
