"""The scripts of the documented names, through bash, with the real engine and nano."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from acp_agent.engine.nano import ensure_nano
from tests.e2e.commands import SCRIPTS, run, script
from tests.e2e.engines import end_engines, engines

Env = dict[str, str]
LOOP = "while true; do curl -s http://localhost:9/v1/completions; sleep 1; done"


@pytest.fixture(scope="module")
def fast(world: Env, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Env]:
    """Give an environment in which gpt-oss-fast.sh has said that it is ready."""
    base = tmp_path_factory.mktemp("fast")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = world | {
        "XDG_RUNTIME_DIR": str(base),
        "GPT_OSS_GGUF_MODEL_PATH": str(
            ensure_nano(cache=Path(world["XDG_CACHE_HOME"]) / "acp-agent")
        ),
        "GPT_OSS_CTX": "4096",
        "GPT_OSS_PORT": str(port),
        "GPT_OSS_KEEPALIVE_PID_FILE": str(base / "keepalive.pid"),
    }
    ran = script(env, "gpt-oss-fast.sh")
    assert (ran.returncode, ran.stdout) == (0, f"Ready: http://127.0.0.1:{port}\n")
    assert "warm: 2 requests in " in ran.stderr
    yield env
    end_engines(env)


def test_a_second_fast_finds_the_first_and_warms_only_if_forced(fast: Env) -> None:
    again = script(fast, "gpt-oss-fast.sh")
    assert again.stdout == f"Ready: http://127.0.0.1:{fast['GPT_OSS_PORT']}\n"
    assert "running already (ours" in again.stderr
    assert "warm:" not in again.stderr
    forced = script(fast | {"GPT_OSS_FORCE_WARMUP": "1"}, "gpt-oss-fast.sh")
    assert "warm: 2 requests in " in forced.stderr


def test_fast_without_a_model_is_1(world: Env, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.gguf")
    env = world | {"XDG_RUNTIME_DIR": str(tmp_path), "GPT_OSS_GGUF_MODEL_PATH": missing}
    ran = script(env, "gpt-oss-fast.sh")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert missing in ran.stderr


def test_query_prints_the_text_whatever_the_prompt_holds(fast: Env) -> None:
    for prompt in ("hello", "'\"; import os; \\", "$(touch /tmp/never) <|end|>"):
        ran = script(fast, "gpt-oss-query.sh", prompt)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.endswith("\n")
    assert script(fast, "gpt-oss-query.sh").returncode == 2


def test_bench_prints_what_it_always_printed(fast: Env) -> None:
    ran = script(fast | {"GPT_OSS_SLEEP_SECS": "0"}, "gpt-oss-bench.sh", "2")
    assert ran.returncode == 0
    assert re.search(
        r"^\d+ms.*\n\d+ms.*\nruns: 2\nmin: \d+ms\np50: \d+ms\np95: \d+ms\nmax: \d+ms\n", ran.stdout
    )


def test_status_prints_health_keepalive_and_timings(fast: Env) -> None:
    ran = script(fast, "gpt-oss-status.sh")
    assert ran.returncode == 0
    assert re.search(r"^health: ok$", ran.stdout, re.MULTILINE)
    assert re.search(r"^keepalive: ", ran.stdout, re.MULTILINE)
    assert re.search(r'^timings: \{.*"predicted_per_second": ', ran.stdout, re.MULTILINE)


def test_status_is_0_without_an_engine_too(world: Env, tmp_path: Path) -> None:
    ran = script(world | {"XDG_RUNTIME_DIR": str(tmp_path)}, "gpt-oss-status.sh")
    assert ran.returncode == 0
    assert ran.stdout.startswith("health: unavailable\n")


def test_stop_keepalive_ends_an_old_loop_and_removes_its_file(world: Env, tmp_path: Path) -> None:
    file = tmp_path / "keepalive.pid"
    env = world | {"XDG_RUNTIME_DIR": str(tmp_path), "GPT_OSS_KEEPALIVE_PID_FILE": str(file)}
    with subprocess.Popen(["bash", "-c", LOOP], stderr=subprocess.DEVNULL) as loop:
        file.write_text(f"{loop.pid}\n")
        assert f"keepalive: running (pid {loop.pid})" in script(env, "gpt-oss-status.sh").stdout
        ran = script(env, "gpt-oss-stop-keepalive.sh")
        assert (ran.returncode, ran.stdout) == (0, f"stopped keepalive (pid {loop.pid})\n")
        assert loop.wait() != 0
    assert not file.exists()


@pytest.mark.parametrize("content", ["another", "", "-1", "0", "4194305"])
def test_stop_keepalive_ends_nothing_but_a_loop(world: Env, tmp_path: Path, content: str) -> None:
    file = tmp_path / "keepalive.pid"
    env = world | {"XDG_RUNTIME_DIR": str(tmp_path), "GPT_OSS_KEEPALIVE_PID_FILE": str(file)}
    with subprocess.Popen(["sleep", "600"]) as innocent:
        file.write_text(content if content != "another" else str(innocent.pid))
        ran = script(env, "gpt-oss-stop-keepalive.sh")
        assert (ran.returncode, innocent.poll()) == (0, None)
        innocent.kill()


def test_stop_keepalive_quiets_the_engine_which_goes_on(fast: Env) -> None:
    (engine,) = engines(fast)
    assert engine.keepalive == 1
    said = script(fast, "gpt-oss-status.sh").stdout
    assert f"keepalive: running (pid {engine.pid}), every 1 s" in said
    ran = script(fast, "gpt-oss-stop-keepalive.sh")
    assert ran.returncode == 0
    assert f"at {engine.url} warm" in ran.stdout
    assert "keepalive: stopped" in script(fast, "gpt-oss-status.sh").stdout


def test_a_link_to_a_script_finds_the_agent_of_the_repository(fast: Env, tmp_path: Path) -> None:
    if not (SCRIPTS.parent / ".venv" / "bin" / "acp-agent").exists():
        pytest.skip("the repository has no .venv")
    link = tmp_path / "query"
    link.symlink_to(SCRIPTS / "gpt-oss-query.sh")
    ran = run({**fast, "PATH": "/usr/bin:/bin"}, "sh", str(link), "hello")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_script_is_two_lines() -> None:
    names = ("fast", "query", "status", "bench", "stop-keepalive")
    files = [SCRIPTS / f"gpt-oss-{name}.sh" for name in names]
    assert all(len(file.read_text().splitlines()) == 2 for file in files)
    assert all(file.stat().st_mode & 0o111 for file in files)
