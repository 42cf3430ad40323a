"""The kept interpreter, told apart from any sandbox: here it runs without one."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.sandbox.bare import open_bare
from acp_agent.sandbox.base import Policy
from acp_agent.sandbox.interpreter import (
    Done,
    Figure,
    Frames,
    Interpreter,
    InterpreterEnded,
    Piece,
    open_interpreter,
)

pytestmark = pytest.mark.anyio

# A stand-in for matplotlib, which is too large to be a dependency of tests.
PYPLOT = """
class Figure:
    axes = [1]
    def savefig(self, file, format, bbox_inches):
        file.write(b"picture " + format.encode() * {times})
_open = {{1: Figure()}}
def get_fignums(): return list(_open)
def figure(number): return _open[number]
def close(which): _open.clear()
"""


@dataclass
class Notebook:
    """Runs cells and gathers what they show."""

    interpreter: Interpreter
    figures: list[str] = field(default_factory=list[str])

    async def run(self, code: str) -> tuple[str, bool]:
        """Return what a cell wrote, and whether it failed."""
        written: list[bytes] = []

        def take(piece: Piece) -> None:
            match piece:
                case bytes():
                    written.append(piece)
                case Figure(data):
                    self.figures.append(data)
                case Done():
                    raise AssertionError("the end is returned, not taken")

        return await self._ended(code, take, written)

    async def run_until(self, sign: bytes, code: str) -> tuple[str, bool]:
        """Run a cell and interrupt it once it has written `sign`."""
        written: list[bytes] = []
        seen = anyio.Event()

        def take(piece: Piece) -> None:
            assert isinstance(piece, bytes)
            written.append(piece)
            if sign in b"".join(written):
                seen.set()

        async def interrupt() -> None:
            await seen.wait()
            await self.interpreter.interrupt()

        ended = ("", False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupt)
            ended = await self._ended(code, take, written)
        return ended

    async def _ended(
        self, code: str, take: Callable[[Piece], None], written: list[bytes]
    ) -> tuple[str, bool]:
        with anyio.fail_after(20):
            done = await self.interpreter.run(code, take)
        return b"".join(written).decode(), done.failed


@pytest.fixture
async def notebook(tmp_path: Path) -> AsyncIterator[Notebook]:
    async with open_bare(Policy()) as bare:
        async with open_interpreter(
            bare, cwd=tmp_path, env=dict(os.environ), python=sys.executable
        ) as interpreter:
            yield Notebook(interpreter)


async def test_state_is_kept(notebook: Notebook) -> None:
    assert await notebook.run("x = 1\nimport math") == ("", False)
    assert await notebook.run("x + math.floor(2.5)") == ("3\n", False)
    assert await notebook.run("_ * 2") == ("6\n", False)


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("'a'", "'a'\n"),
        ("None", ""),
        ("1;", ""),
        ("1\n2", "2\n"),
        ("if True:\n  5", ""),
        ("", ""),
        ("# nothing", ""),
        ("print('é', end='')", "é"),
        ("print('\\ud800')", "\\ud800\n"),
        ("display(1, 'b')", "1\n'b'\n"),
        ("exit()", ""),
        ("from __future__ import annotations", ""),
        ("await __import__('asyncio').sleep(0)\n7", "7\n"),
        ("!echo $((1 + 1))", "2\n"),
        ("for n in range(2):\n  !echo hi", "hi\nhi\n"),
        ("%matplotlib inline\n3", "3\n"),
        ("import pickle\nclass A: pass\ntype(pickle.loads(pickle.dumps(A()))) is A", "True\n"),
        ("import os\nif os.fork() == 0: pass\nelse: os.wait(); print('one')", "one\n"),
        ("import sys; print('\\0' + sys.argv[0])", "\0\n"),
    ],
)
async def test_a_cell_shows_what_jupyter_would(notebook: Notebook, code: str, written: str) -> None:
    assert await notebook.run(code) == (written, False)


async def test_all_that_is_written_comes_in_order(notebook: Notebook) -> None:
    code = (
        "import os, subprocess, sys\n"
        "print('out'); print('err', file=sys.stderr)\n"
        "subprocess.run(['echo', 'child']); os.write(2, b'raw\\n')\n'last'"
    )
    assert await notebook.run(code) == ("out\nerr\nchild\nraw\n'last'\n", False)


async def test_a_traceback_is_told_once_and_without_our_own_frames(notebook: Notebook) -> None:
    written, failed = await notebook.run("def f():\n    raise ValueError('bad')\nf()")
    assert failed
    assert written.count("Traceback") == 1
    assert "kernel" not in written
    assert "File \"<cell 1>\", line 2, in f\n    raise ValueError('bad')\n" in written
    assert written.endswith("ValueError: bad\n")


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("1 +", "SyntaxError: invalid syntax\n"),
        ("x\0", "source code string cannot contain null bytes\n"),
        ("import no_such_module", "No module named 'no_such_module'\n"),
        ("import sys; sys.exit(3)", "SystemExit: 3\n"),
        ("input('name? ')", "EOFError: EOF when reading a line\n"),
        (
            "class E(Exception):\n  def __str__(self): raise E\nraise E",
            "<exception str() failed>\n",
        ),
        ("class R:\n  def __repr__(self): return 1 / 0\nR()", "division by zero\n"),
        ("def f(): f()\nf()", "maximum recursion depth exceeded\n"),
    ],
)
async def test_a_failure_is_told_and_leaves_the_interpreter_alive(
    notebook: Notebook, code: str, end: str
) -> None:
    written, failed = await notebook.run(code)
    assert (written.endswith(end), failed) == (True, True), written
    assert await notebook.run("1") == ("1\n", False)


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout = sys.stderr = None",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import os; os.close(1)",
        "import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
        "import os; os.close(0)",
        "import sys; sys.exit = print = None; del sys.modules['__main__']",
        "import os; os.chdir('/')",
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
    ],
)
async def test_a_cell_that_breaks_its_own_streams_does_not_break_the_protocol(
    notebook: Notebook, code: str
) -> None:
    await notebook.run(code)
    await notebook.run("kept = 5")
    assert (await notebook.run("import os\nos.write(2, str(kept).encode());")) == ("5", False)


async def test_an_interrupt_keeps_the_state_and_ends_what_the_cell_started(
    notebook: Notebook,
) -> None:
    code = (
        "import subprocess, time\nkept = 5\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print('up')\ntime.sleep(600)"
    )
    written, failed = await notebook.run_until(b"up", code)
    assert failed
    assert written.endswith("KeyboardInterrupt\n")
    assert await notebook.run("kept, child.wait(10)") == ("(5, -9)\n", False)


async def test_an_interrupt_spares_what_an_earlier_cell_started(notebook: Notebook) -> None:
    await notebook.run(
        "import subprocess, time\n"
        "server = subprocess.Popen(['sleep', '600'], start_new_session=True)"
    )
    await notebook.run_until(b"up", "print('up'); time.sleep(600)")
    assert await notebook.run("server.poll()") == ("", False)
    assert await notebook.run("server.kill(); server.wait()") == ("-9\n", False)


async def test_an_interrupt_between_cells_does_nothing(notebook: Notebook) -> None:
    await notebook.run("x = 1")
    await notebook.interpreter.interrupt()
    assert await notebook.run("x") == ("1\n", False)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import os; os._exit(4)", 4),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import ctypes; ctypes.string_at(0)", -11),
    ],
)
async def test_a_cell_that_ends_the_interpreter_says_so(
    notebook: Notebook, code: str, status: int
) -> None:
    for _ in range(2):
        with pytest.raises(InterpreterEnded) as ended:
            await notebook.run(code)
        assert ended.value.status == status


async def test_a_file_of_the_workspace_is_imported_but_stands_in_for_no_module_of_ours(
    tmp_path: Path,
) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('not this one')")
    (tmp_path / "mine.py").write_text("value = 6")
    async with open_bare(Policy()) as bare:
        async with open_interpreter(
            bare, cwd=tmp_path, env=dict(os.environ), python=sys.executable
        ) as interpreter:
            assert await Notebook(interpreter).run("import mine; mine.value") == ("6\n", False)


@pytest.mark.parametrize("times", [1, 50_000])
async def test_figures_are_sent_whole(notebook: Notebook, tmp_path: Path, times: int) -> None:
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").touch()
    (tmp_path / "matplotlib" / "pyplot.py").write_text(PYPLOT.format(times=times))
    # A process in the background writes in between, without breaking a picture.
    noise = "import subprocess\np = subprocess.Popen('while :; do echo noise; done', shell=True)\n"
    _, failed = await notebook.run(f"{noise}import matplotlib.pyplot\n")
    await notebook.run("p.kill(); p.wait();")
    assert not failed
    assert [base64.b64decode(data) for data in notebook.figures] == [b"picture " + b"png" * times]


async def test_a_figure_that_is_too_large_is_told(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").touch()
    (tmp_path / "matplotlib" / "pyplot.py").write_text(PYPLOT.format(times=300_000))
    written = await notebook.run("import matplotlib.pyplot")
    assert written == ("[a figure is too large to show]\n", False)
    assert notebook.figures == []


async def test_a_real_plot_is_a_png(notebook: Notebook) -> None:
    pytest.importorskip("matplotlib")
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    assert await notebook.run(code) == ("", False)
    assert notebook.figures[0].startswith("iVBORw0KGgo")


async def test_ten_megabytes_come_whole(notebook: Notebook) -> None:
    written, failed = await notebook.run("print('0123456789' * 1_000_000)")
    assert (len(written), failed) == (10_000_001, False)


# What a program writes may hold anything, also beginnings of the marker.
OUTPUT = st.lists(st.sampled_from([b"a", b"\n", b"\0", b"\0m", b"\0ma", b"{}", b"\xff"])).map(
    b"".join
)


@given(
    parts=st.lists(st.one_of(OUTPUT, st.integers(0, 9).map(lambda n: {"n": n}))),
    cuts=st.lists(st.integers(1, 7)),
)
def test_frames_are_found_wherever_the_stream_is_cut(
    parts: list[bytes | dict[str, int]], cuts: list[int]
) -> None:
    head = b"\0mark"
    stream = b"".join(
        part if isinstance(part, bytes) else head + json.dumps(part).encode() + b"\n"
        for part in parts
    )
    frames = Frames("mark")
    found: list[bytes | dict[str, int]] = []
    for size in [*cuts, len(stream)]:
        found += frames.feed(stream[:size])
        stream = stream[size:]
    assert joined(found) in (joined(parts), joined(withheld(parts)))


def joined(parts: list[bytes | dict[str, int]]) -> list[bytes | dict[str, int]]:
    """Return the parts with neighbouring output made one."""
    whole: list[bytes | dict[str, int]] = []
    for part in parts:
        if isinstance(part, bytes) and whole and isinstance(whole[-1], bytes):
            whole[-1] += part
        elif part != b"":
            whole.append(part)
    return whole


def withheld(parts: list[bytes | dict[str, int]]) -> list[bytes | dict[str, int]]:
    """Return the parts without a beginning of the marker at the very end, which has to wait."""
    whole = joined(parts)
    if whole and isinstance(whole[-1], bytes):
        last = whole[-1]
        cut = next(n for n in (3, 2, 1, 0) if last.endswith(b"\0mark"[:n]))
        whole[-1] = last[: len(last) - cut]
    return whole
