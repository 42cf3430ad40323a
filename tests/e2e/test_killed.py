"""The real agent, killed at any moment: every session loads, and nothing that was said is lost."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from acp_agent.client import LocalHost, allow, open_client
from tests.recording.coalescing import asked, coalesced

pytestmark = pytest.mark.anyio

Env = dict[str, str]
Json = dict[str, Any]

KILLS, TURNS, FRAMES = 40, 3, 100
SCRIPT = """
on "work":
  think I look first.
  call list_files {}

  preamble I write.
  call write_file {"path": "new.txt", "content": "one\\n"}

  say Done, **all** of it: one two three four five six seven eight nine ten.

otherwise:
  say Hello 👋.
"""


@dataclass
class Heard:
    """What a client saw of a session until its agent was killed; `answered` prompts."""

    session_id: str = ""
    answered: int = 0
    updates: list[Json] = field(default_factory=list[Json])
    until_answer: list[int] = field(default_factory=lambda: [0])

    def hear(self, frame: Json) -> bool:
        """Take a frame; return whether the next prompt is due."""
        if "method" in frame:
            self.updates.append(frame["params"]["update"])
            return False
        if "sessionId" in frame["result"]:
            self.session_id = frame["result"]["sessionId"]
            return True
        if "stopReason" in frame["result"]:
            self.answered += 1
            self.until_answer.append(len(self.updates))
            return self.answered < TURNS
        return False

    def whole(self) -> list[Json]:
        """Return what was seen of the turns that were answered, with their prompts."""
        seen: list[Json] = []
        for number, (begin, end) in enumerate(
            zip(self.until_answer, self.until_answer[1:], strict=False), 1
        ):
            seen += [asked(number, "work"), *self.updates[begin:end]]
        return seen


def request(number: int, method: str, params: Json) -> bytes:
    frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(frame).encode() + b"\n"


async def killed(env: Env, workspace: Path, script: Path, frames: int, pause: float) -> Heard:
    """Prompt an agent, one prompt after the other, and kill it after so many frames."""
    heard = Heard()
    command = [sys.executable, "-m", "acp_agent", "serve", "--script", str(script)]
    command += ["--approvals", "full"]
    async with await anyio.open_process(command, env=env, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdin.send(
            request(0, "initialize", {"protocolVersion": 1, "clientCapabilities": {}})
            + request(1, "session/new", {"cwd": str(workspace), "mcpServers": []})
        )
        lines = BufferedByteReceiveStream(process.stdout)
        for _ in range(frames):
            frame = json.loads(await lines.receive_until(b"\n", 1_000_000))
            if heard.hear(frame):
                prompt = [{"type": "text", "text": "work"}]
                params: Json = {"sessionId": heard.session_id, "prompt": prompt}
                await process.stdin.send(request(2 + heard.answered, "session/prompt", params))
            if heard.answered == TURNS:
                break
        await anyio.sleep(pause)
        process.kill()
    return heard


def is_within(seen: Sequence[Json], replayed: Sequence[Json]) -> bool:
    """Tell whether each message that was seen is there, no shorter, and each call."""
    texts = {u["messageId"]: u["content"]["text"] for u in replayed if "messageId" in u}
    calls = {u["toolCallId"] for u in replayed if "toolCallId" in u}
    return all(
        texts.get(update["messageId"], "").startswith(update["content"]["text"])
        for update in coalesced(seen)
        if "messageId" in update
    ) and all(update["toolCallId"] in calls for update in seen if "toolCallId" in update)


async def test_an_agent_that_is_killed_has_lost_nothing_that_was_said(
    world: Env, workspace: Path, tmp_path: Path
) -> None:
    env = world | {"XDG_STATE_HOME": str(tmp_path / "state")}
    script = tmp_path / "script.txt"
    script.write_text(dedent(SCRIPT))
    chance = random.Random(6)
    points = [(chance.randrange(2, FRAMES), chance.random() / 200) for _ in range(KILLS)]
    found: list[Heard] = []

    async def kill_each(points: Sequence[tuple[int, float]]) -> None:
        for frames, pause in points:
            found.append(await killed(env, workspace, script, frames, pause))

    with anyio.fail_after(120):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill_each, points[::2])
            tasks.start_soon(kill_each, points[1::2])
    assert {heard.answered for heard in found} >= {0, 1, 2}
    command = [sys.executable, "-m", "acp_agent", "serve", "--script", str(script)]
    with anyio.fail_after(60):
        async with open_client(command, LocalHost(workspace, allow), env=env) as client:
            for heard in found:
                if not heard.updates:
                    continue
                replayed: list[Json] = []
                loaded = await client.load_session(heard.session_id, workspace, replayed.append)
                assert is_within(heard.updates, coalesced(replayed))
                shown = coalesced(replayed)
                next_turn = asked(heard.answered + 1, "work")
                end = shown.index(next_turn) if next_turn in shown else len(shown)
                whole = coalesced(heard.whole())
                usage = "usage_update"  # is shown once, at its last
                assert [u for u in shown[:end] if u["sessionUpdate"] != usage] == [
                    u for u in whole if u["sessionUpdate"] != usage
                ]
                assert await loaded.prompt("hello") == "end_turn"
                await loaded.close()
