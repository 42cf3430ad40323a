"""Our client against a real agent process: what it shows, what it answers, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from acp_agent.client import AgentDied, LocalHost, allow, open_client, reject
from acp_agent.errors import RpcError
from acp_agent.protocol.jsonrpc import Object
from tests.protocol.harness import Json

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
AGENT = [sys.executable, "-m", "tests.protocol.agent_process"]


async def test_prompt_passes_every_update_on_before_it_returns() -> None:
    async with open_client(AGENT, LocalHost(ROOT), cwd=ROOT) as client:
        assert client.agent["agentInfo"]["name"] == "gpt-oss-acp"
        session = await client.new_session(ROOT)
        shown: list[Object] = []
        assert await session.prompt("chunks 3", shown.append) == "end_turn"
        texts = [update["content"]["text"] for update in shown]
        assert texts == ["hello tok0 ", "hello tok1 ", "hello tok2 "]


async def test_cancel_ends_a_turn_and_a_second_session_is_free() -> None:
    async with open_client(AGENT, LocalHost(ROOT), cwd=ROOT) as client:
        session = await client.new_session(ROOT)
        other = await client.new_session(ROOT, additional=[ROOT / "tests"])
        with anyio.fail_after(20):
            assert await session.prompt("wait", lambda _: session.cancel()) == "cancelled"
            assert await other.prompt("x") == "end_turn"
            await other.close()
        with pytest.raises(RpcError, match="sessionId names no open session"):
            await other.prompt("x")


async def test_abandoned_prompt_is_withdrawn() -> None:
    async with open_client(AGENT, LocalHost(ROOT), cwd=ROOT) as client:
        session = await client.new_session(ROOT)
        with anyio.CancelScope() as scope:
            await session.prompt("wait", lambda _: scope.cancel())
        with anyio.fail_after(20):
            assert await session.prompt("x") == "end_turn"


async def test_options_are_set_and_refused_by_name() -> None:
    async with open_client(AGENT, LocalHost(ROOT), cwd=ROOT) as client:
        session = await client.new_session(ROOT)
        await session.set_option("effort", "high")
        assert session.options["effort"] == "high"
        with pytest.raises(RpcError, match="value must be one of low, medium, high"):
            await session.set_option("effort", "extreme")


async def test_program_that_is_not_there_is_named() -> None:
    with pytest.raises(AgentDied, match="cannot start '/no/such/agent'"):
        async with open_client(["/no/such/agent"], LocalHost(ROOT)):
            pass


async def test_agent_that_dies_at_once_is_quoted() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no model here')"]
    expected = (
        r"the agent ended during initialize \(exit code 1\); its last words:\n  no model here"
    )
    with anyio.fail_after(20):
        with pytest.raises(AgentDied, match=expected):
            async with open_client(command, LocalHost(ROOT)):
                pass


async def test_agent_that_is_killed_in_mid_turn_fails_the_prompt() -> None:
    with anyio.fail_after(20):
        with pytest.raises(AgentDied, match=r"ended during session/prompt \(exit code -9\)"):
            async with open_client(AGENT, LocalHost(ROOT), cwd=ROOT) as client:
                session = await client.new_session(ROOT)
                await session.prompt("wait", lambda _: os.kill(client.process.pid, 9))


async def test_agent_that_will_not_go_is_killed() -> None:
    script = (
        "import json, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(json.dumps({'jsonrpc': '2.0', 'id': 1, 'result': {}}), flush=True)\n"
        "time.sleep(1000)\n"
    )
    with anyio.fail_after(20):
        async with open_client([sys.executable, "-c", script], LocalHost(ROOT)) as client:
            pid = client.process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_noise_on_the_wire_is_survived() -> None:
    script = (
        "import json, sys\n"
        "print('Welcome!')\n"
        "print('[]')\n"
        "print(json.dumps({'jsonrpc': '2.0', 'method': 'session/update', 'params': {}}))\n"
        "print(json.dumps({'jsonrpc': '2.0', 'id': 77, 'result': {}}))\n"
        "print(json.dumps({'jsonrpc': '2.0', 'id': 1, 'result': {'a': 1}}), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with anyio.fail_after(20):
        async with open_client([sys.executable, "-c", script], LocalHost(ROOT)) as client:
            assert client.agent == {"a": 1}


# ---------------------------------------------------------------- the local host


OPTIONS: list[Json] = [
    {"optionId": "y", "name": "Yes", "kind": "allow_once"},
    {"optionId": "n", "name": "No", "kind": "reject_once"},
]


async def test_host_reads_and_writes_below_its_root(tmp_path: Path) -> None:
    host = LocalHost(tmp_path)
    path = str(tmp_path / "new" / "a.txt")
    await host.request("fs/write_text_file", {"path": path, "content": "1\r\n2\n3\n"})
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"1\r\n2\n3\n"
    read = await host.request("fs/read_text_file", {"path": path, "line": 2, "limit": 1})
    assert read == {"content": "2\n"}
    assert await host.request("fs/read_text_file", {"path": path}) == {"content": "1\r\n2\n3\n"}


async def test_host_keeps_to_its_root(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    host = LocalHost(tmp_path)
    for path in ("/etc/passwd", f"{tmp_path}/../x", f"{tmp_path}/link/passwd"):
        for method in ("fs/read_text_file", "fs/write_text_file"):
            with pytest.raises(RpcError, match="path is outside the workspace"):
                await host.request(method, {"path": path, "content": "x"})


FAILURES: dict[str, tuple[str, Json, int]] = {
    "no such file": ("fs/read_text_file", {"path": "/w/none"}, -32002),
    "a directory": ("fs/read_text_file", {"path": "/w"}, -32002),
    "not text": ("fs/read_text_file", {"path": "/w/binary"}, -32602),
    "relative": ("fs/read_text_file", {"path": "binary"}, -32602),
    "writing no text": ("fs/write_text_file", {"path": "/w/x", "content": 5}, -32602),
    "writing a directory": ("fs/write_text_file", {"path": "/w", "content": "x"}, -32603),
    "terminals": ("terminal/create", {"command": "ls"}, -32601),
}


@pytest.mark.parametrize(("method", "params", "code"), FAILURES.values(), ids=FAILURES)
async def test_host_refuses_with_a_code(
    tmp_path: Path, method: str, params: Json, code: int
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    if str(params.get("path", "")).startswith("/w"):
        params = params | {"path": params["path"].replace("/w", str(tmp_path), 1)}
    with pytest.raises(RpcError) as error:
        await LocalHost(tmp_path).request(method, params)
    assert error.value.code == code


async def shrug(call: Object, options: Sequence[Object]) -> str | None:
    return None


async def test_host_decides_by_its_policy() -> None:
    question: Json = {"toolCall": {"toolCallId": "c"}, "options": OPTIONS}
    chosen: list[object] = []
    for decide in (allow, reject, shrug):
        answer = await LocalHost(ROOT, decide).request("session/request_permission", question)
        chosen.append(answer["outcome"])
    assert chosen == [
        {"outcome": "selected", "optionId": "y"},
        {"outcome": "selected", "optionId": "n"},
        {"outcome": "cancelled"},
    ]
