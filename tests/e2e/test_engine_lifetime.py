"""`acp-agent engine start | stop | logs` with the real engine: what runs, and for how long."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from acp_agent.backends.endpoint import Endpoint
from acp_agent.engine.facts import read_facts
from acp_agent.engine.nano import ensure_nano
from acp_agent.engine.process import command_of
from acp_agent.engine.questions import ask
from acp_agent.errors import BackendError
from tests.e2e.commands import AGENT, agent, answer
from tests.e2e.engines import engines
from tests.e2e.processes import PATIENCE, until
from tests.engine.waiting import until as come_true

pytestmark = pytest.mark.anyio

Env = dict[str, str]
LINGER = "ACP_AGENT_ENGINE_LINGER_SECS"
TOKENS = 3000  # some seconds


@pytest.fixture
def nano(apart: Env) -> Path:
    """Give the demo weights as a file that somebody has of their own."""
    return ensure_nano(cache=Path(apart["XDG_CACHE_HOME"]) / "acp-agent")


@pytest.fixture
def taken() -> Iterator[int]:
    """Give a port at which something listens that is no engine."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_start_prints_where_the_engine_is_and_it_stays_without_an_agent(apart: Env) -> None:
    ran = agent(apart, "engine", "start", "--demo")
    (engine,) = engines(apart)
    assert (ran.returncode, ran.stdout) == (0, f"Ready: {engine.url}\n")
    assert apart[LINGER] == "0.2"
    with anyio.move_on_after(1):
        await until(lambda: not engines(apart))
    assert [left.pid for left in engines(apart)] == [engine.pid]


async def test_start_finds_what_it_started_and_says_that_it_is_the_same(apart: Env) -> None:
    first = answer(agent(apart, "engine", "start", "--demo", "--json"))
    again = agent(apart, "engine", "start", "--demo")
    assert (first["was_running"], first["own"], first["differs"]) == (False, True, [])
    assert again.stdout == f"Ready: {first['url']}\n"
    assert f"running already (ours, pid {first['pid']}), and is as asked for" in again.stderr


@pytest.mark.parametrize("size", [2048, 131_072])
def test_the_demo_weights_get_the_context_that_is_asked_for(apart: Env, size: int) -> None:
    env = apart | {"GPT_OSS_CTX": str(size)}
    assert answer(agent(env, "engine", "start", "--demo", "--json"))["context"] == size
    assert agent(env, "run", "--demo", "hello").returncode == 0


async def test_start_keeps_the_engine_of_an_agent(apart: Env) -> None:
    env = apart | {LINGER: "2"}
    assert agent(env, "run", "--demo", "hello").returncode == 0
    (before,) = engines(env)
    found = answer(agent(env, "engine", "start", "--demo", "--json"))
    assert (found["pid"], found["was_running"]) == (before.pid, True)
    with anyio.move_on_after(4):
        await until(lambda: not engines(env))
    assert [left.pid for left in engines(env)] == [before.pid]


async def test_an_engine_that_was_started_serves_agents_of_other_ports(
    apart: Env, nano: Path
) -> None:
    env = apart | {"GPT_OSS_GGUF_MODEL_PATH": str(nano)}
    port = free_port()
    started = answer(agent(env, "engine", "start", "--port", str(port), "--json"))
    assert started["url"] == f"http://127.0.0.1:{port}"
    assert agent(env, "run", "hello").returncode == 0
    assert [engine.pid for engine in engines(env)] == [started["pid"]]


async def test_an_agent_at_the_address_of_our_engine_needs_no_key(apart: Env) -> None:
    started = answer(agent(apart, "engine", "start", "--demo", "--json"))
    env = apart | {"GPT_OSS_URL": started["url"].replace("127.0.0.1", "localhost")}
    assert agent(env, "run", "hello").returncode == 0


async def test_start_says_how_the_engine_at_the_port_differs(apart: Env, nano: Path) -> None:
    env = apart | {"GPT_OSS_GGUF_MODEL_PATH": str(nano), "GPT_OSS_PORT": str(free_port())}
    first = answer(agent(env | {"GPT_OSS_CTX": "2048"}, "engine", "start", "--json"))
    other = agent(env | {"GPT_OSS_CTX": "4096"}, "engine", "start")
    assert (other.returncode, other.stdout) == (0, f"Ready: {first['url']}\n")
    assert "not as asked for: its context is 2048, not 4096; `acp-agent eng" in other.stderr


async def test_start_at_a_server_that_is_not_ours_leaves_it_as_it_is(
    world: Env, apart: Env
) -> None:
    async with lent(world) as endpoint:
        env = apart | {"GPT_OSS_URL": endpoint.url, "GPT_OSS_API_KEY": endpoint.key}
        ran = agent(env, "engine", "start")
        assert (ran.returncode, ran.stdout) == (0, f"Ready: {endpoint.url}\n")
        assert "running already (not ours: it is left as it is)" in ran.stderr
        stopped = agent(env, "engine", "stop")
        assert (stopped.returncode, stopped.stdout) == (1, "")
        assert f"{endpoint.url} is no engine of ours, so it is left running" in stopped.stderr
        assert agent(env, "engine", "query", "hello").returncode == 0
    assert engines(apart) == []


async def test_start_exports_what_other_programs_need(apart: Env) -> None:
    ran = agent(apart, "engine", "start", "--demo", "--export")
    (engine,) = engines(apart)
    assert ran.stdout == f"export GPT_OSS_URL={engine.url} GPT_OSS_API_KEY={engine.key}\n"


async def test_start_says_what_is_wrong_with_the_program_that_was_named(
    apart: Env, nano: Path
) -> None:
    env = apart | {"LLAMA_SERVER": "/nowhere"}
    ran = agent(env, "engine", "start", "--model-path", str(nano))
    assert ran.returncode == 0
    assert "warning: passed over: /nowhere cannot be run (No such file or directory)" in ran.stderr


async def test_start_links_the_log_that_was_named(apart: Env, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("of long ago")
    assert agent(apart | {"GPT_OSS_LOG": str(log)}, "engine", "start", "--demo").returncode == 0
    assert "nano" in log.read_text()


async def test_start_without_a_model_says_what_to_set(modelless: Env, apart: Env) -> None:
    env = modelless | {"XDG_RUNTIME_DIR": apart["XDG_RUNTIME_DIR"]}
    ran = agent(env, "engine", "start")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("acp-agent: no gpt-oss model was found")


async def test_start_at_a_port_in_use_says_so(apart: Env, nano: Path, taken: int) -> None:
    ran = agent(apart, "engine", "start", "--model-path", str(nano), "--port", str(taken))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"port {taken} is in use; set GPT_OSS_PORT to another one" in ran.stderr


@pytest.mark.parametrize("name", ["no such file", "no gguf"])
async def test_start_of_weights_that_are_none_says_so(
    apart: Env, tmp_path: Path, name: str
) -> None:
    file = tmp_path / f"{name}.gguf"
    if name == "no gguf":
        file.write_text("hello")
    ran = agent(apart, "engine", "start", "--model-path", str(file))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert str(file) in ran.stderr


async def test_stop_ends_the_engine_and_leaves_nothing_of_it(apart: Env) -> None:
    started = answer(agent(apart, "engine", "start", "--demo", "--json"))
    ran = agent(apart, "engine", "stop")
    assert ran.returncode == 0
    assert re.fullmatch(
        rf"stopped: nano\S+ at {started['url']} \(pid {started['pid']}\)\n", ran.stdout
    )
    assert list(Path(apart["XDG_RUNTIME_DIR"]).glob("acp-agent/*")) == []
    await until(lambda: not command_of(started["pid"]))


async def test_an_engine_that_was_killed_is_mourned_and_started_anew(apart: Env) -> None:
    first = answer(agent(apart, "engine", "start", "--demo", "--json"))
    os.kill(first["pid"], signal.SIGKILL)
    await until(lambda: not command_of(first["pid"]))
    ran = agent(apart, "engine", "query", "hello")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "no engine runs; start one with `acp-agent engine start` (the last one" in ran.stderr
    second = answer(agent(apart, "engine", "start", "--demo", "--json"))
    assert (second["was_running"], second["pid"] != first["pid"]) == (False, True)


async def test_stop_with_nothing_to_stop_says_so_and_goes_well(apart: Env) -> None:
    ran = agent(apart, "engine", "stop")
    assert (ran.returncode, ran.stdout, ran.stderr) == (
        0,
        "",
        "nothing to stop: no engine of ours runs\n",
    )
    assert answer(agent(apart, "engine", "stop", "--all", "--json")) == {
        "stopped": [],
        "killed": [],
    }


async def test_stop_asks_which_of_two_and_all_ends_both(apart: Env, nano: Path) -> None:
    first = answer(agent(apart, "engine", "start", "--demo", "--json"))
    own = ("--model-path", str(nano))
    second = answer(agent(apart | {"GPT_OSS_CTX": "2048"}, "engine", "start", *own, "--json"))
    ran = agent(apart, "engine", "stop")
    assert ran.returncode == 1
    assert "which one?" in ran.stderr
    assert first["url"] in ran.stderr
    every = answer(agent(apart, "engine", "stop", "--all", "--json"))
    assert {each["pid"] for each in every["stopped"]} == {first["pid"], second["pid"]}
    assert engines(apart) == []


async def test_stop_waits_for_an_answer(apart: Env) -> None:
    async with asking(apart) as answers:
        ran = agent(apart, "engine", "stop")
    assert ran.returncode == 0
    assert "is answering, and is ended after that; --now ends it now" in ran.stderr
    assert [answer["tokens_predicted"] for answer in answers] == [TOKENS]


async def test_stop_now_cuts_the_answer(apart: Env) -> None:
    async with asking(apart) as answers:
        assert agent(apart, "engine", "stop", "--now").returncode == 0
    assert answers == []


async def test_logs_shows_the_end_and_follows_until_the_engine_ends(apart: Env) -> None:
    agent(apart, "engine", "start", "--demo")
    shown = agent(apart, "engine", "logs", "-n", "2")
    assert (shown.returncode, len(shown.stdout.splitlines())) == (0, 2)
    with begun(apart, "engine", "logs", "-f", "-n", "0", "--json") as following:
        assert following.stdout is not None
        agent(apart, "engine", "query", "--demo", "hello")
        assert "line" in json.loads(following.stdout.readline())
        agent(apart, "engine", "stop")
        following.communicate(timeout=PATIENCE)
    assert following.returncode == 0
    after = agent(apart, "engine", "logs")
    assert (after.returncode, len(after.stdout.splitlines())) == (0, 20)


async def test_logs_without_any_says_so(apart: Env, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    ran = agent(apart | {"XDG_STATE_HOME": str(tmp_path / "state")}, "engine", "logs")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "acp-agent: there is no log: no engine of ours has run yet\n"


def begun(env: Env, *args: str) -> subprocess.Popen[str]:
    """Begin a command that takes long."""
    return subprocess.Popen(
        [*AGENT, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@asynccontextmanager
async def asking(env: Env) -> AsyncGenerator[list[Any]]:
    """Give the answers of an engine that is giving a long one."""
    answers: list[Any] = []
    started = answer(agent(env, "engine", "start", "--demo", "--json"))
    (engine,) = (each for each in engines(env) if each.pid == started["pid"])
    endpoint = Endpoint(engine.url, engine.key)

    async def listen() -> None:
        with suppress(BackendError):
            value = {"prompt": [1], "n_predict": TOKENS, "ignore_eos": True}
            answers.append((await ask(endpoint, "/completion", value, seconds=None)).fields())

    async def busy() -> bool:
        return bool((await read_facts(endpoint)).busy)

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        await come_true(busy)
        yield answers


@asynccontextmanager
async def lent(env: Env) -> AsyncGenerator[Endpoint]:
    """Run an engine of somebody else's, as seen from another runtime directory."""
    started = answer(agent(env, "engine", "start", "--demo", "--json"))
    (engine,) = (each for each in engines(env) if each.pid == started["pid"])
    yield Endpoint(engine.url, engine.key)
