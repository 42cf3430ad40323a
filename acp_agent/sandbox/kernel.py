"""The interpreter inside a sandbox: keeps its state, runs one cell at a time, as Jupyter does.

Its source is given to `python3 -c`, so it needs nothing but the standard library, of 3.8 or newer,
and it is never imported by the agent. A cell comes as a line of JSON on stdin. What the cell and
its children write goes straight to stdout, which takes stderr too; in between stand frames: a NUL,
the marker (the first argument), and a line of JSON. Each frame is one write of at most 4096 bytes,
which a pipe keeps in one piece.

The interpreter is the child of a process that adopts what cells have orphaned, so that an interrupt
finds all that the cell has started.
"""

from __future__ import annotations

import ast
import base64
import builtins
import io
import json
import linecache
import os
import signal
import sys
import threading
import traceback
import types
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

CHUNK = 3000
MAX_FIGURES = 8
MAX_FIGURE = 700_000
CELL = "<cell"
KERNEL = "<kernel>"  # the name that this file is compiled by


class Kernel:
    """`replies` is where frames go, whatever the cells do to their own stdout."""

    def __init__(self, marker: str, replies: int) -> None:
        self._stopped = False
        self._head = b"\0" + marker.encode()
        self._replies = replies
        self._pid = os.getpid()
        self._busy = False
        self._count = 0
        self._main = types.ModuleType("__main__")
        self._main.__dict__.update(__builtins__=builtins, display=_display)
        # What cells define is found where pickle and multiprocessing look for it.
        sys.modules["__main__"] = self._main

    def serve(self, requests: io.BufferedReader) -> None:
        """Run cells until there are no more."""
        signal.signal(signal.SIGINT, self._interrupted)
        for line in requests:
            cell: dict[str, Any] = json.loads(line)
            try:
                failed = self._run(cell["code"])
            except KeyboardInterrupt:  # It came while the cell was ending.
                failed = True
            if os.getpid() != self._pid:
                os._exit(0)  # A child that the cell has forked ends with the cell.
            self._say({"done": cell["id"], "failed": failed})

    def _interrupted(self, number: int, frame: types.FrameType | None) -> None:
        if self._busy and os.getpid() == self._pid:
            self._stopped = True
            raise KeyboardInterrupt

    def _run(self, code: str) -> bool:
        """Run a cell and show what there is to show; return whether it failed."""
        processes, threads = _processes(), set(threading.enumerate())
        failed = self._stopped = False
        try:
            self._busy = True
            try:
                self._execute(code)
                self._show_figures()
            finally:
                self._busy = False
        # The boundary between a cell and the loop that outlives it.
        except BaseException as error:
            failed = not _is_plain_exit(error)
            if failed:
                _print_error(error)
            with suppress(BaseException):
                _close_figures()
        if self._stopped and os.getpid() == self._pid:
            _end_threads(set(threading.enumerate()) - threads)
            _end_processes(processes)
        signal.signal(signal.SIGINT, self._interrupted)
        _flush()
        return failed

    def _execute(self, code: str) -> None:
        self._count += 1
        name = f"{CELL} {self._count}>"
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        tree = _parsed(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        self._evaluate(compile(tree, name, "exec", _AWAIT, dont_inherit=True))
        if isinstance(last, ast.Expr):
            expression = ast.Expression(last.value)
            value = self._evaluate(compile(expression, name, "eval", _AWAIT, dont_inherit=True))
            if value is not None and not code.rstrip().endswith(";"):
                self._main.__dict__["_"] = value
                _display(value)

    def _evaluate(self, code: types.CodeType) -> Any:
        value = eval(code, self._main.__dict__)
        if not code.co_flags & _COROUTINE:
            return value
        asyncio = __import__("asyncio")  # `await` outside of functions, which notebooks allow
        if getattr(self, "_loop", None) is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(value)

    def _show_figures(self) -> None:
        plot = sys.modules.get("matplotlib.pyplot")
        if plot is None:
            return
        for number in plot.get_fignums()[:MAX_FIGURES]:
            figure = plot.figure(number)
            if not figure.axes:
                continue
            file = io.BytesIO()
            figure.savefig(file, format="png", bbox_inches="tight")
            if len(file.getvalue()) > MAX_FIGURE:
                sys.stdout.write("[a figure is too large to show]\n")
                continue
            self._send_figure(base64.b64encode(file.getvalue()).decode())
        _close_figures()

    def _send_figure(self, data: str) -> None:
        _flush()
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            self._say({"figure": chunk, "more": start + CHUNK < len(data)})

    def _say(self, frame: dict[str, Any]) -> None:
        os.set_blocking(self._replies, True)  # A cell may have changed that for its stdout.
        os.write(self._replies, self._head + json.dumps(frame).encode() + b"\n")


_AWAIT = getattr(ast, "PyCF_ALLOW_TOP_LEVEL_AWAIT", 0)
_COROUTINE = 0x80  # inspect.CO_COROUTINE


def _parsed(code: str, name: str) -> ast.Module:
    """Return the tree of a cell, `!command` and `%matplotlib` being understood as in a notebook."""
    try:
        return _tree(code, name)
    except SyntaxError:
        lines: list[str] = []
        for line in code.splitlines():
            bare = line.lstrip()
            indent = line[: len(line) - len(bare)]
            if bare.startswith("!"):
                line = f"{indent}__import__('os').system({bare[1:]!r}) or None"
            elif bare.startswith("%matplotlib"):
                line = indent + "pass"
            lines.append(line)
        if lines == code.splitlines():
            raise
        return _tree("\n".join(lines), name)


def _tree(code: str, name: str) -> ast.Module:
    tree: Any = compile(code, name, "exec", ast.PyCF_ONLY_AST | _AWAIT, dont_inherit=True)
    return tree


def _display(*values: Any) -> None:
    for value in values:
        sys.stdout.write(f"{value!r}\n")


def _close_figures() -> None:
    plot = sys.modules.get("matplotlib.pyplot")
    if plot is not None:
        plot.close("all")


def _is_plain_exit(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _print_error(error: BaseException) -> None:
    """Print the traceback once, without what is ours in it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == KERNEL:
        trace = trace.tb_next
    try:
        told = traceback.TracebackException(type(error), error, trace)
        told.stack[:] = [frame for frame in told.stack if frame.filename != KERNEL]
        sys.stderr.write("".join(told.format()))
    except BaseException as worse:  # An error whose text is an error, or no stderr.
        with suppress(OSError):
            os.write(2, f"{type(error).__name__}, then {type(worse).__name__}\n".encode())


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # A cell may have put anything there.
            stream.flush()


def _processes() -> set[int]:
    """Return what runs below our parent, but for ourselves; nothing where /proc does not tell."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = stat.read_bytes().rpartition(b")")[2].split()
            if fields[0] not in (b"Z", b"X"):
                parents[int(stat.parent.name)] = int(fields[1])
    found: set[int] = set()
    more = {os.getppid()}
    while more:
        more = {pid for pid, parent in parents.items() if parent in more} - found
        found |= more
    return found - {os.getpid()}


def _end_processes(spared: set[int]) -> None:
    for _ in range(20):  # They may be making others meanwhile.
        pids = _processes() - spared
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            return


def _end_threads(threads: set[threading.Thread]) -> None:
    """Raise SystemExit in each, which ends those that run Python."""
    with suppress(Exception):
        ctypes = __import__("ctypes")
        for thread in threads:
            number = ctypes.c_ulong(thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(SystemExit))


def _live_as_a_child() -> None:
    """Go on in a child; the parent adopts, waits, and ends as the child does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(Exception):  # Elsewhere than on Linux orphans are not adopted.
        set_child_subreaper = 36
        __import__("ctypes").CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)
    child = os.fork()
    if not child:
        return
    os.closerange(0, 3)
    ended = status = 0
    while ended != child:
        ended, status = os.wait()
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def main(marker: str) -> None:
    """Take stdin and stdout for the protocol, and give the cells others."""
    _live_as_a_child()
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(1, 2)
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    os.environ.setdefault("MPLBACKEND", "Agg")
    warnings.filterwarnings("ignore", message=".*non-interactive.*")  # what plt.show() says there
    sys.argv = [""]
    sys.path.insert(0, "")
    Kernel(marker, replies).serve(requests)


if __name__ == "__main__":
    main(sys.argv[1])
