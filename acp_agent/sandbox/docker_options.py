"""What a policy means in the words of Docker's API; pure but for looking at paths and owners."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from acp_agent.sandbox import places
from acp_agent.sandbox.base import Policy, Unfit

NOBODY = 65534
# gpt-oss was told that it can keep files in /mnt/data.
SCRATCH = (Path("/tmp"), Path("/mnt/data"))
OPEN_FILES = 4096
# Files, empty ones too, cost memory that is not in the size of a tmpfs.
FILES_PER_MIB = 64
_SHARED_MEMORY = 64
# It reads until nobody holds its input any more: when the agent dies, so does the container.
KEEPER = "cat"


def container_options(image: str, policy: Policy, labels: dict[str, str]) -> dict[str, Any]:
    """Return the arguments of `containers.create` for a container that keeps to the policy.

    Raises Unfit.
    """
    limits = policy.limits
    return {
        "image": image,
        "entrypoint": [KEEPER],
        "command": [],
        "stdin_open": True,
        "auto_remove": True,
        "init": True,
        "labels": labels,
        "user": user(policy),
        "working_dir": "/",
        "hostname": "sandbox",
        "environment": {"HOME": "/tmp", "LANG": "C.UTF-8"},
        "network_mode": "bridge" if policy.network else "none",
        "mem_limit": f"{limits.memory}m",
        "memswap_limit": f"{limits.memory}m",
        "pids_limit": limits.processes,
        "nano_cpus": int(limits.cpus * 1e9),
        "read_only": True,
        "tmpfs": dict(_scratch(policy)),
        "mounts": list(_mounts(policy)),
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "ulimits": [
            {"Name": "nofile", "Soft": OPEN_FILES, "Hard": OPEN_FILES},
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "fsize", "Soft": limits.file << 20, "Hard": limits.file << 20},
        ],
        "log_config": {"Type": "none"},
    }


def user(policy: Policy) -> str:
    """Return `uid:gid` to run as: we, or the owner of the workspace if we are root; never root.

    What belongs to root can therefore be written only where its mode lets everyone.
    """
    uid, gid = os.getuid(), os.getgid()
    directories = (*policy.writable, *policy.readable)
    if uid == 0 and directories:
        owner = directories[0].stat()
        uid, gid = owner.st_uid, owner.st_gid
    return f"{uid or NOBODY}:{gid or NOBODY}"


def _scratch(policy: Policy) -> Iterator[tuple[str, str]]:
    # Some engines give the directory the mode that it has in the image, so it must be ours.
    uid, gid = user(policy).split(":")
    size = max(policy.limits.scratch // len(SCRATCH), 1)
    owner = f"mode=1777,uid={uid},gid={gid},nosuid,nodev"
    for path in SCRATCH:
        if path not in (*policy.writable, *policy.readable):
            yield str(path), f"{_bounds(size)},{owner},exec"
    yield "/dev/shm", f"{_bounds(min(policy.limits.scratch, _SHARED_MEMORY))},{owner},noexec"


def _bounds(size: int) -> str:
    return f"size={size}m,nr_inodes={size * FILES_PER_MIB}"


def _mounts(policy: Policy) -> Iterator[dict[str, Any]]:
    for path in dict.fromkeys(policy.writable):
        yield _bind(path, path)
    for path in dict.fromkeys(policy.readable):
        if path not in policy.writable:
            yield _bind(path, path, read_only=True)
    protected = places.protected(policy)
    seen = (*policy.writable, *policy.readable)
    # Elsewhere nothing of this machine is in the container.
    masked = [place for path in policy.hidden if (place := places.within(path, seen))]
    hidden = [place for place in dict.fromkeys(masked) if place.exists()]
    for path in places.holders((*protected, *hidden), policy.writable):
        yield _bind(path, path)
    for path in protected:
        yield _bind(path, path, read_only=True)
    for path in hidden:
        yield _nothing(path)


def _bind(source: Path, target: Path, *, read_only: bool = False) -> dict[str, Any]:
    try:
        str(target).encode()
    except UnicodeEncodeError:
        raise Unfit(
            f"Docker takes no path that is not UTF-8, such as {str(target)!r}; rename it, or"
            " install bubblewrap"
        ) from None
    mount: dict[str, Any] = {"Type": "bind", "Source": str(source), "Target": str(target)}
    if read_only:
        # Engines make only the topmost of several file systems read-only, so the others are left
        # out.
        mount |= {"ReadOnly": True, "BindOptions": {"NonRecursive": True}}
    return mount


def _nothing(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        return _bind(Path("/dev/null"), path, read_only=True)
    return {
        "Type": "tmpfs",
        "Target": str(path),
        "ReadOnly": True,
        "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o555},
    }
