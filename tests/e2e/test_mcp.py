"""The real agent with real MCP servers: a call from the script to the server, and their end."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import anyio
import pytest
from acp.schema import EnvVariable, McpServerStdio

from tests.e2e.agent import Agent, open_agent
from tests.e2e.editor import Editor, choose
from tests.e2e.processes import Process, descendants, running, until

pytestmark = pytest.mark.anyio

Env = dict[str, str]
SERVERS = Path(__file__).parents[1] / "tools" / "mcp"


def server(name: str, script: str, how: str) -> McpServerStdio:
    secret = EnvVariable(name="KEY", value="s3cret-key")
    args = [str(SERVERS / script), how]
    return McpServerStdio(name=name, command=sys.executable, args=args, env=[secret])


RICH = server("rich", "good_server.py", "rich")
CRASH = server("crash", "bad_server.py", "crash")
STUBBORN = server("stubborn", "bad_server.py", "stubborn")


def script(workspace: Path, text: str) -> str:
    file = workspace.with_name("script.txt")
    file.write_text(dedent(text))
    return str(file)


def servers_of(agent: Agent) -> set[Process]:
    return {p for p in descendants(agent.process.pid) if "_server.py" in p.command}


async def test_model_calls_a_tool_of_a_server_with_the_users_leave(
    world: Env, workspace: Path
) -> None:
    play = script(
        workspace,
        """
        call rich__echo {"text": "<|end|>hi", "times": 2}
        call rich__echo {"text": "again"}
        call rich__picture {}
        call rich__echo {"times": 2}
        say Done.
        """,
    )
    editor = Editor(decide=choose("allow_always"))
    async with open_agent(world, "--script", play, editor=editor) as agent:
        turn = await (await agent.new_session(workspace, [RICH, CRASH])).prompt("go")
        assert (turn.stop, turn.answer) == ("end_turn", "Done.")
        first, second, picture, wrong = turn.calls
        assert turn.statuses(first) == ["pending", "in_progress", "completed"]
        assert (first["name"], first["title"]) == ("rich__echo", "rich: echo")
        assert first["rawOutput"]["text"] == "<|end|>hi<|end|>hi"
        assert second["rawOutput"]["text"] == "again"
        assert picture["content"][1]["content"]["mimeType"] == "image/png"
        assert wrong["rawOutput"] == (
            "wrong arguments for rich__echo: 'text' is a required property"
        )
        # "Always" covers the tool, not the server.
        assert [question["title"] for question in editor.questions] == [
            "rich: echo",
            "rich: picture",
        ]
        shown = editor.questions[0]["content"][0]["content"]["text"]
        assert shown == '```json\n{\n "text": "<|end|>hi",\n "times": 2\n}\n```'
        assert "mcp server 'crash' does not work" in turn.thoughts
        assert "s3cret" not in turn.thoughts


async def test_rejected_tool_of_a_server_does_not_run(world: Env, workspace: Path) -> None:
    file = workspace / "began"
    play = script(workspace, f'call rich__sleep {{"file": "{file}"}}\nsay Well.\n')
    editor = Editor(decide=choose("reject_once"))
    async with open_agent(world, "--script", play, editor=editor) as agent:
        turn = await (await agent.new_session(workspace, [RICH])).prompt("go")
        assert (turn.answer, turn.calls[0]["status"]) == ("Well.", "failed")
        assert not file.exists()


async def test_cancel_in_mid_call_reaches_the_server(world: Env, workspace: Path) -> None:
    file = workspace / "state"
    play = script(workspace, f'call rich__sleep {{"file": "{file}"}}\nsay Well.\n')
    async with open_agent(world, "--script", play, "--approvals", "full") as agent:
        session = await agent.new_session(workspace, [RICH])

        async def stop() -> None:
            await until(lambda: file.exists() and file.read_text() == "began")
            await session.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            assert (await session.prompt("go")).stop == "cancelled"
        await until(lambda: file.read_text() == "cancelled")


async def test_closed_session_ends_its_servers(world: Env, workspace: Path) -> None:
    play = script(workspace, "say Hello.\nagain\n")
    async with open_agent(world, "--script", play) as agent:
        session = await agent.new_session(workspace, [RICH, STUBBORN])
        other = await agent.new_session(workspace, [RICH])
        await session.prompt("go")
        await other.prompt("go")
        assert len(servers_of(agent)) == 3
        await agent.connection.close_session(session.id)
        assert len(servers_of(agent)) == 1


@pytest.mark.parametrize("how", ["end of input", "kill"])
async def test_end_of_the_agent_ends_its_servers(how: str, world: Env, workspace: Path) -> None:
    play = script(workspace, "say Hello.\n")
    async with open_agent(world, "--script", play) as agent:
        session = await agent.new_session(workspace, [RICH, STUBBORN])
        await session.prompt("go")
        below = servers_of(agent)
        assert len(below) == 2
        if how == "kill":
            agent.process.kill()
        else:
            assert agent.process.stdin is not None
            agent.process.stdin.close()
        await agent.has_gone(5.0)
        await until(lambda: not running(below), 5.0)
