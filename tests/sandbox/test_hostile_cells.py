"""Cells that try to outlive their end, or to speak in the place of the interpreter."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from acp_agent.sandbox.bare import open_bare
from acp_agent.sandbox.base import Policy
from acp_agent.sandbox.interpreter import MAX_FIGURES, open_interpreter
from tests.sandbox.test_interpreter import Notebook

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="these cells look into /proc"),
]

MARKER = 16
# What a cell needs to write what passes for a frame.
HEAD = (
    "import os\n"
    "head = b'\\0' + open('/proc/self/cmdline', 'rb').read().split(b'\\0')[-2]\n"
    "def say(data): os.write(1, head + data)\n"
)


@pytest.fixture
async def notebook(tmp_path: Path) -> AsyncIterator[Notebook]:
    async with open_bare(Policy()) as bare:
        async with open_interpreter(
            bare, cwd=tmp_path, env=dict(os.environ), python=sys.executable
        ) as interpreter:
            yield Notebook(interpreter)


@pytest.mark.parametrize(
    "frame",
    [
        "b'{nope\\n'",
        "b'[1]\\n'",
        "b'\\xff\\xfe\\n'",
        "b'[' * 50_000 + b'\\n'",
        "b'x' * 60_000",
        "b'{\"done\": ' + b'9' * 4100 + b'}\\n'",
    ],
)
async def test_what_only_begins_like_a_frame_is_output(notebook: Notebook, frame: str) -> None:
    written: list[bytes] = []

    def take(piece: object) -> None:
        assert isinstance(piece, bytes)
        written.append(piece)

    with anyio.fail_after(20):
        done = await notebook.interpreter.run(f"{HEAD}data = {frame}\nsay(data)", take)
    data: bytes = eval(frame)
    assert (done.failed, b"".join(written)[1 + MARKER :]) == (False, data)
    assert await notebook.run("5") == ("5\n", False)


async def test_a_cell_shows_no_more_pictures_than_it_may(notebook: Notebook) -> None:
    picture = 'b\'{"figure": "AAAA", "more": false}\\n\''
    await notebook.run(f"{HEAD}for _ in range(50): say({picture})")
    assert len(notebook.figures) == MAX_FIGURES


@pytest.mark.parametrize("data", ["no base64!", "", "A" * 3])
async def test_what_is_no_picture_is_not_shown(notebook: Notebook, data: str) -> None:
    frame = f'b\'{{"figure": "{data}", "more": false}}\\n\''
    await notebook.run(f"{HEAD}say({frame})")
    assert notebook.figures == []


async def test_a_picture_without_end_is_not_shown(notebook: Notebook) -> None:
    chunk = 'b\'{"figure": "\' + b"A" * 4000 + b\'", "more": true}\\n\''
    last = 'b\'{"figure": "AAAA", "more": false}\\n\''
    await notebook.run(f"{HEAD}for _ in range(300): say({chunk})\nsay({last})")
    assert notebook.figures == []


async def test_a_stdout_that_does_not_wait_breaks_nothing(notebook: Notebook) -> None:
    code = (
        "import os\nos.set_blocking(1, False)\nfor _ in range(2000):\n"
        "  try: os.write(1, b'x' * 65536)\n  except BlockingIOError: pass"
    )
    assert not (await notebook.run(code))[1]
    assert await notebook.run("5") == ("5\n", False)


LEAVING = """
import os, subprocess, threading, time
kept = 5
os.system('(setsid sleep 600 & echo $! > daemon) >/dev/null 2>&1')
child = subprocess.Popen(['sleep', '600'])
def beat():
    while True: time.sleep(0.01)
thread = threading.Thread(target=beat, daemon=True)
thread.start()
print('up')
"""
LOOK = """
thread.join(10)
stat = '/proc/' + open('daemon').read().strip() + '/stat'
gone = not os.path.exists(stat) or ' Z ' in open(stat).read()
kept, child.wait(10) < 0, thread.is_alive(), gone
"""


@pytest.mark.parametrize(
    "wait",
    ["time.sleep(600)", "try: time.sleep(600)\nexcept BaseException: pass"],
    ids=["heeding", "swallowing"],
)
async def test_an_interrupt_ends_what_has_left_the_cell(notebook: Notebook, wait: str) -> None:
    await notebook.run_until(b"up", LEAVING + wait)
    assert await notebook.run(LOOK) == ("(5, True, False, True)\n", False)


async def test_orphans_do_not_fill_the_table_of_processes(notebook: Notebook) -> None:
    await notebook.run("import os\nfor _ in range(20): os.system('(sleep 0 &)')")
    code = (
        "import glob, time\n"
        "def state(path):\n"
        "  try: return open(path).read().rpartition(')')[2].split()\n"
        "  except OSError: return ['']\n"  # a process of somebody else has ended
        "def dead():\n"
        "  found = map(state, glob.glob('/proc/[0-9]*/stat'))\n"
        "  return [f for f in found if f[0] == 'Z' and f[1] == str(os.getppid())]\n"
        "while dead(): time.sleep(0.01)\n"
    )
    assert await notebook.run(code) == ("", False)
