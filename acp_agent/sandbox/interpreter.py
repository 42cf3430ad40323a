"""The agent's side of the interpreter in a sandbox: a cell in; output, figures and an end out."""

from __future__ import annotations

import binascii
import json
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from acp_agent.sandbox.base import Running, Sandbox

LONGEST_FRAME = 4096
# As the kernel keeps them; cells can write to its stream too.
MAX_FIGURES = 8
MAX_FIGURE = 1_000_000
KERNEL = Path(__file__).with_name("kernel.py")
# A module of the workspace must not stand in for one that the kernel itself needs.
_BOOT = """
import sys
sys.path[:] = [path for path in sys.path if path]
exec(compile(sys.argv.pop(1), "<kernel>", "exec"))
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture that a cell has drawn, as PNG in base64."""

    data: str


@dataclass(frozen=True, slots=True)
class Done:
    """The cell has ended; `failed` if by an error."""

    failed: bool


Piece = bytes | Figure | Done


class InterpreterEnded(Exception):
    """The interpreter is gone, and all its state; `status` is what `Running.wait` returns."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the interpreter ended with {status}")
        self.status = status


class Frames:
    """Takes apart what the kernel writes: output as it is, and frames behind the marker.

    Cells can find out the marker. What is no frame behind it is output.
    """

    def __init__(self, marker: str) -> None:
        self._head = b"\0" + marker.encode()
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes | dict[str, Any]]:
        """Give what `data` completes, in order."""
        self._rest += data
        while self._rest:
            output, head, frame = self._rest.partition(self._head)
            if not head:
                # What may be the beginning of a marker has to wait for the rest of it.
                kept = _overlap(output, self._head)
                output, self._rest = output[: len(output) - kept], output[len(output) - kept :]
                if output:
                    yield output
                return
            if output:
                yield output
            line, newline, rest = frame.partition(b"\n")
            if not newline and len(line) <= LONGEST_FRAME:
                self._rest = head + line
                return
            value = _members(line) if len(line) <= LONGEST_FRAME else None
            self._rest = frame if value is None else rest
            yield head if value is None else value


class Interpreter:
    """One kept interpreter; one cell at a time."""

    def __init__(self, running: Running, marker: str) -> None:
        self._running = running
        self._frames = Frames(marker)
        self._number = 0

    async def run(self, code: str, take: Callable[[Piece], None]) -> Done:
        """Run a cell, giving each piece to `take`. Not to be used again once this was cancelled.

        Raises:
            InterpreterEnded: The cell has ended the interpreter, or it was dead already.

        """
        self._number += 1
        request = json.dumps({"id": self._number, "code": code}) + "\n"
        try:
            await self._running.send(request.encode())
        except BrokenPipeError:
            raise InterpreterEnded(await self._running.wait()) from None
        figures = _Figures()
        async for data in self._running.output:
            for piece in self._frames.feed(data):
                match piece:
                    case bytes():
                        take(piece)
                    case {"figure": str(chunk), "more": more}:
                        if found := figures.add(chunk, last=not more):
                            take(found)
                    case {"done": self._number, "failed": failed}:
                        return Done(bool(failed))
                    case _:
                        pass
        raise InterpreterEnded(await self._running.wait())

    async def interrupt(self) -> None:
        """Stop the cell that runs; its state is kept if it heeds that."""
        await self._running.interrupt()


class _Figures:
    """Puts pictures together, as many and as large as the kernel would send in a cell."""

    def __init__(self) -> None:
        self._left = MAX_FIGURES
        self._data = ""

    def add(self, chunk: str, *, last: bool) -> Figure | None:
        """Add to a picture; return it if this was its end, and it is one."""
        self._data = (self._data + chunk)[: MAX_FIGURE + 1]
        if not last:
            return None
        data, self._data = self._data, ""
        if not self._left or len(data) > MAX_FIGURE or not _is_base64(data):
            return None
        self._left -= 1
        return Figure(data)


@asynccontextmanager
async def open_interpreter(
    sandbox: Sandbox, *, cwd: Path, env: Mapping[str, str], python: str = "python3"
) -> AsyncGenerator[Interpreter]:
    """Start an interpreter in a sandbox. Raises ToolFailed if it cannot start."""
    marker = secrets.token_hex(8)
    argv = (python, "-c", _BOOT, KERNEL.read_text(encoding="utf-8"), marker)
    async with sandbox.start(argv, cwd=cwd, env=env) as running:
        yield Interpreter(running, marker)


def _overlap(text: bytes, head: bytes) -> int:
    """Return how many bytes at the end of `text` begin `head`."""
    longest = min(len(text), len(head) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(head[:n])), 0)


def _members(line: bytes) -> dict[str, Any] | None:
    """Return what a line of JSON holds, None if it is no object."""
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _is_base64(data: str) -> bool:
    try:
        return bool(binascii.a2b_base64(data, strict_mode=True))
    except ValueError:
        return False
