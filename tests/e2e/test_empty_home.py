"""From an empty home directory to an answer: the offer, the download, the engine, the words."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from acp_agent.engine.nano import ensure_nano
from tests.e2e.agent import open_agent
from tests.e2e.commands import AGENT, agent
from tests.e2e.editor import Editor, choose
from tests.e2e.engines import end_engines, engines
from tests.e2e.processes import PATIENCE
from tests.e2e.turn import Json
from tests.models.hub_server import Fault, Hub, hub_server

pytestmark = pytest.mark.anyio

REPOSITORY = "me/nano-GGUF"
ENTRY = f"""
["gpt-oss-20b"]
hub = "{REPOSITORY}"
files = ["*.gguf"]
licence = "Apache-2.0"
title = "the demo weights, by the name of the real ones"
size_gb = 0.06
memory_gb = 1
"""
LINES = [
    "No gpt-oss model is ready on this machine.  ",
    "gpt-oss-20b (60.0 MB, licence Apache-2.0) can be installed: answer the question below, or run"
    " `acp-agent models install gpt-oss-20b` in a terminal.  ",
    "If you have one: set GPT_OSS_GGUF_MODEL_PATH to a GGUF file, or GPT_OSS_URL to a llama.cpp"
    " server that runs.",
]

Env = dict[str, str]


def something_at_8000() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", 8000)) == 0


@pytest.fixture
def hub(world: Env, tmp_path: Path) -> Iterator[Hub]:
    """Give a hub that has nano, and sends it slowly enough to be watched."""
    published = tmp_path / "published"
    published.mkdir()
    nano = ensure_nano(cache=Path(world["XDG_CACHE_HOME"]) / "acp-agent")
    (published / "gpt-oss-20b-mxfp4.gguf").symlink_to(nano)
    with hub_server() as hub:
        hub.publish(REPOSITORY, published)
        hub.faults.append(Fault("store", pace=0.002, times=2))
        yield hub


@pytest.fixture
def empty(hub: Hub, tmp_path: Path) -> Iterator[Env]:
    """Give the environment of a user who has nothing yet but the address of that hub."""
    if something_at_8000():  # where an agent without a model looks for a server
        pytest.skip("a server runs at port 8000")
    home, runtime = tmp_path / "home", tmp_path / "run"
    runtime.mkdir(mode=0o700)
    (home / ".config" / "acp-agent").mkdir(parents=True)
    (home / ".config" / "acp-agent" / "models.toml").write_text(ENTRY)
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home)}
    env |= {"XDG_RUNTIME_DIR": str(runtime), "ACP_AGENT_ENGINE_LINGER_SECS": "0.2"}
    yield env | {"LLAMA_SERVER": "off", "HF_ENDPOINT": hub.endpoint, "NO_PROXY": "127.0.0.1"}
    end_engines(env)


def told(updates: list[Json], call: Json) -> list[str]:
    """Return everything that a call has shown, in order."""
    mine = [update for update in updates if update.get("toolCallId") == call["toolCallId"]]
    return [part["content"]["text"] for update in mine for part in update.get("content", ())]


async def test_from_an_empty_home_to_an_answer(empty: Env, hub: Hub, workspace: Path) -> None:
    async with open_agent(empty) as opened:
        session = await opened.new_session(workspace)
        turn = await session.prompt("hello")
        (asked,) = opened.editor.questions
        (call,) = turn.calls
        assert turn.stop == "end_turn"
        assert call["title"] == asked["title"] == "Install gpt-oss-20b (60.0 MB)"
        assert turn.statuses(call) == ["pending", "in_progress", "completed"]
        licence, *progress, last = told(turn.updates, call)
        assert "TERMS AND CONDITIONS FOR USE" in licence
        assert any(text.startswith("downloading ") for text in progress)
        assert last == "It is installed."
        *said, answer = turn.answer.splitlines()
        assert (said, answer[:5]) == (LINES, "Hello")
        downloads = len(hub.ranges())
        assert (await session.prompt("hello")).answer == answer
        async with open_agent(empty) as second:
            other = await second.new_session(workspace)
            assert (await other.prompt("hello")).answer == answer
            assert second.editor.questions == []
            assert len(engines(empty)) == 1
    assert len(hub.ranges()) == downloads
    verified = agent(empty, "models", "verify")
    assert verified.stdout == "gpt-oss-20b is whole: 1 file, 60.3 MB\n"
    assert "licence Apache-2.0, accepted 2" in agent(empty, "models", "status").stdout


async def test_who_does_not_want_a_model_keeps_the_three_lines(
    empty: Env, hub: Hub, workspace: Path
) -> None:
    async with open_agent(empty, editor=Editor(choose("reject_once"))) as opened:
        session = await opened.new_session(workspace)
        turn = await session.prompt("hello")
    # Editors take away a prompt that was answered by a refusal, and all that was said to it.
    assert turn.stop == "end_turn"
    assert turn.answer.splitlines() == LINES
    assert [call["status"] for call in turn.calls] == ["failed"]
    assert hub.asked == []


def on_a_terminal(env: Env, *args: str, types: str) -> tuple[int, str, str]:
    """Return exit code, stdout, and what a user sees beside it who types `types`."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*AGENT, *args], env=env, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        os.write(ours, types.encode())
        seen = bytearray()
        with suppress(OSError):  # how Linux tells that the other side is closed
            while piece := os.read(ours, 65_536):
                seen += piece
        out, _ = process.communicate(timeout=PATIENCE)
    os.close(ours)
    return process.returncode, out, seen.decode()


def test_run_on_a_terminal_installs_the_model_first(empty: Env) -> None:
    code, out, seen = on_a_terminal(empty, "run", "hello", types="y\n")
    assert (code, out[:5], out.count("\n")) == (0, "Hello", 1)
    assert "gpt-oss-20b comes under the licence Apache-2.0" in seen
    assert "downloading " in seen
    assert "gpt-oss-20b is installed (60.3 MB)" in seen


def test_run_sends_nothing_if_the_licence_is_not_accepted(empty: Env) -> None:
    code, out, seen = on_a_terminal(empty, "run", "hello", types="n\n")
    assert (code, out) == (1, "")
    assert "gpt-oss-20b is not installed, for its licence was not accepted" in seen


def test_run_where_nobody_can_be_asked_says_what_to_do(empty: Env, hub: Hub) -> None:
    ran = agent(empty, "run", "hello")
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert "or install one with: acp-agent models install gpt-oss-20b" in ran.stderr
    assert hub.asked == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"GPT_OSS_URL": "http://127.0.0.1:9"}, "the engine is the one at http://127.0.0.1:9"),
        ({"GPT_OSS_MODEL": "ollama:gpt-oss:20b"}, "the model is ollama:gpt-oss:20b"),
    ],
)
def test_setup_leaves_what_the_settings_name(empty: Env, settings: Env, words: str) -> None:
    ran = agent(empty | settings, "serve", "--setup")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.startswith(f"Nothing to set up: {words}")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "gpt-oss-20b"),
        ({"GPT_OSS_MODEL": "GPT-OSS-120B"}, "gpt-oss-120b"),
        ({"GPT_OSS_MODEL": "mine"}, "mine"),
        ({"GPT_OSS_MODEL": "unheard-of"}, "gpt-oss-20b"),
        ({"GPT_OSS_MODEL": "gpt-oss-20b-mlx"}, "gpt-oss-20b"),
        ({"ACP_AGENT_MODE": "gptoss_120b"}, "gpt-oss-120b"),
    ],
)
def test_setup_installs_what_the_settings_name(empty: Env, settings: Env, name: str) -> None:
    entries = Path(empty["HOME"]) / ".config" / "acp-agent" / "models.toml"
    for other in ("gpt-oss-120b", "mine"):
        entries.write_text(entries.read_text() + ENTRY.replace("gpt-oss-20b", other))
    code, _, seen = on_a_terminal(empty | settings, "serve", "--setup", types="n\n")
    assert code == 1
    assert f"No gpt-oss model is ready on this machine; this installs {name}.\r\n" in seen
    assert f"{name} comes under the licence Apache-2.0" in seen


def test_setup_for_a_mode_says_how_to_have_it(empty: Env) -> None:
    entries = Path(empty["HOME"]) / ".config" / "acp-agent" / "models.toml"
    entries.write_text(ENTRY.replace("gpt-oss-20b", "gpt-oss-120b"))
    env = empty | {"ACP_AGENT_MODE": "gptoss_120b"}
    code, _, seen = on_a_terminal(env, "serve", "--setup", types="y\n")
    assert code == 0
    assert seen.endswith("Set GPT_OSS_MODEL=gpt-oss-120b: mode gptoss_120b is on offer then.\r\n")
    ran = agent(env | {"GPT_OSS_MODEL": "gpt-oss-120b"}, "run", "hello")
    assert (ran.returncode, ran.stdout[:5]) == (0, "Hello")


def test_a_damaged_model_is_not_missing(empty: Env) -> None:
    assert agent(empty, "models", "install", "gpt-oss-20b", "--accept-license").returncode == 0
    (weights,) = Path(empty["HOME"]).rglob("gpt-oss-20b-mxfp4.gguf")
    os.truncate(weights, 1000)
    ran = agent(empty, "run", "hello")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "acp-agent: no gpt-oss model is ready: gpt-oss-20b is installed and damaged"
        " (gpt-oss-20b-mxfp4.gguf has 1000 bytes instead of 60270048); mend it with:"
        " acp-agent models repair gpt-oss-20b\n"
    )
