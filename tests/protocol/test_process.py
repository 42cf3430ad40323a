"""A real process on real pipes: the wire stays clean, and it goes when its client goes."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
import pytest
from anyio.abc import Process

from acp_agent.protocol.lines import LineSplitter
from tests.protocol.harness import FrameChecker, Json

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.protocol.agent_process"]


class Editor:
    """A client at the other end of a process's pipes."""

    def __init__(self, process: Process, stdout: int) -> None:
        assert process.stdin is not None
        self.process = process
        self.stdin = process.stdin
        self.session_id = ""
        self._stdout = stdout
        self._splitter = LineSplitter()
        self._lines: deque[bytes] = deque()
        self._checker = FrameChecker()
        self._last_id = 0

    async def ask(self, method: str, params: Json) -> int:
        self._last_id += 1
        frame = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        self._checker.sent(frame)
        await self.stdin.send(json.dumps(frame).encode() + b"\n")
        return self._last_id

    async def next(self) -> Json:
        with anyio.fail_after(20):
            while not self._lines:
                await anyio.wait_readable(self._stdout)
                data = os.read(self._stdout, 1 << 20)
                assert data, "the agent closed its stdout"
                self._lines += [x for x in self._splitter.feed(data) if isinstance(x, bytes)]
        return self._checker.received(self._lines.popleft())

    @property
    def is_read(self) -> bool:
        return self._stdout >= 0

    def close_stdout(self) -> None:
        os.close(self._stdout)
        self._stdout = -1

    async def answer(self, request_id: int) -> Json:
        while (frame := await self.next()).get("id") != request_id:
            pass
        return frame

    async def open(self) -> None:
        await self.answer(await self.ask("initialize", {"protocolVersion": 1}))
        params: Json = {"cwd": "/", "mcpServers": []}
        answer = await self.answer(await self.ask("session/new", params))
        self.session_id = answer["result"]["sessionId"]
        commands = (await self.next())["params"]["update"]
        assert commands["sessionUpdate"] == "available_commands_update"

    async def prompt(self, text: str) -> int:
        blocks = [{"type": "text", "text": text}]
        return await self.ask("session/prompt", {"sessionId": self.session_id, "prompt": blocks})

    async def has_gone(self) -> int:
        """Return the exit code; it is there within the second that users are promised."""
        # The promise is one second on a quiet machine; tests share theirs.
        with anyio.fail_after(3):
            return await self.process.wait()


@asynccontextmanager
async def editor() -> AsyncGenerator[Editor]:
    # Our own pipe: closing the stream of a process leaves the pipe of asyncio open.
    out, its_out = os.pipe()
    process = await anyio.open_process(COMMAND, stdin=PIPE, stdout=its_out, stderr=PIPE, cwd=ROOT)
    os.close(its_out)
    agent = Editor(process, out)
    try:
        yield agent
    finally:
        if agent.is_read:
            agent.close_stdout()
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def test_stray_prints_go_to_stderr() -> None:
    async with editor() as agent:
        await agent.open()
        assert "stopReason" in (await agent.answer(await agent.prompt("x")))["result"]
        await agent.stdin.aclose()
        assert await agent.has_gone() == 0
        assert agent.process.stderr is not None
        assert await agent.process.stderr.receive() == b"a stray print\n"


async def test_thousands_of_chunks_arrive_whole_and_in_order() -> None:
    async with editor() as agent:
        await agent.open()
        request = await agent.prompt("chunks 3000")
        texts: list[str] = []
        while "method" in (frame := await agent.next()):
            texts.append(frame["params"]["update"]["content"]["text"])
        assert frame["id"] == request
        assert texts == [f"hello tok{number} " for number in range(3000)]


async def test_prompt_of_40_megabytes_is_answered() -> None:
    async with editor() as agent:
        await agent.open()
        request = await agent.prompt("x" * 40_000_000)
        update = (await agent.next())["params"]["update"]
        assert update["content"]["text"] == "40000000"
        assert (await agent.answer(request))["result"] == {"stopReason": "end_turn"}


async def test_line_beyond_the_limit_is_refused_and_the_next_one_answered() -> None:
    async with editor() as agent:
        for _ in range(65):
            await agent.stdin.send(b"x" * 1024 * 1024)
        await agent.stdin.send(b"\n")
        assert (await agent.next())["error"]["code"] == -32600
        await agent.open()


async def test_end_of_input_in_mid_turn_answers_and_exits() -> None:
    async with editor() as agent:
        await agent.open()
        request = await agent.prompt("wait")
        await agent.next()
        await agent.stdin.aclose()
        assert (await agent.answer(request))["result"] == {"stopReason": "cancelled"}
        assert await agent.has_gone() == 0


async def test_client_that_closes_our_stdout_ends_us_in_mid_turn() -> None:
    async with editor() as agent:
        await agent.open()
        await agent.prompt("wait")
        await agent.next()
        agent.close_stdout()
        assert await agent.has_gone() == 0


async def test_client_that_closes_our_stdout_ends_us_while_idle() -> None:
    async with editor() as agent:
        await agent.open()
        await agent.answer(await agent.prompt("x"))
        agent.close_stdout()
        assert await agent.has_gone() == 0


async def test_client_that_stops_reading_and_leaves_does_not_hold_us() -> None:
    async with editor() as agent:
        await agent.open()
        await agent.prompt("flood")
        await agent.next()
        await agent.stdin.aclose()
        assert await agent.has_gone() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_in_mid_turn_answers_and_exits(number: signal.Signals) -> None:
    async with editor() as agent:
        await agent.open()
        request = await agent.prompt("wait")
        await agent.next()
        agent.process.send_signal(number)
        assert (await agent.answer(request))["result"] == {"stopReason": "cancelled"}
        assert await agent.has_gone() == 0


async def test_regular_files_will_do_for_stdin_and_stdout(tmp_path: Path) -> None:
    frames: list[Json] = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": 1}},
        {"jsonrpc": "2.0", "id": 2, "method": "session/new", "params": {"cwd": "/"}},
        {
            "jsonrpc": "2.0",
            "id": 3,
            "method": "session/prompt",
            "params": {"sessionId": "sess_1", "prompt": [{"type": "text", "text": "x"}]},
        },
    ]
    (tmp_path / "in").write_text("".join(json.dumps(frame) + "\n" for frame in frames))
    with (tmp_path / "in").open() as stdin, (tmp_path / "out").open("wb") as stdout:
        with anyio.fail_after(20):
            await anyio.run_process(COMMAND, stdin=stdin, stdout=stdout, cwd=ROOT)
    answers = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [frame["id"] for frame in answers if "id" in frame] == [1, 2, 3]


async def test_sockets_will_do_and_a_closed_one_ends_us() -> None:
    ours_in, its_in = socket.socketpair()
    ours_out, its_out = socket.socketpair()
    process = await anyio.open_process(
        COMMAND, stdin=its_in.fileno(), stdout=its_out.fileno(), cwd=ROOT
    )
    its_in.close()
    its_out.close()
    try:
        frame: Json = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
        ours_in.sendall(json.dumps(frame | {"params": {"protocolVersion": 1}}).encode() + b"\n")
        with anyio.fail_after(20):
            answer = await anyio.to_thread.run_sync(ours_out.recv, 65536)
        assert json.loads(answer)["id"] == 1
        ours_out.close()
        with anyio.fail_after(5):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()
        for end in (ours_in, ours_out):
            end.close()


async def test_nothing_at_all_on_stdin_ends_us() -> None:
    with anyio.fail_after(20):
        result = await anyio.run_process(COMMAND, stdin=DEVNULL, cwd=ROOT)
    assert result.stdout == b""
