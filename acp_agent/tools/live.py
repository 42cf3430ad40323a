"""A command of ours while it runs: its output as events, at most ten a second, and its end."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process

from acp_agent.events import Emit, Terminal, ToolOutput
from acp_agent.sandbox.process import process_group
from acp_agent.tools.output import Output

INTERVAL = 0.1
# After a command has ended, what it left in the pipe comes at once; a process that it left behind
# may hold the pipe open for ever.
LINGER = 0.2
LIVE_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `output` is short enough for the model."""

    output: str
    exit_code: int | None
    signal: str | None
    timed_out: bool = False
    terminal: Terminal | None = None


async def run_live(
    call_id: str,
    argv: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    timeout: float,
    emit: Emit,
    *,
    unwanted: Sequence[Path] = (),
    guard: Callable[[], Awaitable[str]] | None = None,
) -> Ended:
    """Run `argv` to its end or its time limit. Raises ToolFailed if it cannot start.

    Should `guard` return, the command is stopped for what that says.
    """
    live = _Live(call_id, cwd, emit)
    try:
        async with process_group(argv, cwd=cwd, env=env, unwanted=unwanted) as process:
            with anyio.move_on_after(timeout) as limit:
                await live.follow(process, guard)
    except anyio.get_cancelled_exc_class():
        # A terminal that shows the command live must not go on running.
        with anyio.move_on_after(LINGER, shield=True):
            await live.show(Ended(live.finished(), None, signal.Signals.SIGKILL.name))
        raise
    code = process.returncode
    killed = signal.Signals(-code).name if code is not None and code < 0 else None
    ended = Ended(
        live.finished(), None if killed else code, killed, timed_out=limit.cancelled_caught
    )
    await live.show(ended)
    return ended


class _Live:
    """Gathers output and tells it in intervals."""

    def __init__(self, call_id: str, cwd: str, emit: Emit) -> None:
        self._call_id = call_id
        self._cwd = cwd
        self._emit = emit
        self._output = Output()
        self._untold = ""
        self._told = 0
        self._due = 0.0

    async def follow(
        self, process: Process, guard: Callable[[], Awaitable[str]] | None = None
    ) -> None:
        """Read until the command has ended and its output has come, or `guard` returns."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, process)
            if guard is not None:
                tasks.start_soon(self._stop_for, guard, tasks.cancel_scope)
            await process.wait()
            tasks.cancel_scope.deadline = anyio.current_time() + LINGER

    async def _stop_for(
        self, guard: Callable[[], Awaitable[str]], reading: anyio.CancelScope
    ) -> None:
        reason = await guard()
        self._gather(self._output.feed(f"\n{reason}\n".encode()))
        reading.cancel()

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None  # process_group pipes it
        while True:
            data: bytes | None = None
            wait = self._due - anyio.current_time() if self._untold else None
            with anyio.move_on_after(wait):
                try:
                    data = await process.stdout.receive()
                except (anyio.EndOfStream, anyio.ClosedResourceError):
                    return
            if data is not None:
                self._gather(self._output.feed(data))
            if self._untold and anyio.current_time() >= self._due:
                await self.show()

    def _gather(self, text: str) -> None:
        room = LIVE_LIMIT - self._told - len(self._untold)
        if len(text) > room > 0:
            text = f"{text[:room]}\n[… further output is not shown live …]\n"
        self._untold += text if room > 0 else ""

    async def show(self, ended: Ended | None = None) -> None:
        """Tell what is untold, and at last how it ended."""
        delta, self._untold = self._untold, ""
        self._told += len(delta)
        self._due = anyio.current_time() + INTERVAL
        await self._emit(
            ToolOutput(
                self._call_id,
                delta,
                self._output.text,
                self._cwd,
                exit_code=ended.exit_code if ended else None,
                signal=ended.signal if ended else None,
                ended=ended is not None,
            )
        )

    def finished(self) -> str:
        """Return the whole output as it is kept, its last half character included."""
        self._gather(self._output.feed(b"", final=True))
        return self._output.text
