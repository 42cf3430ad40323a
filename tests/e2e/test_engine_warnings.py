"""What the look at the machine before a model is loaded says reaches the user, in every way."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from acp_agent.engine.nano import ensure_nano
from tests.e2e.agent import open_agent
from tests.e2e.commands import agent, answer

pytestmark = pytest.mark.anyio

Env = dict[str, str]
WORDS = "the context is 8192 tokens instead of 16384: the model has no more"
KEY = b"gpt-oss.context_length"


@pytest.fixture
def small(apart: Env, tmp_path: Path) -> Env:
    """Give an environment whose model has less context than its settings ask for."""
    weights = bytearray(ensure_nano(cache=Path(apart["XDG_CACHE_HOME"]) / "acp-agent").read_bytes())
    value = weights.index(KEY) + len(KEY) + 4  # after the type
    weights[value : value + 4] = struct.pack("<I", 8192)
    path = tmp_path / "gpt-oss-small.gguf"
    path.write_bytes(weights)
    return apart | {"GPT_OSS_GGUF_MODEL_PATH": str(path), "GPT_OSS_CTX": "16384"}


async def test_an_editor_is_told_once_in_a_session(small: Env, workspace: Path) -> None:
    async with open_agent(small) as opened:
        session = await opened.new_session(workspace)
        turns = [await session.prompt("hello"), await session.prompt("hello")]
        other = await (await opened.new_session(workspace)).prompt("hello")
    assert [turn.thoughts.count(WORDS) for turn in (*turns, other)] == [1, 0, 1]
    assert all(turn.answer.startswith("Hello") for turn in (*turns, other))


def test_every_verb_says_the_same(small: Env) -> None:
    started = agent(small, "engine", "start")
    assert f"warning: {WORDS}\n" in started.stderr
    assert answer(agent(small, "engine", "start", "--json"))["warnings"] == [WORDS]
    assert f"warning: {WORDS}\n" in agent(small, "engine", "status", "--no-sample").stdout
    assert WORDS in agent(small, "run", "hello").stderr
