"""What command a process of this machine runs."""

from __future__ import annotations


def command_of(pid: int) -> str:
    """Return the command line of a process; "" if there is none that runs, or it is not shown."""
    import psutil

    try:
        process = psutil.Process(pid)
        running = process.status() != psutil.STATUS_ZOMBIE
        return " ".join(process.cmdline()) if running else ""
    except (psutil.Error, ValueError, OverflowError):
        return ""
