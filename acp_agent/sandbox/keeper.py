"""Puts back, when a program has ended, what it has changed and must not change.

Bind mounts keep a program from changing what is protected; Landlock alone cannot, inside a
directory that can be written. And nothing can keep a file from coming into being in such a one.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

LARGEST = 1_000_000
_SKIPPED = ("modules", "worktrees")  # whole repositories

_Kept = dict[Path, tuple[bytes, int]]


@contextmanager
def keeping(protected: Sequence[Path], absent: Sequence[Path]) -> Generator[list[Path]]:
    """Watch these places during the block; the list then says what was put back or removed."""
    before = _contents(protected)
    missing = [path for path in absent if not path.exists() and not path.is_symlink()]
    restored: list[Path] = []
    try:
        yield restored
    finally:
        restored += [path for path in missing if _removed(path)]
        after = _contents(protected)
        restored += [path for path in after if path not in before and _removed(path)]
        restored += [
            path
            for path, kept in before.items()
            if after.get(path) != kept and _written(path, kept)
        ]


def _contents(places: Iterable[Path]) -> _Kept:
    found: _Kept = {}
    for place in places:
        if place.name in _SKIPPED:
            continue
        for path in place.rglob("*") if place.is_dir() and not place.is_symlink() else (place,):
            with suppress(OSError):
                if path.is_file() and path.stat().st_size <= LARGEST:
                    found[path] = path.read_bytes(), path.stat().st_mode & 0o7777
    return found


def _removed(path: Path) -> bool:
    if not path.exists() and not path.is_symlink():
        return False
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return True


def _written(path: Path, kept: tuple[bytes, int]) -> bool:
    with suppress(OSError):
        if path.is_symlink() or path.is_dir():
            _removed(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kept[0])
        path.chmod(kept[1])
    return True
