"""How long an engine that keeps crashing is left alone."""

from __future__ import annotations

import pytest

from acp_agent.engine.backoff import describe, wait
from acp_agent.engine.home import Crash


def crashes(*times: float) -> list[Crash]:
    return [Crash(time, "CUDA error: out of memory") for time in times]


@pytest.mark.parametrize(
    ("times", "now", "seconds"),
    [
        ((), 1000.0, 0.0),
        ((1000.0,), 1000.0, 0.0),
        ((990.0, 1000.0), 1000.0, 0.0),
        ((980.0, 990.0, 1000.0), 1000.0, 5.0),
        ((980.0, 990.0, 1000.0), 1003.0, 2.0),
        ((980.0, 990.0, 1000.0), 1005.0, 0.0),
        ((970.0, 980.0, 990.0, 1000.0), 1000.0, 10.0),
        (tuple(992.0 + i for i in range(8)), 999.0, 160.0),
        ((100.0, 200.0, 1000.0), 1000.0, 0.0),  # long ago
        ((3000.0, 3001.0, 3002.0), 1000.0, 0.0),  # the clock was set back
    ],
)
def test_from_the_third_crash_on_the_pause_doubles(
    times: tuple[float, ...], now: float, seconds: float
) -> None:
    assert wait(crashes(*times), now) == seconds


def test_the_user_reads_why_and_when() -> None:
    assert describe(crashes(980, 990, 1000), 1001, 4.0) == (
        "the engine crashed 3 times within 21 s (CUDA error: out of memory); a prompt in 4 s"
        " starts it again"
    )
