"""How fast it goes and how long it will take, from how much there is so far."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from acp_agent.models.base import Progress, Tell

WINDOW = 10.0  # seconds that the rate is taken over
APART = 0.1  # seconds between two reports

Stage = Literal["checking", "downloading", "verifying"]


class Meter:
    """Reports the progress of all files together."""

    def __init__(
        self, stage: Stage, total: int, tell: Tell, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stage: Stage = stage
        self._total = total
        self._tell = tell
        self._clock = clock
        self._finished = 0
        self._seen: deque[tuple[float, int]] = deque()
        self._told = -APART

    def file_done(self, size: int) -> None:
        """Count a file as done, and report."""
        self._finished += size
        self._told = -APART
        self.at(0)

    def at(self, done: int, kept: int = 0) -> None:
        """Say how many bytes of the present file there are; up to `kept` were there before."""
        now = self._clock()
        if self._seen and now - self._told < APART:
            return
        self._told = now
        total = self._finished + done
        begun_anew = bool(self._seen) and total < self._seen[-1][1]
        if begun_anew or 0 < done <= kept:
            self._seen.clear()
        self._seen.append((now, total))
        while len(self._seen) > 2 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        rate = self._rate()
        eta = (self._total - total) / rate if rate else None
        self._tell(Progress(self._stage, total, self._total, rate, eta))

    def _rate(self) -> float:
        (start, before), (now, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - start) if now - start >= APART else 0.0
