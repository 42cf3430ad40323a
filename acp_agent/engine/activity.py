"""Whether an engine is being used, by its own account of its slots."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Activity:
    """Tells how long nothing has been asked of a server, whose `/slots` are what `ask` returns."""

    def __init__(
        self, ask: Callable[[], Any], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._used = clock()
        self._tasks: object = None

    def unused(self) -> float:
        """Look, and return for how many seconds nothing was asked; 0 while it is at work."""
        busy, tasks = self._look()
        if busy or tasks != self._tasks:
            self._used, self._tasks = self._clock(), tasks
        return self._clock() - self._used

    def discount(self) -> None:
        """Look, and let the task that has just ended not count as use: it was our own."""
        busy, tasks = self._look()
        if busy:
            self._used = self._clock()
        self._tasks = tasks

    def _look(self) -> tuple[bool, object]:
        slots = self._ask()
        try:
            tasks = [slot.get("id_task") for slot in slots]
            return any(slot.get("is_processing") for slot in slots), tasks
        except (AttributeError, TypeError):
            return True, self._tasks  # what cannot be asked is not known to be idle
