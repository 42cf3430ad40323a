"""Whether a model is of use on this machine and fits into its memory, in a sentence."""

from __future__ import annotations

from acp_agent.engine.machine import look
from acp_agent.models.base import InstallFailed
from acp_agent.models.catalog import Entry
from acp_agent.models.install import gigabytes

# A machine sold with 16 GB says a little less; what its graphics hold is missing too.
TOLERANCE = 0.9


def check_platform(entry: Entry, platform: str) -> None:
    """Raise InstallFailed if nothing on this platform serves the model."""
    if entry.format == "mlx" and platform != "darwin":
        raise InstallFailed(
            f"{entry.name} is for MLX, which only Macs have; install gpt-oss-20b, or download it"
            " all the same with --force"
        )


def memory_advice(weights: int, needed: int = 0, total: int | None = None) -> str:
    """Return a warning if a model would run slowly or not well, else "".

    Raises:
        InstallFailed: It cannot run here at all; the text says what to do instead.

    """
    there = look().total if total is None else total
    if not there or not weights:
        return ""
    if weights > there:
        raise InstallFailed(
            f"this machine has {gigabytes(there)} of memory, and the weights alone are"
            f" {gigabytes(weights)}; use a model of another machine (GPT_OSS_URL), a smaller one"
            " (smollm2, for mode fm), or install it all the same with --force"
        )
    needed = needed or weights * 5 // 4
    if needed * TOLERANCE > there:
        return (
            f"this machine has {gigabytes(there)} of memory, and {gigabytes(needed)} are advised:"
            " close other programs while it runs, and give it little context (GPT_OSS_CTX=8192)"
        )
    return ""
