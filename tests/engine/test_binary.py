"""A `llama-server` of the machine serves where one works; the real llama.cpp behind its flags."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import psutil
import pytest

from acp_agent.backends.llama_server import LlamaServer
from acp_agent.engine.binary import Binary, Search, find, parse_help, probe
from acp_agent.engine.command import command
from acp_agent.engine.home import EngineState, engine_homes
from acp_agent.engine.launch import Launcher
from acp_agent.engine.obituary import why_ended
from acp_agent.engine.order import Order
from acp_agent.engine.spec import EngineSpec
from acp_agent.engine.stop import stop
from acp_agent.errors import EngineFailed, StreamDropped
from acp_agent.paths import state_dir
from acp_agent.ports import Sampling, StepEnded, Tokens
from tests.engine.llama_help import AGES, BARE, NEW, OLD
from tests.engine.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

PROMPT = [200006, 1428, 200008]
ENDLESS = Sampling(grammar='root ::= "a" root')
ROOT = Path(__file__).parents[2]


def install(folder: Path, age: str) -> Path:
    """Put a `llama-server` of this age into `folder`; it writes its arguments beside itself."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "llama-server"
    path.write_text(
        f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -P -m tests.engine.llama_server"
        f' {age} {folder / "arguments"} "$@"\n'
    )
    path.chmod(0o755)
    return path


def script(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "llama-server"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def state() -> EngineState:
    [(_, found, _)] = engine_homes()
    return found


def log() -> str:
    [path] = state_dir().glob("*.log")
    return path.read_text()


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def is_gone(pid: int) -> None:
    async def gone() -> bool:
        return not runs(pid)

    await until(gone)


async def generated(server: LlamaServer, count: int = 3) -> list[object]:
    async with server.stream(PROMPT, Sampling(max_tokens=count)) as events:
        return [event async for event in events]


# ---------------------------------------------------------------- the command line


def order(tmp_path: Path, **values: object) -> Order:
    model = tmp_path / "m.gguf"
    model.write_bytes(bytes(10))
    return Order(EngineSpec(model, **values), 4096, 1234, "secret", tmp_path / "log")  # pyright: ignore[reportArgumentType] # a table of a test


def arguments(help_text: str, order: Order, platform: str = "linux") -> list[str]:
    binary = Binary("/bin/llama-server", "", parse_help(help_text))
    return command(binary, order, platform=platform)[1:]


def test_a_new_build_gets_flash_attention_by_a_word(tmp_path: Path) -> None:
    model = str(tmp_path / "m.gguf")
    assert arguments(NEW, order(tmp_path)) == [
        *("--model", model, "--alias", "m", "--host", "127.0.0.1", "--port", "1234"),
        *("--parallel", "1", "--cache-ram", "128", "--ctx-size", "4096", "--kv-unified"),
        *("--flash-attn", "auto", "--offline", "--slots", "--no-ui"),
    ]


def test_an_old_build_gets_it_alone_and_every_layer(tmp_path: Path) -> None:
    model = str(tmp_path / "m.gguf")
    assert arguments(OLD, order(tmp_path)) == [
        *("--model", model, "--alias", "m", "--host", "127.0.0.1", "--port", "1234"),
        *("--parallel", "1", "--ctx-size", "4096"),
        *("--flash-attn", "--n-gpu-layers", "999", "--slots", "--no-webui"),
    ]


@pytest.mark.parametrize(
    ("help_text", "form", "given"),
    [
        (NEW, "on", ["--flash-attn", "on"]),
        (NEW, "off", ["--flash-attn", "off"]),
        (OLD, "on", ["--flash-attn"]),
        (OLD, "off", []),
        (BARE, "on", []),
    ],
)
def test_flash_attention_is_switched_in_the_form_of_the_build(
    tmp_path: Path, help_text: str, form: str, given: list[str]
) -> None:
    found = arguments(help_text, order(tmp_path, flash_attn=form))
    at = found.index("--flash-attn") if "--flash-attn" in found else len(found)
    assert found[at : at + len(given)] == given
    assert bool(given) == ("--flash-attn" in found)


@pytest.mark.parametrize(
    ("help_text", "given"), [(NEW, ["--load-mode", "none"]), (OLD, ["--no-mmap"]), (BARE, [])]
)
def test_on_a_mac_weights_are_read_and_not_mapped(
    tmp_path: Path, help_text: str, given: list[str]
) -> None:
    here = order(tmp_path)
    other = arguments(help_text, here)
    assert [word for word in arguments(help_text, here, "darwin") if word not in other] == given


def test_every_documented_setting_reaches_the_command_line(tmp_path: Path) -> None:
    found = arguments(
        NEW,
        order(
            tmp_path,
            parallel=3,
            batch=256,
            ubatch=128,
            threads=2,
            threads_batch=4,
            cache_type_k="q8_0",
            cache_type_v="q4_0",
            cache_reuse=64,
            swa_full=True,
            kv_unified=False,
        ),
    )
    line = f" {' '.join(found)} "
    for part in (
        "--parallel 3 ",
        "--batch-size 256 ",
        "--ubatch-size 128 ",
        "--threads 2 ",
        "--threads-batch 4 ",
        "--cache-type-k q8_0 ",
        "--cache-type-v q4_0 ",
        "--cache-reuse 64 ",
        "--swa-full ",
        "--no-kv-unified ",
    ):
        assert f" {part}" in line


@pytest.mark.parametrize("help_text", list(AGES.values()))
def test_no_flag_is_given_that_the_build_does_not_know(tmp_path: Path, help_text: str) -> None:
    every = order(tmp_path, threads=1, cache_type_k="f16", cache_reuse=1, swa_full=True)
    known = parse_help(help_text)
    given = arguments(help_text, every, "darwin")
    assert [word for word in given if word.startswith("--") and word not in known] == []


def test_the_key_is_not_on_the_command_line(tmp_path: Path) -> None:
    assert "secret" not in arguments(NEW, order(tmp_path))


# ---------------------------------------------------------------- which program


def test_a_program_that_works_tells_its_version(tmp_path: Path) -> None:
    path = install(tmp_path, "new")
    found = probe(str(path))
    assert isinstance(found, Binary)
    assert (found.path, found.version) == (str(path), "6000 (new)")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("echo Illegal instruction >&2; exit 132", "ended with status 132 when asked --help: Ill"),
        ("exit 1", "ended with status 1 when asked --help: nothing"),
        ("head -c 1000 /dev/zero; echo; echo 'hello  world'", "does not know --model, --host"),
        ("printf '%s\n' '-m, --model FNAME   path'", "it is no llama-server"),
    ],
)
def test_a_broken_program_is_passed_over_with_its_reason(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = script(tmp_path, text)
    search = find(str(path))
    assert search.binary is None
    assert search.broken[0].startswith(f"{path} ")
    assert problem in search.broken[0]


def test_a_program_of_another_machine_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "llama-server"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(200))
    path.chmod(0o755)
    assert find(str(path)) == Search(None, (f"{path} cannot be run (Exec format error)",))


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    assert find(str(path)) == Search(None, (f"{path} cannot be run (No such file or directory)",))


def test_none_is_looked_for_when_it_is_switched_off() -> None:
    assert find("off") == find("") == Search(None)


def test_one_on_path_comes_first_and_one_that_works_after_a_broken_one(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = install(home / "code" / "llama.cpp" / "build" / "bin", "new")
    broken = script(tmp_path / "bin", "exit 3")
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    search = find("auto")
    assert search.binary is not None
    assert search.binary.path == str(works)
    assert search.broken == (f"{broken} ended with status 3 when asked --help: nothing",)


# ---------------------------------------------------------------- serving


@pytest.mark.parametrize("age", ["new", "old", "bare"])
async def test_it_serves_whatever_its_age(nano: Path, tmp_path: Path, age: str) -> None:
    path = install(tmp_path / "bin", age)
    spec = EngineSpec(nano, context=1024, program=str(path))
    async with Launcher(spec, linger=0.1) as launcher:
        endpoint = await launcher.locate()
        server = LlamaServer(launcher.locate)
        assert await server.context_size() == 1024
        assert isinstance((await generated(server))[-1], StepEnded)

        async def ready() -> bool:
            return state().ready

        await until(ready)
        found = state()
        assert (found.kind, found.version, found.program) == (
            "llama-server",
            f"6000 ({age})",
            str(path),
        )
        assert (found.context, found.parallel) == (1024, 1)
        assert endpoint.key not in json.loads((tmp_path / "bin" / "arguments").read_text())
    await is_gone(found.child)
    await is_gone(found.pid)
    assert engine_homes() == []


async def test_a_broken_program_leaves_it_to_the_wheel(nano: Path, tmp_path: Path) -> None:
    path = script(tmp_path / "bin", "echo Illegal instruction; exit 132")
    spec = EngineSpec(nano, context=1024, program=str(path))
    async with Launcher(spec, linger=0.1) as launcher:
        assert await LlamaServer(launcher.locate).context_size() == 1024
        assert state().kind == "wheel"
        (warning,) = state().warnings
        assert warning.startswith(f"passed over: {path} ended with status 132")
    assert f"passed over: {path} ended with status 132" in log()


async def test_a_program_that_cannot_load_it_leaves_it_to_the_wheel(
    nano: Path, tmp_path: Path
) -> None:
    words = "E llama_model_load: error loading model: unknown model architecture: 'gpt-oss'"
    text = f'case "$1" in --help) cat {tmp_path}/help;; --version) ;; *) echo "0.00.1 {words}" >&2;'
    path = script(tmp_path / "bin", f"{text} exit 1;; esac")
    (tmp_path / "help").write_text(NEW)
    spec = EngineSpec(nano, context=1024, program=str(path))
    async with Launcher(spec, linger=0.1) as launcher:
        server = LlamaServer(launcher.locate)
        assert await server.context_size() == 1024
        assert state().kind == "wheel"
    assert f"passed over: {path}: {nano} holds a model of the kind 'gpt-oss'" in log()


async def test_a_bad_file_is_named_by_the_program_too(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"hello" * 1000)
    spec = EngineSpec(bad, program=str(install(tmp_path / "bin", "new")))
    async with Launcher(spec, linger=0.1) as launcher:
        with pytest.raises(EngineFailed) as caught:
            await launcher.locate()
            await LlamaServer(launcher.locate).context_size()
    assert str(caught.value) == f"{bad} is not a GGUF file"


async def test_a_port_in_use_is_named_by_the_program_too(nano: Path, tmp_path: Path) -> None:
    program = str(install(tmp_path / "bin", "new"))
    with socket.create_server(("127.0.0.1", 0)) as someone:
        port = someone.getsockname()[1]
        spec = EngineSpec(nano, context=512, port=port, program=program)
        async with Launcher(spec, linger=0.1) as launcher:
            with pytest.raises(EngineFailed, match=f"port {port} is in use; set GPT_OSS_PORT"):
                await launcher.locate()


@pytest.mark.parametrize("victim", ["host", "child"])
async def test_a_kill_in_mid_answer_is_told_and_the_next_prompt_works(
    nano: Path, tmp_path: Path, victim: str
) -> None:
    spec = EngineSpec(nano, context=4096, program=str(install(tmp_path / "bin", "new")))
    async with Launcher(spec, linger=0.1) as launcher:
        server = LlamaServer(launcher.locate, why_ended=why_ended)
        await server.prefill(PROMPT)

        async def ready() -> bool:
            return state().ready

        await until(ready)
        before = state()
        assert before.child
        killed = psutil.Process(before.pid if victim == "host" else before.child)
        with anyio.fail_after(60), pytest.raises(StreamDropped, match=r"without a word \(log"):
            async with server.stream(PROMPT, ENDLESS) as events:
                async for event in events:
                    if isinstance(event, Tokens):
                        with suppress(psutil.NoSuchProcess):
                            killed.kill()
        with anyio.fail_after(30):
            assert isinstance((await generated(server))[-1], StepEnded)
        await is_gone(before.pid)
        await is_gone(before.child)  # it never outlives its host


async def test_stop_ends_the_program_and_its_guard(nano: Path, tmp_path: Path) -> None:
    spec = EngineSpec(nano, context=1024, program=str(install(tmp_path / "bin", "new")))
    async with Launcher(spec, linger=60) as launcher:
        assert await LlamaServer(launcher.locate).context_size() == 1024
    [(there, found, _)] = engine_homes()
    host = psutil.Process(found.pid)

    async def alone() -> bool:  # what watched it load is gone
        return len(host.children(recursive=True)) == 2

    await until(alone)
    started = host.children(recursive=True)
    assert not await stop(there)
    for process in started:
        await is_gone(process.pid)
    assert not there.path.exists()


REAL = os.environ.get("LLAMA_SERVER", "")


@pytest.mark.skipif(not REAL, reason="LLAMA_SERVER names no llama-server")
async def test_a_real_llama_server_serves(nano: Path) -> None:
    found = find(REAL)
    assert found.binary is not None, found.broken
    spec = EngineSpec(nano, context=1024, program=REAL, flash_attn="on", cache_type_k="f16")
    async with Launcher(spec, linger=0.1) as launcher:
        server = LlamaServer(launcher.locate)
        assert await server.context_size() == 1024
        assert isinstance((await generated(server))[-1], StepEnded)
        assert state().kind == "llama-server", log()
