"""The opening: it answers as the connection does, and hands over at the right moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from acp_agent.ports import Editor
from acp_agent.protocol.agent import Agent
from acp_agent.protocol.jsonrpc import Oversized
from acp_agent.protocol.opening import Opened, answer_line, serve_opening
from acp_agent.protocol.server import serve, serve_connection
from acp_agent.protocol.sessions import OpenSession
from acp_agent.protocol.stdio import Wire
from tests.protocol.bad_frames import ANSWERED, UNANSWERED
from tests.protocol.harness import (
    FrameChecker,
    Json,
    MemoryTransport,
    NoStore,
    ScriptedSession,
    new_agent,
    say_hello,
)

ROOT = Path(__file__).parents[2]


def request(request_id: int, method: str, **params: object) -> Json:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


INITIALIZE = request(1, "initialize", protocolVersion=1)
NEW = request(2, "session/new", cwd="/", mcpServers=[])
PROMPT = request(3, "session/prompt", sessionId="sess_1", prompt=[{"type": "text", "text": "x"}])

QUICK: list[Json] = [
    request(5, "session/new", cwd="/"),
    request(6, "session/prompt"),
    INITIALIZE,
    request(7, "authenticate", methodId="local"),
    request(8, "authenticate", methodId="x"),
    NEW,
    request(9, "session/new", cwd="relative"),
    request(10, "session/set_mode", sessionId="sess_1", modeId="gptoss_20b"),
    request(11, "session/set_mode", sessionId="sess_9", modeId="gptoss_20b"),
    request(12, "session/set_config_option", sessionId="sess_1", configId="effort", value="low"),
    request(13, "session/set_config_option", sessionId="sess_1", configId="effort", value="no"),
    request(14, "session/fork", sessionId="sess_1"),
    {"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": "sess_1"}},
    {"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": 1}},
]
SCRIPT: list[bytes | Oversized] = [
    *(line for line, _ in ANSWERED.values()),
    *(line for line in UNANSWERED.values() if line.strip()),
    *(json.dumps(frame).encode() for frame in QUICK),
]


@contextmanager
def pipes() -> Generator[tuple[Wire, int, int]]:
    """Give a wire, the end to write requests to, and the end to read answers from."""
    stdin, to_agent = os.pipe()
    from_agent, stdout = os.pipe()
    ends = {stdin, to_agent, from_agent, stdout}
    try:
        yield Wire(stdin, stdout), to_agent, from_agent
    finally:
        for fd in ends:
            try:
                os.close(fd)
            except OSError:
                continue  # the test closed it


def write(fd: int, frames: Sequence[Json]) -> None:
    os.write(fd, b"".join(json.dumps(frame).encode() + b"\n" for frame in frames))


def answers(fd: int) -> list[Json]:
    """Return what is there to read now."""
    os.set_blocking(fd, False)
    return [json.loads(line) for line in os.read(fd, 1 << 20).splitlines()]


@pytest.mark.anyio
async def test_both_phases_answer_the_same_frames_the_same() -> None:
    agent = new_agent()
    opening: list[bytes] = []
    for line in SCRIPT:
        answer = answer_line(agent, line)
        assert answer is not None, "the opening left a quick request to the loop"
        opening += answer.splitlines()

    to_agent, lines = anyio.create_memory_object_stream[bytes | Oversized](1000)
    frames, from_agent = anyio.create_memory_object_stream[bytes](1000)
    with lines, frames, to_agent, from_agent:
        for line in SCRIPT:
            to_agent.send_nowait(line)
        to_agent.close()
        with anyio.fail_after(20):
            await serve(new_agent(), MemoryTransport(lines, frames), make_session, NoStore())
        frames.close()
        assert [line async for line in from_agent] == opening


async def make_session(opened: OpenSession, editor: Editor) -> ScriptedSession:
    return ScriptedSession(opened, editor, say_hello)


def test_opening_ends_with_the_input() -> None:
    with pipes() as (wire, to_agent, from_agent):
        write(to_agent, [INITIALIZE, NEW])
        os.close(to_agent)
        assert serve_opening(new_agent(), wire) is None
        checker = FrameChecker()
        for frame in (INITIALIZE, NEW):
            checker.sent(frame)
        *both, commands = answers(from_agent)
        assert commands["params"]["update"]["sessionUpdate"] == "available_commands_update"
        for answer in both:
            assert "result" in checker.received(json.dumps(answer).encode())


def test_last_line_needs_no_newline() -> None:
    with pipes() as (wire, to_agent, from_agent):
        os.write(to_agent, json.dumps(INITIALIZE).encode())
        os.close(to_agent)
        assert serve_opening(new_agent(), wire) is None
        assert [answer["id"] for answer in answers(from_agent)] == [1]


def test_prompt_is_handed_over_with_everything_behind_it() -> None:
    with pipes() as (wire, to_agent, from_agent):
        write(to_agent, [INITIALIZE, NEW, PROMPT, INITIALIZE])
        os.write(to_agent, b'{"half":')
        opened = handed_over(new_agent(), wire)
        assert [answer.get("id") for answer in answers(from_agent)] == [1, 2, None]
        assert opened.lines == tuple(json.dumps(frame).encode() for frame in (PROMPT, INITIALIZE))
        assert opened.splitter.feed(b"1}\n") == [b'{"half":1}']


def test_client_that_pauses_lets_the_loop_be_loaded() -> None:
    with pipes() as (wire, to_agent, from_agent):
        write(to_agent, [INITIALIZE])
        opened = handed_over(new_agent(), wire)
        assert opened.lines == ()
        assert [answer["id"] for answer in answers(from_agent)] == [1]


def test_client_that_closed_stdout_ends_the_opening() -> None:
    with pipes() as (wire, to_agent, from_agent):
        os.close(from_agent)
        write(to_agent, [INITIALIZE])
        assert serve_opening(new_agent(), wire) is None


def test_non_blocking_wire_is_read_and_written_all_the_same() -> None:
    with pipes() as (wire, to_agent, from_agent):
        os.set_blocking(wire.stdin, False)
        os.set_blocking(wire.stdout, False)
        count = 1000  # fit into a pipe as requests, and not as answers
        received: list[bytes] = []

        def read() -> None:
            while data := os.read(from_agent, 65536):
                received.append(data)

        reader = threading.Thread(target=read)
        reader.start()
        os.write(to_agent, b'{"jsonrpc":"2.0","id":4,"method":"x"}\n' * count)
        os.close(to_agent)
        assert serve_opening(new_agent(), wire) is None
        os.close(wire.stdout)
        reader.join()
        assert b"".join(received).count(b"\n") == count


@pytest.mark.anyio
async def test_connection_goes_on_where_the_opening_ended() -> None:
    with pipes() as (wire, to_agent, from_agent):
        write(to_agent, [INITIALIZE, NEW, PROMPT])
        os.write(to_agent, b'{"jsonrpc":"2.0","id":4,')
        opened = handed_over(new_agent(), wire)
        os.write(to_agent, b'"method":"nope"}\n')
        os.close(to_agent)
        ready = anyio.Event()

        async def on_ready() -> None:
            ready.set()

        with anyio.fail_after(5):
            await serve_connection(opened, make_session, NoStore(), on_ready)
        assert ready.is_set()
        ids = [frame.get("id", "update") for frame in answers(from_agent)]
        assert ids[:3] == [1, 2, "update"]
        assert sorted(map(str, ids[3:])) == ["3", "4", "update"]


HEAVY = {
    *("acp_agent.events", "acp_agent.ports", "anyio", "asyncio", "dataclasses", "inspect"),
    *("logging", "pydantic", "socket", "subprocess", "threading"),
}


def test_opening_loads_nothing_heavy() -> None:
    code = "import sys, acp_agent.config, acp_agent.protocol.opening; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert HEAVY & set(loaded.stdout.split()) == set()


def handed_over(agent: Agent, wire: Wire) -> Opened:
    opened = serve_opening(agent, wire)
    assert opened is not None
    return opened
