"""When an engine ends, what keeps it, and what a crash means; with the real llama.cpp."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path

import anyio
import psutil
import pytest

from acp_agent.backends.llama_server import LlamaServer
from acp_agent.engine.asking import Asker
from acp_agent.engine.home import Crash, EngineHome, EngineState, engine_homes
from acp_agent.engine.launch import Launcher
from acp_agent.engine.obituary import why_ended
from acp_agent.engine.spec import EngineSpec, Patience
from acp_agent.engine.stop import stop
from acp_agent.engine.watch import watermark
from acp_agent.errors import EngineFailed, StreamDropped
from acp_agent.paths import runtime_dir, state_dir
from acp_agent.ports import Sampling, StepEnded, Tokens
from tests.engine.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("home")]

PROMPT = [200006, 1428, 200008]
ENDLESS = Sampling(grammar='root ::= "a" root')  # never complete, so it never ends


@pytest.fixture
def spec(nano: Path, home: Path) -> Iterator[EngineSpec]:
    """Give a spec of nano; whatever engine still runs for this test is killed after it."""
    yield EngineSpec(nano, context=4096, threads=1)
    for path in runtime_dir().glob("engine-*"):
        left, state = EngineHome(path), EngineHome(path).read()
        if left.is_alive() and state is not None:
            os.kill(state.pid, signal.SIGKILL)


def home_of(spec: EngineSpec) -> EngineHome:
    return EngineHome(runtime_dir() / f"engine-{spec.digest()}")


async def ready(spec: EngineSpec) -> EngineState:
    async def is_ready() -> bool:
        state = home_of(spec).read()
        return state is not None and state.ready

    await until(is_ready)
    state = home_of(spec).read()
    assert state is not None
    return state


async def has_ended(spec: EngineSpec) -> None:
    async def ended() -> bool:
        return not home_of(spec).is_alive()

    await until(ended)


async def generated(server: LlamaServer) -> list[object]:
    async with server.stream(PROMPT, Sampling(max_tokens=3)) as events:
        return [event async for event in events]


def log() -> str:
    [path] = state_dir().glob("*.log")
    return path.read_text()


async def test_the_state_says_what_runs(spec: EngineSpec) -> None:
    started = time.time()
    async with Launcher(spec, linger=5, idle=600) as launcher:
        await generated(LlamaServer(launcher.locate))

        async def measured() -> bool:
            state = home_of(spec).read()
            return state is not None and state.memory > 0

        await until(measured)
        state = await ready(spec)
    assert (state.kind, state.program, state.child) == ("wheel", "", 0)
    assert state.version.startswith("xllamacpp 20")
    assert (state.context, state.parallel, state.linger, state.idle) == (4096, 1, 5, 600)
    assert started <= state.started <= time.time()
    assert 50 << 20 < state.memory <= state.memory_peak
    assert 0 < state.pressure < 1
    assert "model loaded" in Path(state.log).read_text()


async def test_an_idle_engine_gives_its_memory_back_when_memory_is_short(spec: EngineSpec) -> None:
    patience = Patience(linger=60, limit=0.0, grace=2)
    async with Launcher(spec, patience=patience) as launcher:
        server = LlamaServer(launcher.locate)
        assert await generated(server)
        pid = (await ready(spec)).pid
        assert psutil.Process(pid).memory_info().rss > 50 << 20
        await has_ended(spec)
        assert not psutil.pid_exists(pid) or psutil.Process(pid).memory_info().rss == 0
        assert "ends: memory is short" in log()
        assert await generated(server)


async def test_an_engine_at_work_stays_though_memory_is_short(spec: EngineSpec) -> None:
    patience = Patience(linger=60, limit=0.0, grace=2, idle=2)
    async with Launcher(spec, patience=patience) as launcher:
        server, times = LlamaServer(launcher.locate), list[float]()
        async with server.stream(PROMPT, ENDLESS) as events:
            async for event in events:
                if isinstance(event, Tokens):
                    times.append(anyio.current_time())
                    if times[-1] - times[0] > 4:
                        break
        assert len(times) > 10
        await has_ended(spec)


def test_a_model_that_fills_the_machine_is_not_thrown_out_for_its_own_size() -> None:
    assert watermark(0.85, 0.60) == 0.85
    assert watermark(0.85, 0.94) == 0.97
    assert watermark(1.0, 0.94) == 1.0


async def test_an_engine_that_was_loaded_above_the_limit_stays(spec: EngineSpec) -> None:
    async with Launcher(spec, patience=Patience(linger=1, limit=0.001, grace=0.1)) as launcher:
        await generated(LlamaServer(launcher.locate))
    await has_ended(spec)
    assert "ends: unused" in log()


async def test_an_engine_stays_below_the_limit(spec: EngineSpec) -> None:
    patience = Patience(linger=60, limit=1.0, grace=0.1)
    async with Launcher(spec, patience=patience) as launcher:
        await generated(LlamaServer(launcher.locate))
        state = await ready(spec)

        async def looked() -> bool:
            found = home_of(spec).read()
            return found is not None and found.pressure > 0

        await until(looked)
        assert home_of(spec).is_alive()
        assert state.limit == 1.0


async def test_an_engine_is_kept_warm_and_that_is_no_use_of_it(spec: EngineSpec) -> None:
    patience = Patience(linger=60, idle=3, keepalive=0.2)
    async with Launcher(spec, patience=patience) as launcher:
        assert await generated(LlamaServer(launcher.locate))
        state, tasks = await ready(spec), set[int]()
        asker = Asker(state.url, state.key)

        async def warmed() -> bool:
            slots: list[dict[str, int]] = asker.get("/slots") or []
            tasks.update(slot["id_task"] for slot in slots)
            return len(tasks) > 3

        await until(warmed)
        await has_ended(spec)
        assert "ends: idle" in log()


async def test_one_that_stays_longer_is_asked_to(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=0.2) as first, Launcher(spec, linger=inf) as second:
        assert await first.locate() == await second.locate()
        await ready(spec)

    async def stays() -> bool:
        state = home_of(spec).read()
        return state is not None and state.linger == inf

    await until(stays)
    assert home_of(spec).is_alive()
    assert not await stop(home_of(spec))
    assert engine_homes() == []


# ---------------------------------------------------------------- crashes


async def test_a_kill_in_mid_answer_is_told_and_the_next_prompt_works(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=0.1) as launcher:
        server = LlamaServer(launcher.locate, why_ended=why_ended)
        await server.prefill(PROMPT)
        state = await ready(spec)
        told = await cut(server, state.pid, signal.SIGKILL)
        assert told == (
            f"the engine ended before its answer did: it ended without a word (log: {state.log});"
            " the session goes on: ask again, and the engine starts anew"
        )
        assert isinstance((await generated(server))[-1], StepEnded)
        [crash] = home_of(spec).crashes()
        assert crash.words == "it ended without a word"


async def test_an_engine_that_was_stopped_in_mid_answer_is_told_apart(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=0.1) as launcher:
        server = LlamaServer(launcher.locate, why_ended=why_ended)
        await server.prefill(PROMPT)
        told = await cut(server, (await ready(spec)).pid, signal.SIGTERM)
        assert told.startswith("the engine ended before its answer did: it was told to end; ")
        assert home_of(spec).crashes() == []


async def cut(server: LlamaServer, pid: int, number: signal.Signals) -> str:
    """Send a signal to the engine in mid-answer, and return what the user reads."""
    with anyio.fail_after(60), pytest.raises(StreamDropped) as caught:
        async with server.stream(PROMPT, ENDLESS) as events:
            async for event in events:
                if isinstance(event, Tokens):
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
    return str(caught.value)


async def test_an_engine_that_keeps_crashing_is_left_alone_for_a_while(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=0.1) as launcher:
        await generated(LlamaServer(launcher.locate))
        there, now = home_of(spec), time.time()
        for past in (40, 20):
            there.note_crash(Crash(now - past, "earlier"))
        os.kill((await ready(spec)).pid, signal.SIGKILL)
        await has_ended(spec)
        with pytest.raises(EngineFailed) as caught:
            await launcher.locate()
        words = "the engine crashed 3 times within 4"
        assert str(caught.value).startswith(words)
        assert "(it ended without a word); a prompt in 5 s starts it again (log: " in str(
            caught.value
        )
        assert not there.is_alive()


async def test_a_crash_loop_is_over_when_its_time_has_come(spec: EngineSpec) -> None:
    there = home_of(spec)
    lock = there.lock("starting")
    assert lock is not None
    lock.release()
    for past in (60, 50, 40):
        there.note_crash(Crash(time.time() - past, "earlier"))
    async with Launcher(spec, linger=0.1) as launcher:
        assert await generated(LlamaServer(launcher.locate))


async def test_what_the_last_engine_said_is_kept(spec: EngineSpec) -> None:
    async with Launcher(spec, linger=0.1) as launcher:
        await generated(LlamaServer(launcher.locate))
        os.kill((await ready(spec)).pid, signal.SIGKILL)
        await has_ended(spec)
        await generated(LlamaServer(launcher.locate))
    [before] = state_dir().glob("*.log.1")
    assert "model loaded" in before.read_text()


# ---------------------------------------------------------------- too little memory


async def test_a_machine_that_is_too_small_is_refused_before_loading(
    spec: EngineSpec, tmp_path: Path
) -> None:
    large = tmp_path / "large.gguf"
    with large.open("wb") as file:
        file.write(spec.model.read_bytes()[:100_000])
        file.truncate(1 << 42)  # a hole: it takes no room
    async with Launcher(replace(spec, model=large), linger=0.1) as launcher:
        with pytest.raises(
            EngineFailed, match=r"large\.gguf needs 4\d\d\d\.\d GiB of memory, this"
        ):
            await launcher.locate()


@pytest.mark.skipif(sys.platform != "linux", reason="a Mac sets no limit to address space")
def test_too_little_memory_is_said_in_one_sentence(spec: EngineSpec, tmp_path: Path) -> None:
    there, path = EngineHome(tmp_path / "engine"), tmp_path / "log"
    command = [sys.executable, "-m", "acp_agent.engine.host", "--home", str(there.path)]
    command += ["--log", str(path), "--spec", replace(spec, context=131_072).to_json()]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    with path.open("wb") as output:
        ran = subprocess.run(command, stderr=output, preexec_fn=limit, timeout=60, check=False)
    state = there.read()
    assert ran.returncode != 0
    assert state is not None
    assert state.failure == (
        f"there is not enough memory for {spec.model}; use smaller weights or less context"
        " (GPT_OSS_CTX)"
    ), path.read_text()
