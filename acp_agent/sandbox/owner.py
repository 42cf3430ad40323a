"""Who holds a container: a process of this machine, told from later ones with the same number."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

LABEL = "acp-agent.pid"
_START = "acp-agent.start"
_HOST = "acp-agent.host"
_PROC = Path("/proc")


def labels(pid: int | None = None) -> dict[str, str]:
    """Return the labels of what the process `pid` holds; by default, this one."""
    pid = pid or os.getpid()
    return {LABEL: str(pid), _START: _start(pid), _HOST: _host()}


def is_orphan(found: Mapping[str, str]) -> bool:
    """Tell whether these are labels of a process of this machine that has ended."""
    pid = found.get(LABEL, "")
    if not pid.isdecimal() or found.get(_HOST) != _host():
        return False
    return _start(int(pid)) != found.get(_START)


def _host() -> str:
    """Return where process numbers mean the same as here."""
    try:
        return f"{platform.node()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


def _start(pid: int) -> str:
    """Return when a process started, "" if there is none; numbers come again, moments do not."""
    if _PROC.joinpath("self").exists():
        try:
            fields = _PROC.joinpath(str(pid), "stat").read_text().rpartition(")")[2].split()
            boot = _PROC.joinpath("sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""
        # A zombie holds nothing.
        return "" if fields[0] in "ZX" else f"{boot} {fields[19]}"
    command = ("ps", "-o", "lstart=", "-p", str(pid))
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
