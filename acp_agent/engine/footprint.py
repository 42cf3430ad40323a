"""What a process and those below it are: the memory that they hold, the command that they run."""

from __future__ import annotations

import psutil


def resident(pid: int) -> int:
    """Return the bytes of memory that the process and its descendants hold; 0 if it has gone."""
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_resident(each) for each in tree)


def command(pid: int) -> str:
    """Return the command line of a process of this user; "" if there is no such process."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return ""
            return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
