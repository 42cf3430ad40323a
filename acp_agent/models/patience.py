"""How often and how long after an interruption it is tried again."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from acp_agent.models.base import InstallFailed, Interrupted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses double from `first` to `longest` seconds; `tries` without anything new are enough.

    Whoever says how long to wait is heeded up to `asked` seconds. `jitter` gives what part of the
    second half of a pause is waited, so that those who were interrupted together part. `hear` gets
    why it is waited, and how long.
    """

    tries: int = 8
    first: float = 1.0
    longest: float = 60.0
    asked: float = 300.0
    jitter: Callable[[], float] = random.random
    hear: Callable[[str], None] = logger.info

    def pause(self, failed: int, error: Interrupted, doing: str, kept: str = "") -> float:
        """Return the seconds to wait after the `failed`-th failure in a row.

        Raises:
            InstallFailed: It is no use; the text starts with `doing` and ends with `kept`.

        """
        if failed > self.tries:
            raise InstallFailed(
                f"{doing}: {error}, {failed} times in a row; try again later{kept}"
            ) from error
        if error.wait is not None and error.wait > self.asked:
            raise InstallFailed(
                f"{doing}: {error}, and asks to wait {error.wait / 60:.0f} minutes; try again"
                f" then{kept}"
            ) from error
        grown = min(self.longest, self.first * 2 ** (failed - 1))
        return max(error.wait or 0.0, grown * (1 + self.jitter()) / 2)

    async def wait(self, failed: int, error: Interrupted, doing: str, kept: str = "") -> None:
        """Sleep as long as `pause` says. Raises InstallFailed."""
        seconds = self.pause(failed, error, doing, kept)
        self.hear(f"{doing}: {error}; again in {max(1, round(seconds))} s")
        await anyio.sleep(seconds)


PATIENCE = Patience()
