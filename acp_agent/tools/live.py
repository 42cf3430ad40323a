"""A command of ours while it runs: its output told as it comes, and its end."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process

from acp_agent.events import Emit, Terminal
from acp_agent.sandbox.process import process_group
from acp_agent.tools.telling import Telling

# After a command has ended, what it left in the pipe comes at once; a process that it left behind
# may hold the pipe open for ever.
LINGER = 0.2


Guard = Callable[[], Awaitable[str]]


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
    guard: Guard | None = None,
) -> Ended:
    """Run `argv` to its end or its time limit. Raises ToolFailed if it cannot start.

    Should `guard` return, the command is stopped for what that says.
    """
    telling = Telling(call_id, cwd, emit)
    async with process_group(argv, cwd=cwd, env=env, unwanted=unwanted) as process:
        following = _follow(process, telling, timeout, guard)
        timed_out = await telling.during(following, cancelled_by=signal.Signals.SIGKILL.name)
    code = process.returncode
    killed = signal.Signals(-code).name if code is not None and code < 0 else None
    code = None if killed else code
    await telling.tell(exit_code=code, signal=killed, ended=True)
    return Ended(telling.text, code, killed, timed_out)


async def _follow(process: Process, telling: Telling, timeout: float, guard: Guard | None) -> bool:
    """Read until the command has ended and its output has come; return whether time was up."""
    with anyio.move_on_after(timeout) as limit:
        async with anyio.create_task_group() as tasks:
            drained = anyio.Event()
            tasks.start_soon(_read, process, telling, drained)
            if guard is not None:
                tasks.start_soon(_stop_for, guard, telling, tasks.cancel_scope)
            await process.wait()
            with anyio.move_on_after(LINGER):
                await drained.wait()
            tasks.cancel_scope.cancel()
    return limit.cancelled_caught


async def _stop_for(guard: Guard, telling: Telling, following: anyio.CancelScope) -> None:
    reason = await guard()
    telling.feed(f"\n{reason}\n".encode())
    following.cancel()


async def _read(process: Process, telling: Telling, drained: anyio.Event) -> None:
    assert process.stdout is not None  # process_group pipes it
    try:
        while True:
            telling.feed(await process.stdout.receive())
    except (anyio.EndOfStream, anyio.ClosedResourceError):
        drained.set()
