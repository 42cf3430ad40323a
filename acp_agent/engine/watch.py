"""What the host does while its server answers: says how it is, keeps it warm, knows when to end."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from acp_agent.engine.activity import Activity
from acp_agent.engine.asking import Asker
from acp_agent.engine.home import EngineHome, EngineState, Lock
from acp_agent.engine.machine import held, look
from acp_agent.engine.order import Server
from acp_agent.engine.spec import Patience

Reason = Literal["told to", "idle", "memory is short", "unused", "crashed"]

SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
SHORTEST_LOOK, LONGEST_LOOK = 0.1, 30.0  # seconds between looks at what was asked
MEMORY_LOOK = 5.0
LARGEST_LOG = 16 << 20
GRAIN = 16 << 20  # bytes of memory that are worth a word


def watermark(limit: float, loaded: float) -> float:
    """Return the share of the memory in use above which an engine gives its part back.

    `loaded` is the share once the model was there. Where that is beyond the limit, as 12 GB of
    weights are on a machine of 16, the engine would never stay: half of what is left may go.
    """
    return limit if loaded < limit or not limit else (1 + loaded) / 2


class Timer:
    """Is due every so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Tell whether the time has come, and begin anew if so."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Watch:
    """Waits beside `server` for a reason to end; never while it answers, unless told to."""

    def __init__(
        self, server: Server, home: EngineHome, state: EngineState, patience: Patience
    ) -> None:
        self._server = server
        self._home = home
        self._state = state
        pressure = look().pressure
        self._patience = replace(patience, limit=watermark(patience.limit, pressure))
        self._asker = Asker(state.url, state.key)
        self._activity = Activity(lambda: self._asker.get("/slots"))
        self._use = Timer(min(LONGEST_LOOK, max(SHORTEST_LOOK, patience.idle / 20)))
        self._memory = Timer(min(MEMORY_LOOK, max(SHORTEST_LOOK, patience.grace / 4)))
        self._warming = Timer(patience.keepalive)
        self._unused_since: float | None = None
        self._report(pressure)

    def until_end(self, ended: threading.Event) -> tuple[Reason, Lock | None]:
        """Return why to end; if unused, with the `users` lock.

        While that is held, newcomers wait for us to be gone, and then start another. Users whose
        engine ended under them start another when they need one again.
        """
        while not ended.wait(self._pause()):
            if not self._server.is_alive():
                return "crashed", None
            reason = self._idle() or self._short()
            if reason is not None:
                return reason, None
            self._warm()
            closing = self._left()
            if closing is not None:
                return "unused", closing
        return "told to", None

    def _pause(self) -> float:
        times = (self._patience.linger, self._patience.idle, self._patience.keepalive)
        shortest = min([seconds for seconds in times if seconds] or [0.0])
        return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, shortest / 4))

    def _idle(self) -> Reason | None:
        limit = self._patience.idle
        if limit and self._use.due() and self._activity.unused() >= limit:
            return "idle"
        return None

    def _short(self) -> Reason | None:
        """Look at the memory; above the limit, an engine with nothing to do gives its part back."""
        if not self._memory.due():
            return None
        pressure = look().pressure
        self._report(pressure)
        if pressure > self._patience.limit and self._activity.unused() >= self._patience.grace:
            return "memory is short"
        return None

    def _report(self, pressure: float) -> None:
        state = self._state
        memory, peak = held(self._server.pid)
        new = replace(
            state,
            memory=memory - memory % GRAIN,
            memory_peak=max(state.memory_peak, peak - peak % GRAIN),
            pressure=round(pressure, 2),
            limit=round(self._patience.limit, 2),
            linger=self._patience.linger,
        )
        if new != state:
            self._state = new
            self._home.write(new)
        with suppress(OSError):
            if Path(state.log).stat().st_size > LARGEST_LOG:
                os.truncate(state.log, 0)

    def _warm(self) -> None:
        seconds = self._patience.keepalive
        if not seconds or self._home.is_quiet(self._state.pid):
            return
        if self._warming.due() and self._activity.unused() >= seconds:
            self._asker.warm(self._patience.keepalive_tokens)
            self._activity.discount()

    def _left(self) -> Lock | None:
        """Return the `users` lock once nobody has held it for long enough."""
        asked = self._home.asked_linger(self._state.pid)
        if asked is not None and asked != self._patience.linger:
            self._patience = replace(self._patience, linger=asked)
        lock = self._home.lock("users")
        if lock is None:
            self._unused_since = None
            return None
        now = time.monotonic()
        if self._unused_since is None:
            self._unused_since = now
        if now - self._unused_since >= self._patience.linger:
            return lock
        lock.release()
        return None
