"""An agent in memory with a scripted core, and a client that checks every frame it is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from jsonschema import Draft202012Validator

from acp_agent.agent.options import Choice, SessionOptions, session_options
from acp_agent.agent.stored import Listed, SessionStore, Stored
from acp_agent.conversation import UserMessage
from acp_agent.events import Emit, StopReason, TextDelta
from acp_agent.ports import Editor
from acp_agent.protocol.agent import Agent
from acp_agent.protocol.jsonrpc import Oversized
from acp_agent.protocol.server import serve
from acp_agent.protocol.sessions import OpenSession
from acp_agent.protocol.turns import SessionFactory

Json = dict[str, Any]
Play = Callable[[UserMessage, Emit, Editor], Awaitable[StopReason]]

SCHEMA = Path(__file__).parents[2] / "schemas" / "acp" / "schema.v1.json"
MODELS = (Choice("gpt-oss-20b", "gpt-oss-20b"), Choice("gpt-oss-120b", "gpt-oss-120b"))


async def say_hello(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
    await emit(TextDelta("m1", "hello"))
    return "end_turn"


class ScriptedSession:
    """A core whose turns are the given function; it remembers what happened to it."""

    def __init__(self, opened: OpenSession, editor: Editor, play: Play) -> None:
        self.opened = opened
        self.prompts: list[str] = []
        self.warmed = 0
        self.closed = False
        self._editor = editor
        self._play = play
        self._turn = anyio.CancelScope()

    async def prompt(self, message: UserMessage, emit: Emit) -> StopReason:
        self.prompts.append(message.text)
        with anyio.CancelScope() as self._turn:
            return await self._play(message, emit, self._editor)
        return "cancelled"

    def cancel(self) -> None:
        self._turn.cancel()

    async def prewarm(self, emit: Emit) -> None:
        self.warmed += 1

    async def close(self) -> None:
        self.closed = True


class NoStore:
    """A store without any session of before."""

    async def page(self, cwd: Path | None, cursor: str) -> tuple[Sequence[Listed], str]:
        if cursor:
            raise ValueError(cursor)
        return [], ""

    async def has(self, session_id: str) -> bool:
        return False

    async def take_up(self, session_id: str) -> Stored | None:
        return None

    async def delete(self, session_id: str) -> None:
        pass


class MemoryTransport:
    """Lines from a stream, frames to another."""

    def __init__(
        self,
        lines: MemoryObjectReceiveStream[bytes | Oversized],
        frames: MemoryObjectSendStream[bytes],
    ) -> None:
        self._lines = lines
        self._frames = frames

    async def receive(self) -> Sequence[bytes | Oversized]:
        try:
            return [await self._lines.receive()]
        except anyio.EndOfStream:
            return []

    def put(self, frame: bytes) -> None:
        *lines, rest = frame.split(b"\n")
        assert rest == b""
        for line in lines:
            self._frames.send_nowait(line)

    async def send(self, frame: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        self.put(frame)


class Client:
    """The client's end; `sessions` are the cores that the agent made."""

    def __init__(
        self,
        lines: MemoryObjectSendStream[bytes | Oversized],
        frames: MemoryObjectReceiveStream[bytes],
    ) -> None:
        self.sessions: list[ScriptedSession] = []
        self.session_id = ""
        self._lines = lines
        self._frames = frames
        self._checker = FrameChecker()
        self._last_id = 0

    def send(self, frame: Json | bytes | Oversized) -> None:
        if isinstance(frame, dict):
            self._checker.sent(frame)
            frame = json.dumps(frame).encode()
        self._lines.send_nowait(frame)

    def hang_up(self) -> None:
        self._lines.close()

    def ask(self, method: str, params: object = None) -> int:
        """Send a request and return its id."""
        self._last_id += 1
        self.send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params or {}})
        return self._last_id

    def tell(self, method: str, params: object) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def reply(self, request: Json, result: object) -> None:
        self.send({"jsonrpc": "2.0", "id": request["id"], "result": result})

    def refuse(self, request: Json, code: int, message: str) -> None:
        error = {"code": code, "message": message}
        self.send({"jsonrpc": "2.0", "id": request["id"], "error": error})

    def prompt(self, text: str = "hi", session_id: str | None = None) -> int:
        blocks = [{"type": "text", "text": text}]
        return self.ask(
            "session/prompt", {"sessionId": session_id or self.session_id, "prompt": blocks}
        )

    def cancel(self) -> None:
        self.tell("session/cancel", {"sessionId": self.session_id})

    async def next(self) -> Json:
        """Return the next frame of the agent, whatever it is."""
        with anyio.fail_after(5):
            line = await self._frames.receive()
        return self._checker.received(line)

    async def update(self) -> Json:
        """Return the update that comes next."""
        return (await self.next())["params"]["update"]

    async def until_answer(self, request_id: int) -> list[Json]:
        """Return all frames up to the answer, and the answer last."""
        frames = [await self.next()]
        while "method" in frames[-1] or frames[-1]["id"] != request_id:
            frames.append(await self.next())
        return frames

    async def call(self, method: str, params: object = None) -> Json:
        """Return the whole answer to a request."""
        return (await self.until_answer(self.ask(method, params)))[-1]

    async def result(self, method: str, params: object = None) -> Json:
        answer = await self.call(method, params)
        assert "result" in answer, answer
        return answer["result"]

    async def error(self, method: str, params: object = None) -> tuple[int, str]:
        answer = await self.call(method, params)
        assert "error" in answer, answer
        return answer["error"]["code"], answer["error"]["message"]

    async def open(self, capabilities: Json | None = None, cwd: str = "/") -> str:
        """Initialize and open a session, which becomes the one that prompts go to."""
        await self.result(
            "initialize", {"protocolVersion": 1, "clientCapabilities": capabilities or {}}
        )
        opened = await self.result("session/new", {"cwd": cwd, "mcpServers": []})
        self.session_id = opened["sessionId"]
        assert (await self.update())["sessionUpdate"] == "available_commands_update"
        return self.session_id

    async def silence(self) -> None:
        """See that nothing more comes: whatever was under way would come before this answer."""
        await anyio.wait_all_tasks_blocked()
        frames = await self.until_answer(self.ask("silence/check"))
        assert frames[:-1] == []


class FrameChecker:
    """Checks each frame of the agent against the schema of its method."""

    def __init__(self) -> None:
        self._methods: dict[object, str] = {}

    def sent(self, frame: Json) -> None:
        if "method" in frame and "id" in frame and isinstance(frame["id"], int | str):
            self._methods[frame["id"]] = frame["method"]

    def received(self, line: bytes) -> Json:
        frame = cast("Json", json.loads(line.decode("utf-8")))
        assert frame["jsonrpc"] == "2.0"
        if "method" in frame:
            assert frame.keys() == {"jsonrpc", "method", "params"} | (frame.keys() & {"id"})
            side = "protocol" if frame["method"].startswith("$/") else "client"
            if not frame["method"].startswith("_"):  # an extension, which no schema knows
                _check(_definitions()[side, frame["method"]], frame["params"])
        elif "error" in frame:
            assert frame.keys() == {"jsonrpc", "id", "error"}
            _check("Error", frame["error"])
            assert "\n" not in frame["error"]["message"]
        else:
            assert frame.keys() == {"jsonrpc", "id", "result"}
            method = self._methods[frame["id"]]
            _check(_definitions()["agent", method], frame["result"])
        return frame


@asynccontextmanager
async def connected(
    play: Play = say_hello,
    prepare: Callable[[], Awaitable[None]] | None = None,
    agent: Agent | None = None,
    core: SessionFactory | None = None,
    store: SessionStore | None = None,
) -> AsyncGenerator[Client]:
    """Run an agent in memory, with `core` or a scripted one.

    `prepare` runs whenever a scripted core session is being made.
    """
    to_agent, lines = anyio.create_memory_object_stream[bytes | Oversized](1000)
    frames, from_agent = anyio.create_memory_object_stream[bytes](100_000)
    client = Client(to_agent, from_agent)

    async def factory(opened: OpenSession, editor: Editor) -> ScriptedSession:
        if prepare is not None:
            await prepare()
        client.sessions.append(ScriptedSession(opened, editor, play))
        return client.sessions[-1]

    with lines, frames, to_agent, from_agent:
        async with anyio.create_task_group() as tasks:
            transport = MemoryTransport(lines, frames)
            sessions = store or NoStore()
            tasks.start_soon(serve, agent or new_agent(), transport, core or factory, sessions)
            yield client
            client.hang_up()


def new_agent() -> Agent:
    numbers = iter(range(1, 1000))
    return Agent(new_options, "0.0.0", lambda: f"sess_{next(numbers)}")


def new_options() -> SessionOptions:
    return session_options(MODELS, mode="gptoss_20b", effort="medium", approvals="ask")


def updates(frames: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return the updates among the frames."""
    return [
        frame["params"]["update"] for frame in frames if frame.get("method") == "session/update"
    ]


@cache
def _schema() -> Json:
    return json.loads(SCHEMA.read_text())


@cache
def _definitions() -> dict[tuple[str, str], str]:
    """Map (side that handles it, method) to the definition of what we send for it."""
    return {
        (definition["x-side"], definition["x-method"]): name
        for name, definition in _schema()["$defs"].items()
        if "x-method" in definition
        and name.endswith("Response") == (definition["x-side"] == "agent")
    }


def _check(name: str, value: object) -> None:
    _validator(name).validate(value)


@cache
def _validator(name: str) -> Any:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": _schema()["$defs"]})
