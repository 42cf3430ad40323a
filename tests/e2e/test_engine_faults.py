"""What the user of the real agent sees when the engine is not as it should be."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from acp import RequestError

from acp_agent.backends.endpoint import fixed
from acp_agent.backends.llama_server import LlamaServer
from scripts.nano_dialogues import HELLO
from tests.e2e import stand_in as engine
from tests.e2e.agent import Session, open_agent
from tests.e2e.engines import running_engine
from tests.e2e.stand_in import breaks_off, reply, says, stand_in
from tests.e2e.turn import Turn

pytestmark = pytest.mark.anyio

Env = dict[str, str]

PAGE = "<!doctype html><title>It works!</title>"


@asynccontextmanager
async def session_with(
    env: Env, workspace: Path, url: str, key: str = "secret"
) -> AsyncGenerator[Session]:
    """Open a session with an agent that is told to use the engine at `url`."""
    async with open_agent(env | {"GPT_OSS_URL": url, "GPT_OSS_API_KEY": key}) as agent:
        yield await agent.new_session(workspace)


async def refused(session: Session) -> RequestError:
    """Send a prompt that cannot be answered, and return the error."""
    with pytest.raises(RequestError) as caught:
        await session.prompt("hello")
    assert caught.value.code == -32603
    assert "\n" not in str(caught.value)
    return caught.value


async def test_engine_that_loads_is_awaited_and_the_user_is_told(
    world: Env, workspace: Path
) -> None:
    async with stand_in(says("Here I am."), loading=True) as standing:
        async with session_with(world, workspace, standing.url) as session:
            turn = await session.prompt("hello")
    assert (turn.stop, turn.answer) == ("end_turn", "Here I am.")
    assert turn.thoughts == "the engine is loading its model\n"
    assert standing.keys == {"Bearer secret"}


async def test_prompt_too_long_for_the_context_says_what_to_do(world: Env, workspace: Path) -> None:
    async with stand_in(reply(400, engine.OVERFLOW), says("Short enough.")) as standing:
        async with session_with(world, workspace, standing.url) as session:
            error = await refused(session)
            assert str(error) == (
                "the conversation has 9000 tokens, the model's context holds 4096; send a"
                " shorter message, start a new session, or give the engine more context"
                " (GPT_OSS_CTX)"
            )
            assert error.data == {"kind": "ContextOverflow"}
            other = await session.agent.new_session(workspace)
            assert (await other.prompt("hello")).answer == "Short enough."


async def test_answer_that_breaks_off_is_shown_once_and_the_next_prompt_works(
    world: Env, workspace: Path
) -> None:
    async with stand_in(breaks_off("Half of the"), says("Whole.")) as standing:
        async with session_with(world, workspace, standing.url) as session:
            error = await refused(session)
            assert error.data == {"kind": "StreamDropped"}
            assert "broke off" in str(error)
            assert Turn("", session.updates).answer == "Half of the"
            turn = await session.prompt("go on")
            assert (turn.stop, turn.answer) == ("end_turn", "Whole.")
    assert len(standing.prompts) == 2


async def test_wrong_key_names_the_setting(world: Env, workspace: Path) -> None:
    async with stand_in(always=reply(401, engine.WRONG_KEY)) as standing:
        async with session_with(world, workspace, standing.url) as session:
            error = await refused(session)
    assert error.data == {"kind": "EngineUnauthorized"}
    assert "set GPT_OSS_API_KEY" in str(error)
    assert "secret" not in str(error)


async def test_nothing_at_the_address_names_the_address(world: Env, workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with session_with(world, workspace, url) as session:
        error = await refused(session)
    assert error.data == {"kind": "EngineUnavailable"}
    assert str(error).startswith(f"nothing answers at {url}")
    assert "GPT_OSS_URL" in str(error)


@pytest.mark.parametrize("status", [200, 404])
async def test_web_page_at_the_address_is_no_engine(
    world: Env, workspace: Path, status: int
) -> None:
    async with stand_in(always=reply(status, PAGE, "text/html")) as standing:
        async with session_with(world, workspace, standing.url) as session:
            error = await refused(session)
    assert error.data == {"kind": "EngineMismatch"}
    assert str(error).startswith(f"what answers at {standing.url} is not a llama.cpp server")


async def test_something_else_than_http_at_the_address_is_no_engine(
    world: Env, workspace: Path
) -> None:
    async with stand_in(always=b"220 mail.example ESMTP\r\n\r\n") as standing:
        async with session_with(world, workspace, standing.url) as session:
            error = await refused(session)
    assert error.data == {"kind": "EngineMismatch"}


async def test_engine_that_fails_is_quoted_and_asked_again_the_next_time(
    world: Env, workspace: Path
) -> None:
    async with stand_in(reply(500, engine.FAILED), says("Better now.")) as standing:
        async with session_with(world, workspace, standing.url) as session:
            error = await refused(session)
            assert error.data == {"kind": "EngineFailed"}
            assert "slot is broken" in str(error)
            assert (await session.prompt("again")).answer == "Better now."


async def test_no_model_anywhere_says_what_to_do_and_the_connection_lives_on(
    modelless: Env, workspace: Path
) -> None:
    async with open_agent(modelless) as agent:
        session = await agent.new_session(workspace)
        for _ in range(2):
            error = await refused(session)
            assert error.data == {"kind": "EngineUnavailable"}
            assert str(error).startswith("no gpt-oss model was found: set GPT_OSS_GGUF_MODEL_PATH")
        assert (await agent.new_session(workspace)).id != session.id


async def test_model_file_that_is_none_is_named(world: Env, workspace: Path) -> None:
    (workspace / "weights.gguf").write_text("not weights")
    env = world | {"GPT_OSS_GGUF_MODEL_PATH": str(workspace / "weights.gguf")}
    async with open_agent(env) as agent:
        error = await refused(await agent.new_session(workspace))
    assert "weights.gguf" in str(error)
    assert "not a GGUF file" in str(error)


async def test_running_engine_is_used_and_never_stopped(apart: Env, workspace: Path) -> None:
    async with running_engine(apart) as endpoint:
        env = apart | {"GPT_OSS_TEMPERATURE": "0"}
        async with session_with(env, workspace, endpoint.url, endpoint.key) as session:
            turn = await session.prompt("hello")
            assert (turn.stop, turn.answer) == ("end_turn", HELLO.answer.text)
            assert turn.usage["size"] == 4096
        assert (await LlamaServer(fixed(endpoint)).is_available()).state == "ready"
        homes = list(Path(apart["XDG_RUNTIME_DIR"]).glob("acp-agent/engine-*"))
        assert len(homes) == 1  # and no other was started


async def test_running_engine_refuses_the_wrong_key(apart: Env, workspace: Path) -> None:
    async with running_engine(apart) as endpoint:
        async with session_with(apart, workspace, endpoint.url, "wrong") as session:
            assert (await refused(session)).data == {"kind": "EngineUnauthorized"}
