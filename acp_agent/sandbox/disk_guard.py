"""Looks at the disks while a program runs, since no sandbox has a quota: a flood is ended late."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio

INTERVAL = 0.25


@dataclass(frozen=True, slots=True)
class Floor:
    """What must stay free: so many bytes, and so many files."""

    size: int = 512 << 20
    files: int = 10_000


async def nearly_full(places: Iterable[Path], floor: Floor) -> str:
    """Return why to stop once there is too little room at one of the places.

    Where there was too little before, it is not looked.
    """
    roomy = [place for place in dict.fromkeys(places) if _has_room(place, floor)]
    while True:
        for place in roomy:
            if not _has_room(place, floor):
                return f"[stopped: the disk of {str(place)!r} is nearly full]"
        await anyio.sleep(INTERVAL)  # nobody tells


def _has_room(place: Path, floor: Floor) -> bool:
    try:
        disk = os.statvfs(place)
    except OSError:
        return True  # it is not there any more
    if disk.f_bavail * disk.f_frsize < floor.size:
        return False
    # Some file systems do not count files.
    return not disk.f_files or disk.f_favail >= floor.files
