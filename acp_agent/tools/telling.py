"""Output that is told while it comes: as events, at most ten a second."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import anyio

from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, ToolOutput
from acp_agent.tools.output import Output

INTERVAL = 0.1
LINGER = 0.2
LIVE_LIMIT = 1_000_000

T = TypeVar("T")


class Telling:
    """Gathers what one call writes, and tells it."""

    def __init__(self, call_id: str, cwd: str, emit: Emit) -> None:
        self._call_id = call_id
        self._cwd = cwd
        self._emit = emit
        self._output = Output()
        self._untold = ""
        self._told = 0
        self._news = anyio.Event()

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Add what was written; `final`: no more comes, and half a character stays half."""
        text = self._output.feed(data, final=final)
        room = LIVE_LIMIT - self._told - len(self._untold)
        if len(text) > room > 0:
            text = f"{text[:room]}\n[… further output is not shown live …]\n"
        self._untold += text if room > 0 else ""
        self._news.set()

    @property
    def text(self) -> str:
        """All that was written, or its head and tail."""
        return self._output.text

    async def during(self, work: Awaitable[T], *, cancelled_by: str | None = None) -> T:
        """Wait for `work`, and tell meanwhile. Raises ToolFailed if that does.

        `cancelled_by` is the signal that ends the work where the call is cancelled.
        """
        failure: ToolFailed | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tell_on)
                try:
                    return await work
                except ToolFailed as error:
                    failure = error  # A task group would wrap it up.
                finally:
                    tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            # A terminal that shows the call live must not go on running.
            with anyio.move_on_after(LINGER, shield=True):
                await self.tell(signal=cancelled_by, ended=True)
            raise
        assert failure is not None  # nothing else leads here
        raise failure

    async def tell(
        self, *, exit_code: int | None = None, signal: str | None = None, ended: bool = False
    ) -> None:
        """Tell what is untold; with `ended`, also that this was all."""
        if ended:
            self.feed(b"", final=True)
        delta, self._untold = self._untold, ""
        self._told += len(delta)
        await self._emit(
            ToolOutput(self._call_id, delta, self.text, self._cwd, exit_code, signal, ended)
        )

    async def _tell_on(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            if self._untold:
                await self.tell()
            await anyio.sleep(INTERVAL)
