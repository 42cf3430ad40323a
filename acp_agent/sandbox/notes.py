"""What a sandbox without containers does not enforce on this machine, in words for the user."""

from __future__ import annotations

import os

from acp_agent.sandbox.cgroup import Cgroup
from acp_agent.sandbox.confine import landlock_abi

SIGNALS_SINCE = 6


def notes(name: str, group: Cgroup) -> tuple[str, ...]:
    """Return what does not hold, one sentence each; `name` is the sandbox's."""
    alone, abi = name == "landlock", landlock_abi()
    root = os.geteuid() == 0
    known = {
        "the kernel has no Landlock: the other layers hold alone": not abi,
        "memory is bounded for each process only": "memory" not in group.bounds,
        "processor time is not bounded": "cpus" not in group.bounds,
        "the number of processes is not bounded, since this runs as root": root
        and "processes" not in group.bounds,
        "a program that makes itself a daemon outlives its command": alone,
        "signals to other programs of yours are not stopped (Linux 6.12 stops them)": alone
        and abi < SIGNALS_SINCE,
        "what is protected in the workspace (.git/hooks) is put back only after a command": alone,
        "other programs' command lines can be seen": alone,
        "files are bounded in size, not in number": True,
    }
    return tuple(note for note, holds in known.items() if holds)
