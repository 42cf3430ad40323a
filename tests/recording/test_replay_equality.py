"""What a session that is loaded shows is what was shown live, whatever was said and done."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from acp_agent import app
from acp_agent.config import Settings
from acp_agent.offer import session_options
from acp_agent.protocol.agent import Agent
from acp_agent.recorders import Recorders
from acp_agent.toolkit import Toolkit
from acp_agent.voices import Voices, open_engines
from tests.protocol.harness import Client, connected, updates
from tests.recording.coalescing import asked, coalesced

Json = dict[str, Any]

WORDS = st.text("ab é👋*_`", min_size=1, max_size=30).map(lambda text: f"w{text.strip()}w")
CALLS = st.sampled_from(
    [
        "call list_files {}",
        'call write_file {"path": "a.txt", "content": "one"}',
        'call write_file {"path": "a.txt", "content": "two"}',
        'call read_file {"path": "missing"}',
        """call shell {"command": "printf 'one\\\\ntwo'"}""",
        'call shell {"command": "printf x; exit 3"}',
        'call update_plan {"plan": [{"step": "one", "status": "in_progress"}]}',
        "call nothing_like_it {}",
        "call shell {broken",
    ]
)
MIDDLE = st.one_of(
    st.builds("think {}".format, WORDS), st.builds("preamble {}".format, WORDS), CALLS
)
LAST = st.one_of(
    st.builds("say {}".format, WORDS),
    st.builds("begin {}\n  limit".format, WORDS),
    st.builds("begin {}\n  drop".format, WORDS),
    st.builds("think {}\n  fail it broke".format, WORDS),
    st.builds("overflow\n\n  say {}".format, WORDS),
)


def _answer(steps: list[str], last: str) -> list[str]:
    return [*steps, last]


ANSWER = st.builds(_answer, st.lists(MIDDLE, max_size=4), LAST)
COMMANDS = st.sampled_from(["/compact", "/status", "/help", "/diff"])
CLIENTS: list[Json] = [
    {},
    {"_meta": {"terminal_output": True}},
    {"session": {"compaction": {}, "notices": {}}},
]


@asynccontextmanager
async def agent(script: Path) -> AsyncGenerator[Client]:
    """Run all of the agent but its process."""
    chosen = Settings(script=str(script), approvals="full", shell_sandbox="off", sandbox="off")
    async with open_engines(chosen) as engines, anyio.create_task_group() as tasks:
        toolkit = Toolkit(chosen, {}, tasks.start_soon)
        recorders = Recorders(chosen, engines.memory)
        voices = Voices(chosen, {}, engines)
        core = partial(app.open_session, chosen, {}, voices, None, toolkit, recorders)
        made = Agent(lambda: session_options(chosen, {}, ""), "0")
        async with connected(agent=made, core=core, store=recorders.store()) as client:
            yield client
        tasks.cancel_scope.cancel()


async def load(client: Client, session_id: str, cwd: str, capabilities: Json) -> list[Json]:
    initialize: Json = {"protocolVersion": 1, "clientCapabilities": capabilities}
    await client.result("initialize", initialize)
    params: Json = {"sessionId": session_id, "cwd": cwd, "mcpServers": []}
    client.session_id = session_id
    return updates(await client.until_answer(client.ask("session/load", params)))


async def prompts(client: Client, words: Sequence[str], first: int) -> list[Json]:
    """Return what a client sees that shows its own prompts too."""
    seen: list[Json] = []
    for number, prompt in enumerate(words, first):
        frames = await client.until_answer(client.prompt(prompt))
        seen += [asked(number, prompt), *updates(frames)]
    return seen


async def play(script: str, words: Sequence[str], capabilities: Json) -> None:
    """Say one half in a process, load it in another, say the rest there, and load that."""
    with tempfile.TemporaryDirectory() as folder:
        file, cwd = Path(folder, "script.txt"), str(Path(folder, "work"))
        file.write_text(script)
        Path(cwd).mkdir()
        half = len(words) // 2
        async with agent(file) as client:
            session_id = await client.open(capabilities, cwd)
            live = await prompts(client, words[:half], 1)
        async with agent(file) as client:
            if half:
                assert coalesced(await load(client, session_id, cwd, capabilities)) == coalesced(
                    live
                )
            else:
                session_id = await client.open(capabilities, cwd)
            live += await prompts(client, words[half:], 1 + half)
        async with agent(file) as client:
            assert coalesced(await load(client, session_id, cwd, capabilities)) == coalesced(live)


@pytest.mark.parametrize("capabilities", CLIENTS, ids=["plain", "terminals", "compaction"])
@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(ANSWER | COMMANDS, min_size=1, max_size=5))
@example([["say one"], "/compact", ["say two"], ["say three"], "/compact"])
@example([["call list_files {}", "say one"], ["overflow", "say two"]])
def test_a_session_is_loaded_as_it_was_said(
    home: Path, capabilities: Json, turns: list[list[str] | str]
) -> None:
    script, words = "", list[str]()
    for number, turn in enumerate(turns):
        if isinstance(turn, str):
            words.append(turn)
        else:
            words.append(f"p{number}")
            script += f"on {json.dumps(words[-1])}:\n  " + "\n\n  ".join(turn) + "\n\n"
    script += "otherwise:\n  say a summary\n"
    anyio.run(play, script, words, capabilities)
