"""Puts back, when a program has ended, what it has changed and must not change.

Bind mounts keep a program from changing what is protected; Landlock alone cannot, inside a
directory that can be written. And nothing can keep a file from coming into being in such a one.
The program may have laid links for us: no link is followed on the way to what is put back.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from acp_agent.sandbox.gitlinks import gitlinks

LARGEST = 1_000_000
# Version 2, no entries: what git takes for an index, of which it does not check the sum.
_NO_INDEX = b"DIRC" + (2).to_bytes(4, "big") + bytes(4) + bytes(20)
_SKIPPED = ("modules", "worktrees")  # whole repositories
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file, or a link as its target; `data` is None for what is too large to be kept."""

    mode: int
    data: bytes | None


@contextmanager
def keeping(protected: Sequence[Path], absent: Sequence[Path]) -> Generator[list[Path]]:
    """Watch these places during the block; the list then says what was put back or removed."""
    # What is closed now cannot be compared: all in it would be new as soon as it is open.
    watched = [place for place in protected if not _is_closed(place.parent, place)]
    before = _contents(watched)
    missing = [path for path in absent if not os.path.lexists(path)]
    gits = {path.parent for path in absent if path.name == "commondir"}
    repositories = {git for git in gits if not _is_closed(git.parent, git)}
    indexes = {git: (gitlinks(git), _index(git)) for git in repositories}
    restored: list[Path] = []
    try:
        yield restored
    finally:
        _open_again({*(path.parent for path in before), *repositories})
        after = _contents(watched)
        new = [path for path in after if path not in before]
        for path in (*new, *filter(os.path.lexists, missing)):
            with suppress(OSError), _parent(path) as parent:
                _remove(parent, path.name)
                restored.append(path)
        changed = {path: kept for path, kept in before.items() if after.get(path) != kept}
        for git, (links, index) in indexes.items():
            if gitlinks(git) - links or stat.S_ISLNK(_mode(git / "index")):
                changed[git / "index"] = index
        for path, kept in changed.items():
            if kept.data is not None:
                with suppress(OSError), _parent(path) as parent:
                    _put(parent, path.name, kept)
                    restored.append(path)


def _index(git: Path) -> _Kept:
    with suppress(OSError):
        return _Kept(stat.S_IFREG | 0o644, (git / "index").read_bytes())
    return _Kept(stat.S_IFREG | 0o644, _NO_INDEX)


def _contents(places: Iterable[Path]) -> dict[Path, _Kept]:
    found: dict[Path, _Kept] = {}
    for place in places:
        if place.name in _SKIPPED:
            continue
        inside = place.rglob("*") if stat.S_ISDIR(_mode(place)) else ()
        for path in (place, *inside):
            with suppress(OSError):
                status = path.lstat()
                if stat.S_ISLNK(status.st_mode):
                    found[path] = _Kept(status.st_mode, os.fsencode(path.readlink()))
                elif not stat.S_ISDIR(status.st_mode):
                    regular = stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST
                    found[path] = _Kept(status.st_mode, path.read_bytes() if regular else None)
    return found


def _mode(path: Path) -> int:
    with suppress(OSError):
        return path.lstat().st_mode
    return 0


def _is_closed(*places: Path) -> bool:
    return any(stat.S_ISDIR(_mode(place)) and not _may_enter(place) for place in places)


def _may_enter(directory: Path) -> bool:
    return os.access(directory, os.R_OK | os.X_OK)


def _open_again(directories: Iterable[Path]) -> None:
    """Let us look again into directories that a program has closed."""
    for directory in directories:
        if not _may_enter(directory):
            with suppress(OSError), _parent(directory / "any", make=False):
                pass


@contextmanager
def _parent(path: Path, *, make: bool = True) -> Generator[int]:
    """Open the directory of `path`, also a closed one; `make` it if something took its place."""
    here = os.open("/", _DIRECTORY)
    try:
        for name in path.parent.parts[1:]:
            try:
                below = os.open(name, _DIRECTORY, dir_fd=here)
            except PermissionError:
                mode = os.stat(name, dir_fd=here, follow_symlinks=False).st_mode
                os.chmod(name, stat.S_IMODE(mode) | stat.S_IRWXU, dir_fd=here)
                below = os.open(name, _DIRECTORY, dir_fd=here)
            except OSError:
                if not make:
                    raise
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=here)
                os.mkdir(name, dir_fd=here)
                below = os.open(name, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def _remove(parent: int, name: str) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)


def _put(parent: int, name: str, kept: _Kept) -> None:
    assert kept.data is not None
    _remove(parent, name)
    if stat.S_ISLNK(kept.mode):
        os.symlink(os.fsdecode(kept.data), name, dir_fd=parent)
        return
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=parent)
    with os.fdopen(file, "wb") as opened:
        opened.write(kept.data)
        os.fchmod(file, stat.S_IMODE(kept.mode))
