"""The interpreter that the tool `python` keeps between calls, and one cell in it.

What it holds is opened in one call and closed in another, so neither a sandbox nor a program in it
may keep a task group or a cancel scope open while it lasts.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from acp_agent.sandbox.base import Policy, Sandbox
from acp_agent.sandbox.disk_guard import Floor, nearly_full
from acp_agent.sandbox.interpreter import (
    Interpreter,
    InterpreterEnded,
    Piece,
    open_interpreter,
)

OpenSandbox = Callable[[Policy], AbstractAsyncContextManager[Sandbox]]
# A cell that heeds an interrupt does so at once; one in the midst of foreign code may never do.
HEED_SECONDS = 2.0
CLEAN_UP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a cell went.

    `lost` says why the interpreter is gone after it, `anew` why it was another one than the cell
    before had; "" if not.
    """

    failed: bool
    timed_out: bool = False
    lost: str = ""
    anew: str = ""


class PythonSession:
    """At most one interpreter, in the sandbox of one policy."""

    def __init__(self, cwd: Path, python: str) -> None:
        self._cwd = cwd
        self._python = python
        self._held: AsyncExitStack | None = None
        self._interpreter: Interpreter | None = None
        self._made_for: tuple[object, Policy] | None = None
        self._turn = anyio.Lock()
        self._untold_loss = ""

    async def run(
        self,
        code: str,
        take: Callable[[Piece], None],
        *,
        open_sandbox: OpenSandbox,
        policy: Policy,
        env: Mapping[str, str],
        timeout: float,
        floor: Floor,
    ) -> Ran:
        """Run a cell; a cancel stops it and keeps the state if it can. Raises ToolFailed."""
        async with self._turn:
            interpreter = await self._ready(open_sandbox, policy, env)
            ran = await _Cell(self, interpreter, policy, floor).run(code, take, timeout)
            anew, self._untold_loss = self._untold_loss, ""
            return replace(ran, anew="" if ran.lost else anew)

    async def close(self, loss: str = "") -> None:
        """End the interpreter and its sandbox."""
        held, self._held, self._interpreter = self._held, None, None
        if held is not None:
            self._untold_loss = loss
            with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await held.aclose()

    async def _ready(
        self, open_sandbox: OpenSandbox, policy: Policy, env: Mapping[str, str]
    ) -> Interpreter:
        made_for = (open_sandbox, policy)
        if self._interpreter is not None and self._made_for != made_for:
            await self.close("what python may touch has changed")
        if self._interpreter is None:
            async with AsyncExitStack() as stack:
                sandbox = await stack.enter_async_context(open_sandbox(policy))
                self._interpreter = await stack.enter_async_context(
                    open_interpreter(sandbox, cwd=self._cwd, env=env, python=self._python)
                )
                self._held = stack.pop_all()
                self._made_for = made_for
        return self._interpreter


class _Cell:
    """One cell on its way: whoever waits for it may give up, its reader never stops half-way."""

    def __init__(
        self, session: PythonSession, interpreter: Interpreter, policy: Policy, floor: Floor
    ) -> None:
        self._session = session
        self._interpreter = interpreter
        self._policy = policy
        self._floor = floor
        self._reading = anyio.CancelScope(shield=True)
        self._over = anyio.Event()
        self._failed = True
        self._timed_out = False
        self._flooded = False
        self._lost = ""

    async def run(self, code: str, take: Callable[[Piece], None], timeout: float) -> Ran:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, timeout, take)
            with self._reading:
                try:
                    self._failed = (await self._interpreter.run(code, take)).failed
                except InterpreterEnded as ended:
                    self._lost = _why(ended.status, self._policy)
                    await self._session.close(self._lost)
            self._over.set()
        failed = self._failed or self._timed_out or self._flooded
        return Ran(failed, self._timed_out, self._lost)

    async def _watch(self, timeout: float, take: Callable[[Piece], None]) -> None:
        """Stop the cell after its time, when it fills a disk, or when the call is cancelled."""
        try:
            with anyio.move_on_after(timeout):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._look_at_disks, take, tasks.cancel_scope)
                    await self._over.wait()
                    tasks.cancel_scope.cancel()
            self._timed_out = not self._over.is_set() and not self._flooded
        finally:
            if not self._over.is_set():
                with anyio.CancelScope(shield=True):
                    await self._stop()

    async def _look_at_disks(
        self, take: Callable[[Piece], None], waiting: anyio.CancelScope
    ) -> None:
        disks = (*self._policy.writable, Path(tempfile.gettempdir()))
        reason = await nearly_full(disks, self._floor)
        self._flooded = True
        take(f"{reason}\n".encode())
        waiting.cancel()

    async def _stop(self) -> None:
        with anyio.move_on_after(HEED_SECONDS):
            await self._interpreter.interrupt()
            await self._over.wait()
        if not self._over.is_set():
            # The reader must not take from a stream that is being closed.
            self._reading.cancel()
            self._lost = "it did not heed an interrupt and was killed"
            await self._session.close(self._lost)


def _why(status: int, policy: Policy) -> str:
    if status == -signal.SIGKILL:
        return f"it was killed, probably for using more than {policy.limits.memory} MiB of memory"
    if status < 0:
        return f"it ended by {_signal_name(-status)}"
    return f"it ended with status {status}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
