"""One engine for many agents: found, started, shared, ended; with the real llama.cpp."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from pathlib import Path

import anyio
import psutil
import pytest

from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.llama_server import LlamaServer
from acp_agent.config import Settings
from acp_agent.engine.by_settings import local_spec
from acp_agent.engine.home import EngineHome, EngineState, engine_homes
from acp_agent.engine.launch import Launcher
from acp_agent.engine.nano import ensure_nano
from acp_agent.engine.spec import EngineSpec
from acp_agent.engine.stop import stop
from acp_agent.errors import EngineFailed, EngineUnauthorized, EngineUnavailable
from acp_agent.paths import runtime_dir, state_dir
from acp_agent.ports import Sampling, StepEnded
from tests.engine.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("home")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_nano(cache=tmp_path_factory.mktemp("weights"))


@pytest.fixture
def spec(weights: Path, home: Path) -> Iterator[EngineSpec]:
    """Give a spec of nano; whatever engine still runs for this test is killed after it."""
    yield EngineSpec(weights, context=1024, threads=1)
    for path in runtime_dir().glob("engine-*"):
        left, state = EngineHome(path), EngineHome(path).read()
        if left.is_alive() and state is not None:
            os.kill(state.pid, signal.SIGKILL)


def home_of(spec: EngineSpec) -> EngineHome:
    return EngineHome(runtime_dir() / f"engine-{spec.digest()}")


def state_of(launcher: Launcher) -> EngineState:
    assert launcher.engine is not None
    return launcher.engine


def runs(pid: int) -> bool:
    """Tell whether there is such a process; one that nobody has buried yet does not run."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def has_ended(spec: EngineSpec) -> None:
    async def ended() -> bool:
        return not home_of(spec).is_alive()

    await until(ended)


async def answers(endpoint: Endpoint) -> bool:
    """Tell whether the engine has its model; awaits it."""
    return await LlamaServer(fixed(endpoint)).context_size() == 1024


async def test_agents_that_start_at_once_share_one_engine(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=0.1) as first, Launcher(spec, linger=0.1) as second:
        found: list[Endpoint] = []

        async def locate(launcher: Launcher) -> None:
            found.append(await launcher.locate())

        async with anyio.create_task_group() as group:
            group.start_soon(locate, first)
            group.start_soon(locate, second)
        assert found[0] == found[1]
        assert await answers(found[0])
    await has_ended(spec)
    assert home_of(spec).read() is None


async def test_the_engine_outlives_its_first_user_while_another_stays(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=0.1) as second:
        async with Launcher(spec, linger=0.1) as first:
            endpoint = await first.locate()
            assert await second.locate() == endpoint
        assert await answers(endpoint)
    await has_ended(spec)


async def test_an_agent_that_is_killed_holds_nothing(spec: EngineSpec) -> None:
    holder = f"""
import anyio
from pathlib import Path
from acp_agent.engine.spec import EngineSpec
from acp_agent.engine.launch import Launcher

async def main():
    spec = EngineSpec(Path({str(spec.model)!r}), context=1024, threads=1)
    async with Launcher(spec, linger=0.1) as it:
        await it.locate()
        print("held", flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""
    async with await anyio.open_process([sys.executable, "-c", holder]) as process:
        assert process.stdout is not None
        assert (await process.stdout.receive()).startswith(b"held")
        assert home_of(spec).is_alive()
        process.kill()
    await has_ended(spec)


async def test_other_settings_mean_another_engine(spec: EngineSpec) -> None:
    other = replace(spec, context=512)
    async with Launcher(spec, linger=0.1) as first, Launcher(other, linger=0.1) as second:
        sizes = [await LlamaServer(launcher.locate).context_size() for launcher in (first, second)]
    assert sizes == [1024, 512]


async def test_two_answers_at_once_need_not_fit_into_the_context_together(
    spec: EngineSpec,
) -> None:
    usual = local_spec(Settings(), spec.model)
    async with Launcher(replace(usual, context=1024, threads=1), linger=0.1) as launcher:
        server, ends = LlamaServer(launcher.locate), list[object]()

        async def ask(first: int) -> None:
            async with server.stream([first, *range(2000, 2700)], Sampling(max_tokens=8)) as events:
                ends.extend([event async for event in events if isinstance(event, StepEnded)])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, 200_006)
            tasks.start_soon(ask, 1000)
    assert len(ends) == 2


async def test_an_engine_that_crashed_is_started_again_in_the_middle_of_use(
    spec: EngineSpec,
) -> None:
    async with Launcher(spec, linger=0.1) as launcher:
        engine = LlamaServer(launcher.locate)
        assert await engine.context_size() == 1024
        first = state_of(launcher)
        os.kill(first.pid, signal.SIGKILL)
        await has_ended(spec)
        await engine.prefill([1, 2])
        assert state_of(launcher).pid != first.pid


async def test_an_engine_killed_while_loading_says_so_and_is_started_anew(
    spec: EngineSpec,
) -> None:
    async with Launcher(spec, linger=0.1) as launcher:
        await launcher.locate()
        os.kill(state_of(launcher).pid, signal.SIGKILL)
        await has_ended(spec)
        with pytest.raises(EngineFailed, match=r"ended without a word.*log:"):
            await launcher.locate()
        assert await answers(await launcher.locate())


def test_who_looks_whether_an_engine_lives_does_not_keep_it_from_starting(
    spec: EngineSpec,
) -> None:
    look = home_of(spec).lock("alive", shared=True)
    assert look is not None
    assert home_of(spec).lock("alive") is None
    looking = threading.Timer(0.05, look.release)
    looking.start()
    lock = home_of(spec).lock_soon("alive")
    looking.join()
    assert lock is not None
    assert home_of(spec).lock_soon("alive") is None
    lock.release()


async def test_an_engine_of_another_version_is_known(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=60) as launcher:
        await launcher.locate()
        written = home_of(spec).path / "state.json"
        written.write_text(json.dumps(json.loads(written.read_text()) | {"new": 1}))
        assert home_of(spec).read() == state_of(launcher)
        assert not await stop(home_of(spec))


def test_what_was_asked_of_one_host_is_not_asked_of_the_next(spec: EngineSpec) -> None:
    there = home_of(spec)
    there.path.mkdir(parents=True)
    there.ask_linger(1234, inf)
    assert (there.asked_linger(1234), there.asked_linger(1235)) == (inf, None)


async def test_a_terminated_engine_leaves_no_state(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=60) as launcher:
        assert await answers(await launcher.locate())
        with anyio.fail_after(3):
            os.kill(state_of(launcher).pid, signal.SIGTERM)
            await has_ended(spec)
        assert home_of(spec).read() is None


async def test_a_stopped_engine_leaves_nothing(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=inf) as launcher:
        assert await answers(await launcher.locate())
    [(there, state, alive)] = engine_homes()
    assert (there, state.pid, alive) == (home_of(spec), state_of(launcher).pid, True)
    assert not await stop(there)
    assert engine_homes() == []
    assert not there.path.exists()
    assert not runs(state.pid)


async def test_what_does_not_end_when_told_to_is_killed(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=inf) as launcher:
        assert await answers(await launcher.locate())
    os.kill(state_of(launcher).pid, signal.SIGSTOP)
    assert await stop(home_of(spec), 0.2)
    assert engine_homes() == []


async def test_what_was_killed_at_the_users_wish_is_no_crash(spec: EngineSpec) -> None:
    there = home_of(spec)

    def left_behind() -> EngineState | None:
        while there.is_alive():  # no pause: who needs an engine may look at that very moment
            pass
        return there.read()

    async with Launcher(spec, linger=inf) as launcher:
        assert await answers(await launcher.locate())
    os.kill(state_of(launcher).pid, signal.SIGSTOP)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop, there, 0.2)
        assert await anyio.to_thread.run_sync(left_behind) is None


async def test_an_engine_that_is_stopped_while_somebody_uses_it_comes_again(
    spec: EngineSpec,
) -> None:
    async with Launcher(spec, linger=0.1) as launcher:
        server = LlamaServer(launcher.locate)
        assert await server.context_size() == 1024
        assert not await stop(home_of(spec))
        assert home_of(spec).path.exists()  # it holds the lock of whoever uses it
        await server.prefill([1, 2])
    await has_ended(spec)


@pytest.mark.parametrize("left", ["dead", "someone else's process", "nonsense", "another shape"])
async def test_what_a_dead_engine_left_is_replaced(spec: EngineSpec, left: str) -> None:
    there = home_of(spec)
    lock = there.lock("alive")  # makes the directory, as the engine did
    assert lock is not None
    lock.release()
    with socket.create_server(("127.0.0.1", 0)) as someone:
        url = f"http://127.0.0.1:{someone.getsockname()[1]}"
        pid = 2**22 + 1 if left == "dead" else os.getpid()
        there.write(EngineState(pid, url, "key", "model", 0.0, ready=True))
        if left == "nonsense":
            (there.path / "state.json").write_bytes(b"\xff{")
        if left == "another shape":
            (there.path / "state.json").write_text('{"pid": 1}')
        async with Launcher(spec, linger=0.1) as launcher:
            endpoint = await launcher.locate()
    assert endpoint.url != url


async def test_the_engine_wants_its_key_and_hides_it_from_others(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=0.1) as launcher:
        endpoint = await launcher.locate()
        assert await answers(endpoint)
        with pytest.raises(EngineUnauthorized):
            await LlamaServer(fixed(Endpoint(endpoint.url))).context_size()
        assert (home_of(spec).path / "state.json").stat().st_mode & 0o077 == 0
        command = Path(f"/proc/{state_of(launcher).pid}/cmdline")
        if command.exists():  # there is no such file on a Mac
            assert endpoint.key.encode() not in command.read_bytes()


async def test_modules_of_the_users_project_are_not_run(spec: EngineSpec, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "argparse.py").write_text("raise SystemExit('from the project')")
    before = Path.cwd()
    os.chdir(project)
    try:
        async with Launcher(spec, linger=0.1) as launcher:
            assert await answers(await launcher.locate())
    finally:
        os.chdir(before)


# ---------------------------------------------------------------- what the user reads


async def failure(spec: EngineSpec) -> str:
    async with Launcher(spec, linger=0.1) as launcher:
        with pytest.raises(EngineFailed) as caught:
            await launcher.locate()
            await LlamaServer(launcher.locate).context_size()
    return str(caught.value)


async def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"hello" * 1000)
    assert await failure(EngineSpec(path)) == f"{path} is not a GGUF file"


async def test_half_a_model_is_named(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.gguf"
    data = weights.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert await failure(EngineSpec(path)) == f"{path} is incomplete; get it again"


async def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"cannot use .*gone\.gguf: No such file"):
        async with Launcher(EngineSpec(tmp_path / "gone.gguf")) as launcher:
            await launcher.locate()


async def test_a_port_in_use_is_named(spec: EngineSpec) -> None:
    with socket.create_server(("127.0.0.1", 0)) as someone:
        port = someone.getsockname()[1]
        words = await failure(replace(spec, port=port))
    assert words == (
        f"port {port} is in use; set GPT_OSS_PORT to another one, or to 0 for any free one"
    )


async def test_an_engine_that_does_not_answer_is_given_up(spec: EngineSpec) -> None:
    there = home_of(spec)
    alive = there.lock("alive")  # as a living engine holds it
    assert alive is not None
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        there.write(EngineState(os.getpid(), url, "key", "model", 0.0, ready=True, stall=120))
        async with Launcher(spec, start_seconds=0.3) as launcher:
            with pytest.raises(EngineUnavailable, match=r"did not listen within 0\.3 s; see .*log"):
                await launcher.locate()
    there.forget()
    alive.release()


async def test_the_log_is_kept_in_the_state_directory(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=0.1) as launcher:
        assert await answers(await launcher.locate())
    [log] = state_dir().glob("*.log")
    assert "model loaded" in log.read_text()


# ---------------------------------------------------------------- the host by itself


def test_the_host_ends_with_status_0_when_told_to(spec: EngineSpec, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-m", "acp_agent.engine.host", "--home", str(tmp_path / "engine")]
    command += ["--log", str(log), "--spec", spec.to_json()]
    with log.open("wb") as output, subprocess.Popen(command, stderr=output) as host:

        async def ready() -> bool:
            state = EngineHome(tmp_path / "engine").read()
            return state is not None and state.ready

        anyio.run(until, ready)
        host.send_signal(signal.SIGTERM)
        assert host.wait(5) == 0


async def generated(server: LlamaServer) -> list[StepEnded]:
    async with server.stream([200006, 1428, 200008], Sampling(max_tokens=3)) as events:
        return [event async for event in events if isinstance(event, StepEnded)]


async def test_an_idle_engine_gives_the_memory_back_and_comes_again(spec: EngineSpec) -> None:
    # Longer than the second between two looks of one who waits for the weights.
    async with Launcher(spec, linger=0.1, idle=3) as launcher:
        server = LlamaServer(launcher.locate)
        assert await generated(server)
        await has_ended(spec)
        assert await generated(server)
