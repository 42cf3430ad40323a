"""Another provider's model, by `provider:model_id`, with the real agent process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from acp import RequestError

from scripts.nano_dialogues import LIST
from tests.e2e.agent import open_agent
from tests.e2e.engines import running_engine
from tests.e2e.processes import PATIENCE

pytestmark = pytest.mark.anyio

Env = dict[str, str]


@pytest.mark.parametrize("provider", ["openai_chat", "openai_responses"])
async def test_a_servers_own_chat_api_answers_and_calls_tools(
    apart: Env, workspace: Path, provider: str
) -> None:
    async with running_engine(apart) as engine:
        address = {"OPENAI_BASE_URL": engine.url, "OPENAI_API_KEY": engine.key}
        env = apart | address | {"GPT_OSS_TEMPERATURE": "0"}
        async with open_agent(env, "--model", f"{provider}:") as agent:
            turn = await (await agent.new_session(workspace)).prompt("list the files")
    assert (turn.stop, turn.answer) == ("end_turn", LIST.answer.text)
    [call] = turn.calls
    assert (call["name"], call["status"]) == ("list_files", "completed")


@pytest.mark.parametrize("provider", ["openai_chat", "openai_responses"])
async def test_a_model_that_the_server_has_not_is_named_with_those_it_has(
    apart: Env, workspace: Path, provider: str
) -> None:
    async with running_engine(apart) as engine:
        env = apart | {"OPENAI_BASE_URL": engine.url, "OPENAI_API_KEY": engine.key}
        async with open_agent(env, "--model", f"{provider}:gpt-oss:7b") as agent:
            session = await agent.new_session(workspace)
            with pytest.raises(RequestError, match="unknown model 'gpt-oss:7b'; known: nano-"):
                await session.prompt("hello")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nowhere:x", "unknown provider 'nowhere' in 'nowhere:x'; known: ollama, lmstudio"),
        ("openai_chat:x", "openai_chat has no address; set OPENAI_BASE_URL"),
    ],
)
@pytest.mark.parametrize("verb", [["serve"], ["run", "hello"]], ids=["serve", "run"])
def test_a_provider_that_cannot_be_is_named_at_the_start(
    modelless: Env, verb: list[str], model: str, words: str
) -> None:
    command = [sys.executable, "-m", "acp_agent", verb[0], "--model", model, *verb[1:]]
    ran = subprocess.run(
        command,
        env=modelless,
        input="",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"acp-agent: {words}")
    assert ran.stderr.count("\n") == 1


def test_a_provider_that_is_not_there_says_what_to_do(modelless: Env) -> None:
    env = modelless | {"OLLAMA_BASE_URL": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "acp_agent", "run", "--model", "ollama:gpt-oss:20b", "hello"]
    ran = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ran.returncode == 1
    assert "start Ollama there, or set OLLAMA_BASE_URL" in ran.stderr
