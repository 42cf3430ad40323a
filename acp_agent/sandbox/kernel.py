"""The interpreter inside a sandbox: keeps its state, runs one cell at a time, as Jupyter does.

Its source is given to `python3 -c`, so it needs nothing but the standard library, of 3.8 or newer,
and it is never imported by the agent. A cell comes as a line of JSON on stdin. What the cell and
its children write goes straight to stdout, which takes stderr too; in between stand frames: a NUL,
the marker (the first argument), and a line of JSON. Each frame is one write of at most 4096 bytes,
which a pipe keeps in one piece.
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
            raise KeyboardInterrupt

    def _run(self, code: str) -> bool:
        """Run a cell and show what there is to show; return whether it failed."""
        before = _descendants(self._pid)
        failed = False
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
            if isinstance(error, KeyboardInterrupt):
                _kill(_descendants(self._pid) - before)
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
        os.write(2, f"{type(error).__name__}, then {type(worse).__name__}\n".encode())


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # A cell may have put anything there.
            stream.flush()


def _descendants(top: int) -> set[int]:
    """Return the processes below `top`; none where /proc does not tell."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = stat.read_bytes().rpartition(b")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
    found: set[int] = set()
    more = {top}
    while more:
        more = {pid for pid, parent in parents.items() if parent in more} - found
        found |= more
    return found


def _kill(pids: set[int]) -> None:
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def main(marker: str) -> None:
    """Take stdin and stdout for the protocol, and give the cells others."""
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
