"""Sessions that outlive their process: listed, loaded, resumed, deleted, by the real agent."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import pytest

from acp_agent.client import Client, LocalHost, allow, open_client
from acp_agent.errors import RpcError
from tests.e2e.agent import open_agent
from tests.e2e.turn import Turn
from tests.recording.coalescing import asked, coalesced

pytestmark = pytest.mark.anyio

Env = dict[str, str]
Json = dict[str, Any]

SCRIPT = """
on "work":
  think I look first.
  call list_files {}

  preamble I write.
  call write_file {"path": "new.txt", "content": "one\\n"}

  call shell {"command": "printf 'a b c'"}

  say Done, **all** of it.

on "hello":
  say Hello 👋.
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "script.txt"
    file.write_text(dedent(SCRIPT))
    return file


@asynccontextmanager
async def agent(env: Env, workspace: Path, *flags: str) -> AsyncGenerator[Client]:
    command = [sys.executable, "-m", "acp_agent", "serve", *flags]
    with anyio.fail_after(60):
        async with open_client(command, LocalHost(workspace, allow), env=env) as client:
            yield client


async def test_a_session_is_loaded_by_another_process_as_it_was_said(
    world: Env, workspace: Path, script: Path
) -> None:
    live: list[Json] = []
    async with agent(world, workspace, "--script", str(script), "--approvals", "full") as first:
        session = await first.new_session(workspace)
        await session.set_option("effort", "high")
        for number, prompt in enumerate(("hello", "work"), 1):
            live.append(asked(number, prompt))
            assert await session.prompt(prompt, live.append) == "end_turn"
    replayed: list[Json] = []
    async with agent(world, workspace, "--script", str(script)) as second:
        loaded = await second.load_session(session.id, workspace, replayed.append)
        assert coalesced(replayed) == coalesced(live)
        assert loaded.options["effort"] == "high"
        assert await loaded.prompt("hello") == "end_turn"
        (listed,) = (await second.request("session/list", {"cwd": str(workspace)}))["sessions"]
        assert (listed["sessionId"], listed["title"]) == (session.id, "hello")


async def test_resume_goes_on_and_shows_nothing(world: Env, workspace: Path, script: Path) -> None:
    flags = ("--script", str(script), "--approvals", "full")
    async with agent(world, workspace, *flags) as first:
        session = await first.new_session(workspace)
        await session.prompt("work")
    async with agent(world, workspace, *flags) as second:
        seen: list[Json] = []
        second.listeners[session.id] = seen.append
        params: Json = {"sessionId": session.id, "cwd": str(workspace), "mcpServers": []}
        assert "configOptions" in await second.request("session/resume", params)
        assert [update for update in seen if update["sessionUpdate"].endswith("_chunk")] == []


async def test_a_deleted_session_is_gone(world: Env, workspace: Path, script: Path) -> None:
    async with agent(world, workspace, "--script", str(script)) as client:
        session = await client.new_session(workspace)
        await session.prompt("hello")
        await client.request("session/delete", {"sessionId": session.id})
        listed = await client.request("session/list", {"cwd": str(workspace)})
        assert session.id not in [one["sessionId"] for one in listed["sessions"]]
        with pytest.raises(RpcError, match="names no session"):
            await client.load_session(session.id, workspace)
        await client.request("session/delete", {"sessionId": session.id})


async def test_two_agents_do_not_go_on_with_one_session(
    world: Env, workspace: Path, script: Path
) -> None:
    flags = ("--script", str(script))
    async with agent(world, workspace, *flags) as first, agent(world, workspace, *flags) as second:
        session = await first.new_session(workspace)
        await session.prompt("hello")
        other = await second.load_session(session.id, workspace)
        await other.prompt("hello")
        with pytest.raises(RpcError, match="gone on in another agent; load it anew"):
            await session.prompt("hello")
        again = await first.load_session(session.id, workspace)
        assert await again.prompt("hello") == "end_turn"


@pytest.mark.parametrize("method", ["session/load", "session/resume"])
@pytest.mark.parametrize("sessions", ["no", "yes"], ids=["not kept", "nothing written yet"])
async def test_an_open_session_without_a_record_stays_open(
    world: Env, workspace: Path, script: Path, sessions: str, method: str
) -> None:
    env = world | {"ACP_AGENT_SESSIONS": sessions}
    async with agent(env, workspace, "--script", str(script)) as client:
        session = await client.new_session(workspace)
        if sessions == "no":
            await session.prompt("hello")
        params: Json = {"sessionId": session.id, "cwd": str(workspace), "mcpServers": []}
        with pytest.raises(RpcError, match=r"an open session without a record.*stays open"):
            await client.request(method, params)
        assert await session.prompt("hello") == "end_turn"


async def test_a_session_is_loaded_anew_while_it_is_open_and_a_turn_runs(
    world: Env, workspace: Path, script: Path
) -> None:
    script.write_text(script.read_text() + 'on "slow":\n  wait 60\n  say Late.\n')
    async with agent(world, workspace, "--script", str(script)) as client:
        session = await client.new_session(workspace)
        await session.prompt("hello")
        stops: list[str] = []

        async def slow() -> None:
            stops.append(await session.prompt("slow"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow)
            await anyio.wait_all_tasks_blocked()
            await client.load_session(session.id, workspace)
        assert stops == ["cancelled"]
        assert await session.prompt("hello") == "end_turn"


@pytest.mark.parametrize("second", ["session/resume", "session/delete"])
async def test_a_session_that_is_left_while_it_is_taken_up_is_no_error_of_ours(
    world: Env, workspace: Path, script: Path, second: str
) -> None:
    async with agent(world, workspace, "--script", str(script)) as client:
        session = await client.new_session(workspace)
        await session.prompt("hello")
        params: Json = {"sessionId": session.id, "cwd": str(workspace), "mcpServers": []}
        failures: list[str] = []

        async def ask(method: str) -> None:
            try:
                await client.request(method, params)
            except RpcError as error:
                failures.append(str(error))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "session/resume")
            tasks.start_soon(ask, second)
        assert [failure for failure in failures if "internal error" in failure] == []


async def test_the_sdk_lists_loads_resumes_closes_and_deletes(
    world: Env, workspace: Path, script: Path
) -> None:
    flags = ("--script", str(script))
    async with open_agent(world, *flags) as first:
        session = await first.new_session(workspace)
        assert (await session.prompt("hello")).answer == "Hello 👋."
        assert (await first.connection.close_session(session.id)) is not None
    async with open_agent(world, *flags) as second:
        link = second.connection
        (listed,) = (await link.list_sessions(cwd=str(workspace))).sessions
        assert (listed.session_id, listed.title) == (session.id, "hello")
        loaded = await link.load_session(str(workspace), session.id)
        assert loaded.config_options is not None
        replayed = Turn("", second.editor.updates[session.id])
        assert replayed.answer == "Hello 👋."
        await link.resume_session(session.id, str(workspace))
        await link.delete_session(session.id)
        assert (await link.list_sessions(cwd=str(workspace))).sessions == []
