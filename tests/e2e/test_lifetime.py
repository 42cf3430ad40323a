"""The end of the real agent, however it comes: it goes at once, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
import pytest
from acp import RequestError

from acp_agent.voices import NANO_LABEL
from scripts.nano_dialogues import COUNT, HELLO
from tests.e2e.agent import SERVE, Agent, open_agent
from tests.e2e.engines import engines
from tests.e2e.processes import PATIENCE, Process, descendants, running, until
from tests.e2e.turn import Json, Turn

pytestmark = pytest.mark.anyio

Env = dict[str, str]

# On a quiet machine it is well below a second; tests share theirs.
AT_ONCE = 5.0


@asynccontextmanager
async def busy(agent: Agent, workspace: Path) -> AsyncGenerator[tuple[list[str], set[Process]]]:
    """Let the agent run a command; give how the prompt ended, once it has, and the processes."""
    session = await agent.new_session(workspace)
    ends: list[str] = []

    async def run() -> None:
        try:
            ends.append((await session.prompt("run a slow command")).stop)
        except ConnectionError:
            ends.append("no answer")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await session.runs("sleep 30")
        await until(lambda: any(p.command == "sleep 30" for p in descendants(agent.process.pid)))
        yield ends, descendants(agent.process.pid)


async def test_killed_agent_leaves_nothing_running(apart: Env, workspace: Path) -> None:
    async with open_agent(apart, "--demo") as agent:
        async with busy(agent, workspace) as (ends, below):
            [engine] = engines(apart)
            agent.process.kill()
            await agent.has_gone(AT_ONCE)
            await until(lambda: not running(below), AT_ONCE)
        assert ends == ["no answer"]
    # The engine is nobody's child: it goes by itself, when it has not been used for a while.
    await until(lambda: not alive(engine.pid))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_agent_asked_to_end_answers_and_goes(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        async with busy(agent, workspace) as (ends, below):
            agent.process.send_signal(signal.SIGTERM)
            assert await agent.has_gone(AT_ONCE) == 0
        assert ends == ["cancelled"]
        assert running(below) == set()


async def test_end_of_input_in_mid_turn_ends_the_agent(world: Env, workspace: Path) -> None:
    async with open_agent(world, "--demo") as agent:
        async with busy(agent, workspace) as (ends, below):
            assert agent.process.stdin is not None
            agent.process.stdin.close()
            assert await agent.has_gone(AT_ONCE) == 0
        assert ends == ["cancelled"]
        assert running(below) == set()


class Pipe:
    """The agent's stdout as a bare file descriptor, which can really be closed."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.pipe()
        self._rest = b""

    async def line_with(self, word: bytes) -> bytes:
        """Read up to the next line that holds `word`, and return it."""
        with anyio.fail_after(PATIENCE):
            while True:
                line, end, rest = self._rest.partition(b"\n")
                if not end:
                    await anyio.wait_readable(self._ours)
                    self._rest += os.read(self._ours, 65536)
                    continue
                self._rest = rest
                if word in line:
                    return line

    def close(self) -> None:
        anyio.notify_closing(self._ours)
        os.close(self._ours)


async def test_editor_that_closes_our_stdout_ends_the_agent(world: Env, workspace: Path) -> None:
    def frame(number: int, method: str, params: Json) -> bytes:
        request: Json = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        return json.dumps(request).encode() + b"\n"

    out = Pipe()
    async with await anyio.open_process(
        [*SERVE, "--demo"], stdin=PIPE, stdout=out.theirs, stderr=DEVNULL, env=world, cwd=workspace
    ) as process:
        os.close(out.theirs)
        assert process.stdin is not None
        await process.stdin.send(frame(1, "initialize", {"protocolVersion": 1}))
        params: Json = {"cwd": str(workspace), "mcpServers": []}
        await process.stdin.send(frame(2, "session/new", params))
        session_id = json.loads(await out.line_with(b'"sessionId"'))["result"]["sessionId"]
        prompt = [{"type": "text", "text": "count forever"}]
        params = {"sessionId": session_id, "prompt": prompt}
        await process.stdin.send(frame(3, "session/prompt", params))
        await out.line_with(b"agent_message_chunk")
        out.close()
        with anyio.fail_after(AT_ONCE):
            assert await process.wait() == 0


async def test_engine_outlives_the_agent_and_serves_the_next_one(
    world: Env, workspace: Path
) -> None:
    pids: list[list[int]] = []
    for _ in range(2):
        async with open_agent(world, "--demo") as agent:
            assert (await (await agent.new_session(workspace)).prompt("hello")).stop == "end_turn"
            pids.append([engine.pid for engine in engines(world)])
    assert pids[0] == pids[1]
    assert len(pids[0]) == 1


async def test_engine_that_died_between_turns_is_started_again(apart: Env, workspace: Path) -> None:
    async with open_agent(apart, "--demo") as agent:
        session = await agent.new_session(workspace)
        assert (await session.prompt("hello")).answer == NANO_LABEL + HELLO.answer.text
        [engine] = engines(apart)
        os.kill(engine.pid, signal.SIGKILL)
        await until(lambda: not alive(engine.pid))
        assert (await session.prompt("hello")).answer == NANO_LABEL + HELLO.answer.text
        assert [other.pid for other in engines(apart)] != [engine.pid]


async def test_engine_that_dies_in_mid_answer_is_an_error_and_the_next_prompt_works(
    apart: Env, workspace: Path
) -> None:
    errors: list[RequestError] = []
    async with open_agent(apart, "--demo") as agent:
        session = await agent.new_session(workspace)

        async def count() -> None:
            with pytest.raises(RequestError) as caught:
                await session.prompt("count forever")
            errors.append(caught.value)

        logs: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            await session.says(COUNT.answer.text)
            [engine] = engines(apart)
            logs.append(engine.log)
            os.kill(engine.pid, signal.SIGKILL)
        assert str(errors[0]) == (
            "the engine ended before its answer did: it ended without a word"
            f" (log: {logs[0]}); the session goes on: ask again, and the engine starts anew"
        )
        assert Turn("", session.updates).answer.count(COUNT.answer.text) == 1
        assert (await session.prompt("hello")).answer == NANO_LABEL + HELLO.answer.text
