"""How far an install is, in words."""

from __future__ import annotations

from acp_agent.models.base import Progress
from acp_agent.models.install import gigabytes

STAGES = {"checking": "looking", "downloading": "downloading", "verifying": "hashing"}


def sentence(progress: Progress) -> str:
    """Return progress as people read it: `downloading 43 %, 5.2 of 12.1 GB, 48.0 MB/s, 2 min`."""
    if progress.note:
        return progress.note
    if progress.stage == "checking" or not progress.total:
        return f"{STAGES[progress.stage]} …"
    percent = int(100 * progress.done / progress.total)
    parts = [f"{STAGES[progress.stage]} {percent} %"]
    parts.append(f"{gigabytes(progress.done)} of {gigabytes(progress.total)}")
    if progress.rate > 0:
        parts.append(f"{gigabytes(int(progress.rate))}/s")
    if progress.eta is not None and progress.done < progress.total:
        parts.append(f"{duration(progress.eta)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return how long that is, in words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
