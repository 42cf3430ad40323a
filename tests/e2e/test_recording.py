"""What the real agent leaves behind: its log in the workspace, exports, figures, or nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import pytest

from acp_agent.client import ClientSession
from acp_agent.errors import RpcError
from tests.e2e.test_sessions import agent
from tests.recording.rlog_reading import read_rlog

pytestmark = pytest.mark.anyio

Env = dict[str, str]
Json = dict[str, Any]

COMMAND = (sys.executable, "-m", "acp_agent")
SECRET = "ghp_" + 9 * "a1B2"  # of the shape of a key
SCRIPT = """
on "work":
  think I look first.
  call write_file {"path": "new.txt", "content": "one\\n"}

  call shell {"command": "printf 'a b c'"}

  call read_file {"path": "missing.txt"}

  say The key is {secret}, remember it.

otherwise:
  say Hello 👋.
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "script.txt"
    file.write_text(dedent(SCRIPT).replace("{secret}", SECRET))
    return str(file)


@pytest.fixture
def env(world: Env, tmp_path: Path) -> Env:
    """Give an environment with a state directory of its own."""
    return world | {"XDG_STATE_HOME": str(tmp_path / "state")}


async def answer(session: ClientSession, prompt: str) -> str:
    said: list[str] = []

    def hear(update: Json) -> None:
        if update["sessionUpdate"] == "agent_message_chunk":
            said.append(update["content"]["text"])

    assert await session.prompt(prompt, hear) == "end_turn"
    return "".join(said)


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


async def test_a_recorded_session_has_a_valid_log_over_two_processes(
    env: Env, workspace: Path, script: str, tmp_path: Path
) -> None:
    flags = ("--script", script, "--record")
    async with agent(env, workspace, *flags) as first:
        session = await first.new_session(workspace)
        await session.prompt("work\non two lines")
    async with agent(env, workspace, *flags) as second:
        loaded = await second.load_session(session.id, workspace)
        await loaded.prompt("hello")
        await loaded.close()
    log = only(workspace, f"docs/logs/[0-9]*/{session.id}.rlog")
    found = read_rlog(log.read_text())
    assert found.wrong == []
    assert found.kinds.count("user") == 2
    text = log.read_text()
    assert [line.split()[-1] for line in text.splitlines() if "permission:" in line] == [
        "[allowed]",
        "[allowed]",
    ]
    assert "[redacted:" in text
    assert SECRET not in text
    kept = only(tmp_path / "state", f"acp-agent/sessions/*/{session.id}.jsonl")
    assert log.with_suffix(".jsonl").read_bytes() == kept.read_bytes()
    assert {path.stat().st_mode & 0o777 for path in (kept, log, log.with_suffix(".jsonl"))} == {
        0o600
    }
    for written in (kept, log):
        await anyio.run_process([*COMMAND, "validate", str(written)])


async def test_a_log_that_cannot_be_written_stops_nothing(
    env: Env, workspace: Path, script: str
) -> None:
    (workspace / "docs").write_text("not a directory")
    async with agent(env, workspace, "--script", script, "--record") as client:
        assert await answer(await client.new_session(workspace), "hello") == "Hello 👋."


async def test_model_calls_are_measured_as_they_end(env: Env, workspace: Path, script: str) -> None:
    async with agent(env, workspace, "--script", script, "--approvals", "full") as client:
        session = await client.new_session(workspace)
        await session.prompt("work")
        ran = await anyio.run_process([*COMMAND, "stats", "--json"], env=env)
        found = json.loads(ran.stdout)
    assert len(found) == 4
    assert {(one["session_id"], one["model"], one["cancelled"]) for one in found} == {
        (session.id, "scripted", False)
    }
    assert all(one["first_token_ms"] >= 0 and one["generated_tokens"] > 0 for one in found)


@pytest.mark.parametrize("form", ["md", "html", "jsonl"])
async def test_a_session_is_exported_to_its_workspace_and_overwrites_nothing(
    env: Env, workspace: Path, script: str, form: str
) -> None:
    async with agent(env, workspace, "--script", script) as client:
        session = await client.new_session(workspace)
        await session.prompt("Say hello, to ../all of them; please do")
        name = f"session-say-hello-to-all-of-them-{session.id[5:13]}"
        first, second = workspace / f"{name}.{form}", workspace / f"{name}-2.{form}"
        assert await answer(session, f"/export {form}") == f"Written to {first}"
        written = first.read_bytes()
        assert "Hello 👋.".encode() in written.replace(b"&#128075;", "👋".encode())
        assert await answer(session, f"/export {form}") == f"Written to {second}"
        assert first.read_bytes() == written
        assert second.stat().st_size > len(written)


async def test_an_export_that_cannot_be_written_says_why(
    env: Env, workspace: Path, script: str
) -> None:
    async with agent(env, workspace, "--script", script) as client:
        session = await client.new_session(workspace)
        await session.prompt("hello")
        workspace.rename(workspace.with_name("moved"))
        with pytest.raises(RpcError, match=r"cannot write .*/session-hello-.*: No such file"):
            await session.prompt("/export")


async def test_who_wants_no_trace_leaves_none(
    env: Env, workspace: Path, script: str, tmp_path: Path
) -> None:
    async with agent(env, workspace, "--script", script) as client:
        before = await client.new_session(workspace)
        await before.prompt("hello")
    kept = sorted((tmp_path / "state").rglob("*.jsonl"))
    sizes = [path.stat().st_size for path in kept]
    quiet = env | {"ACP_AGENT_SESSIONS": "no"}
    async with agent(quiet, workspace, "--script", script) as client:
        session = await client.new_session(workspace)
        assert await answer(session, "hello") == "Hello 👋."
        assert (await answer(session, "/export")).startswith("This session is not recorded")
        assert await client.request("session/list", {}) == {"sessions": []}
        with pytest.raises(RpcError, match="names no session"):
            await client.load_session(before.id, workspace)
    assert sorted((tmp_path / "state").rglob("*.jsonl")) == kept
    assert [path.stat().st_size for path in kept] == sizes


async def test_without_sessions_a_log_in_the_workspace_is_still_written(
    env: Env, workspace: Path, script: str, tmp_path: Path
) -> None:
    quiet = env | {"ACP_AGENT_SESSIONS": "no", "ACP_AGENT_RECORD": "yes"}
    async with agent(quiet, workspace, "--script", script) as client:
        session = await client.new_session(workspace)
        await session.prompt("hello")
        await session.close()
    log = only(workspace, f"docs/logs/[0-9]*/{session.id}.rlog")
    assert read_rlog(log.read_text()).wrong == []
    lines = [json.loads(line) for line in log.with_suffix(".jsonl").read_bytes().splitlines()]
    assert [line["k"] for line in lines[:3]] == ["session", "options", "turn"]
    assert list((tmp_path / "state").rglob("*.jsonl")) == []
