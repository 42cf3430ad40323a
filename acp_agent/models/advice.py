"""Whether a model is of use on this machine and fits into its memory, in a sentence."""

from __future__ import annotations

from acp_agent.engine.machine import Machine, look
from acp_agent.engine.preflight import room
from acp_agent.engine.shape import Cache, Shape
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


def memory_advice(weights: int, needed: int = 0, machine: Machine | None = None) -> str:
    """Return a warning if a model would run slowly or not well, else "".

    Raises:
        InstallFailed: The engine would refuse it here; the text says what to do instead.

    """
    there = machine or look(gpus=True)
    if not there.total or not weights:
        return ""
    total = there.total + sum(gpu.total for gpu in there.gpus)
    if Shape("", weights).need(0, Cache()) > room(there):
        raise InstallFailed(
            f"this machine has {gigabytes(total)} of memory, too little for {gigabytes(weights)} of"
            " weights; use a model of another machine (GPT_OSS_URL), a smaller one (smollm2, for"
            " mode fm), or install it all the same with --force"
        )
    needed = needed or weights * 5 // 4
    if needed * TOLERANCE > total:
        return (
            f"this machine has {gigabytes(total)} of memory, and {gigabytes(needed)} are advised:"
            " close other programs while it runs, and give it little context (GPT_OSS_CTX=8192)"
        )
    return ""
