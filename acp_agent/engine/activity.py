"""Whether an engine is being used, by its own account of its slots."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.request import ProxyHandler, Request, build_opener

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 30.0  # seconds between looks


class Activity:
    """Tells how long nothing has been asked of the server at `url`."""

    def __init__(self, url: str, key: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = Request(f"{url}/slots", headers={"Authorization": f"Bearer {key}"})
        self._opener = build_opener(ProxyHandler({}))
        self._clock = clock
        self._used = clock()
        self._looked = self._used
        self._tasks: object = None

    def is_idle(self, limit: float) -> bool:
        """Tell whether nothing was asked for `limit` seconds, give or take a few; 0 is for ever."""
        if not limit:
            return False
        now = self._clock()
        if now - self._looked >= min(LONGEST_PAUSE, max(SHORTEST_PAUSE, limit / 20)):
            self._looked = now
            self._look(now)
        return now - self._used >= limit

    def _look(self, now: float) -> None:
        try:
            with self._opener.open(self._slots, timeout=5) as answer:
                slots = json.load(answer)
            tasks = [slot.get("id_task") for slot in slots]
            busy = any(slot.get("is_processing") for slot in slots)
        except (OSError, ValueError, AttributeError, TypeError):
            tasks, busy = self._tasks, True  # what cannot be asked is not known to be idle
        if busy or tasks != self._tasks:
            self._used, self._tasks = now, tasks
