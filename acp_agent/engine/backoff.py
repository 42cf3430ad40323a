"""How long to leave an engine that keeps crashing alone; pure."""

from __future__ import annotations

from collections.abc import Sequence

from acp_agent.engine.home import Crash

WINDOW = 600.0  # seconds after which a crash is forgotten
FREE = 2  # crashes after which it is started again at once
FIRST, LONGEST = 5.0, 300.0


def wait(crashes: Sequence[Crash], now: float) -> float:
    """Return how many seconds from now it may be started again; 0 if it may now."""
    recent = _recent(crashes, now)
    if len(recent) <= FREE:
        return 0.0
    pause = min(LONGEST, FIRST * 2 ** (len(recent) - FREE - 1))
    return max(0.0, recent[-1].time + pause - now)


def describe(crashes: Sequence[Crash], now: float, seconds: float) -> str:
    """Say that it keeps crashing, why, and when it is tried again."""
    recent = _recent(crashes, now)
    span = now - recent[0].time
    return (
        f"the engine crashed {len(recent)} times within {max(1, round(span))} s"
        f" ({recent[-1].words}); a prompt in {max(1, round(seconds))} s starts it again"
    )


def _recent(crashes: Sequence[Crash], now: float) -> list[Crash]:
    # A clock that was set back must not lock anybody out.
    return [crash for crash in crashes if now - WINDOW < crash.time <= now]
