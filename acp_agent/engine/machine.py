"""What memory this machine has, as far as it can be seen; the host asks, never a start."""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
NVIDIA = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.free",
    "--format=csv,noheader,nounits",
)
NVIDIA_SECONDS = 5.0
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor with memory of its own, in bytes."""

    name: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Bytes of memory, all and available; on a `unified` one the graphics processor shares them."""

    total: int
    available: int
    cores: int = 1
    gpus: tuple[Gpu, ...] = ()
    unified: bool = False

    @property
    def pressure(self) -> float:
        """Return the share of the memory that is in use."""
        return 1 - self.available / self.total if self.total else 0.0


def look(*, gpus: bool = False) -> Machine:
    """Return what there is now; `gpus` are asked for only if the engine could use them."""
    import psutil

    memory = psutil.virtual_memory()
    total, available = _within(CGROUP, memory.total, memory.available)
    return Machine(
        total,
        available,
        psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        _nvidia() if gpus else (),
        sys.platform == "darwin" and platform.machine() == "arm64",
    )


def _within(group: Path, total: int, available: int) -> tuple[int, int]:
    """Return the memory that a container may use, if its limit is below the machine's."""
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        lines = (group / "memory.stat").read_text().splitlines()
        cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, IndexError):  # "max", or no such group
        return total, available
    if limit >= total:
        return total, available
    return limit, max(0, min(available, limit - used + cached))


def _nvidia() -> tuple[Gpu, ...]:
    try:
        ran = subprocess.run(
            NVIDIA, capture_output=True, text=True, timeout=NVIDIA_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()
    return parse_nvidia(ran.stdout)


def parse_nvidia(text: str) -> tuple[Gpu, ...]:
    """Return what `nvidia-smi` lists, in MiB; lines without numbers (`[N/A]`) are passed over."""
    found: list[Gpu] = []
    for line in text.splitlines():
        name, *numbers = (part.strip() for part in line.rsplit(",", 2))
        if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
            found.append(Gpu(name, int(numbers[0]) * MIB, int(numbers[1]) * MIB))
    return tuple(found)


def held(pid: int) -> tuple[int, int]:
    """Return the bytes of memory that a process holds, and held at most as far as is known."""
    import psutil

    try:
        now = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0, 0
    return now, max(now, _high_water(pid))


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0
