"""A model that hangs while it is loaded is given up, one that takes its time is not."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import anyio
import psutil
import pytest

from acp_agent.backends.llama_server import LlamaServer
from acp_agent.engine.launch import Launcher
from acp_agent.engine.spec import EngineSpec, Patience
from acp_agent.errors import EngineFailed
from tests.engine.llama_help import NEW
from tests.engine.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

ROOT = Path(__file__).parents[2]
PATIENCE = Patience(linger=0.1, stall=3)


def program(folder: Path, text: str) -> Path:
    """Write a `llama-server` that does `text` when it is to serve; `$real` is one that works."""
    folder.mkdir()
    (folder / "help").write_text(NEW)
    real = f"{sys.executable} -P -m tests.engine.llama_server new {folder}/arguments"
    path = folder / "llama-server"
    path.write_text(
        f'#!/bin/sh\nexport PYTHONPATH={ROOT}\nreal="{real}"\necho $$ > {folder}/pid\n'
        f'case "$1" in --help) cat {folder}/help;; --version) ;; *) {text};; esac\n'
    )
    path.chmod(0o755)
    return path


def endless(folder: Path) -> Path:
    """Make a file that is never there to be read, as on a disk that does not answer."""
    path = folder / "endless.gguf"
    os.mkfifo(path)
    return path


async def failure(spec: EngineSpec) -> str:
    async with Launcher(spec, patience=PATIENCE) as launcher:
        with anyio.fail_after(60), pytest.raises(EngineFailed) as caught:
            await LlamaServer(launcher.locate).context_size()
    return str(caught.value)


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_a_program_that_hangs_before_it_listens_is_ended(nano: Path, tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "echo looking for a GPU >&2; exec sleep 1000")
    words = await failure(EngineSpec(nano, context=1024, program=str(path)))
    assert words.partition(" (ACP")[0] == (
        f"{path} hung while it loaded {nano} and was ended: 3 s passed in which it read nothing,"
        " took no memory and wrote no line after 'looking for a GPU'; try again, set"
        " LLAMA_SERVER=off for the llama.cpp of this package, copy the file to another disk, or"
        " wait longer"
    )

    async def gone() -> bool:
        return not runs(int((tmp_path / "bin" / "pid").read_text()))

    await until(gone)


async def test_a_program_that_listens_and_hangs_is_ended(nano: Path, tmp_path: Path) -> None:
    model = endless(tmp_path)
    path = program(tmp_path / "bin", f'shift 2; exec $real --model {model} "$@"')
    words = await failure(EngineSpec(nano, context=1024, program=str(path)))
    assert words.startswith(f"{path} hung while it loaded {nano} and was ended: 3 s passed")
    assert f"loading model '{model}'" in words


async def test_the_wheel_that_hangs_is_ended(tmp_path: Path) -> None:
    model = endless(tmp_path)

    def look_into_it() -> None:
        os.close(os.open(model, os.O_WRONLY))  # whoever comes first finds an empty file

    threading.Thread(target=look_into_it, daemon=True).start()
    words = await failure(EngineSpec(model, context=1024))
    assert words.startswith(f"llama.cpp hung while it loaded {model} and was ended: 3 s passed")
    assert f"loading model '{model}'" in words


@pytest.mark.parametrize(
    "step",
    [
        "print(n, flush=True)",
        "held.append(b'x' * (4 << 20))",
        "open('/dev/zero', 'rb').read(4 << 20)",
    ],
    ids=["it speaks", "it takes memory", "it reads"],
)
async def test_a_program_that_gets_on_slowly_is_waited_for(
    nano: Path, tmp_path: Path, step: str
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text(
        f"import time\nheld = []\nfor n in range(10):\n    time.sleep(0.5)\n    {step}\n"
    )
    path = program(tmp_path / "bin", f'{sys.executable} {slow} >&2; exec $real "$@"')
    spec = EngineSpec(nano, context=1024, program=str(path))
    async with Launcher(spec, patience=PATIENCE, start_seconds=4) as launcher:
        with anyio.fail_after(60):
            assert await LlamaServer(launcher.locate).context_size() == 1024
