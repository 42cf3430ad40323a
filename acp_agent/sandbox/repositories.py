"""Which git repositories lie in a workspace, and what in them has the user's git run programs.

They are looked for once, when a sandbox is made, and within bounds: those near the top come first.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

MOST_DIRECTORIES = 20_000
MOST_REPOSITORIES = 200
SECONDS = 1.0
# What names programs to run, or leads to another place that does; the last two are seldom there.
DECIDING = ("hooks", "config", "modules", "worktrees", "commondir", "config.worktree")
ABSENT = ("commondir", "config.worktree")
# Large, and seldom a place of repositories; so it is looked into after all the rest.
_LATE = frozenset({"node_modules"})
_OF_SUBMODULES = ("modules", "worktrees")


def repositories(
    root: Path, *, directories: int = MOST_DIRECTORIES, seconds: float = SECONDS
) -> tuple[Path, ...]:
    """Return every `.git` at or below `root`, be it a directory, a file or a link.

    Directories of git with other names are returned too: bare ones, those of submodules and of
    linked worktrees in another `.git`; and what we may not look into, though we could change that.
    No link is followed.
    """
    found: dict[Path, None] = {}
    base, until = os.path.realpath(root), time.monotonic() + seconds
    near, late = deque([base]), deque[str]()
    for number in range(directories):
        queue = near or late
        if not queue or len(found) >= MOST_REPOSITORIES or (number and time.monotonic() > until):
            break
        directory = queue.popleft()
        if _is_closed(directory):
            found[Path(directory)] = None
            continue
        names = _entries(directory)
        if ".git" in names:  # at once: what lies beside it may use up the bounds
            found[Path(directory, ".git")] = None
        looks = _is_gits(directory, names)
        if looks:
            found[Path(directory)] = None
        if looks and "/.git/" in f"{directory[len(base) :]}/":
            queue += [f"{directory}/{name}" for name in _OF_SUBMODULES if names.get(name)]
            continue
        # A command can make any directory look like a bare one, so it is looked into as well.
        for name, is_directory in names.items():
            if is_directory:
                (late if looks or name in _LATE else queue).append(f"{directory}/{name}")
    if near or late:
        logger.warning("only the git repositories near the top of %r are protected", str(root))
    return tuple(found)


def deciding(place: Path) -> tuple[Path, ...]:
    """Return what must not be changed of `place`: in a directory of git only some of it."""
    if not is_gits(place) or not _may_enter(place):
        return (place,)
    if (place / "objects").is_dir() or place.name == ".git":
        with suppress(OSError):  # what is not there cannot be protected
            (place / "hooks").mkdir(exist_ok=True)
    return tuple(place / name for name in DECIDING)


def absences(place: Path) -> tuple[Path, ...]:
    """Return what must not come into being in `place`."""
    watched = is_gits(place) and _may_enter(place)
    return tuple(place / name for name in ABSENT) if watched else ()


def put_back(places: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return what is to be put back of these places, and what must not come into being there."""
    restored = dict.fromkeys(path for place in places for path in deciding(place))
    return tuple(restored), tuple(path for place in places for path in absences(place))


def is_gits(place: Path) -> bool:
    """Tell whether `place` is a directory of git, and no link to one."""
    # A command may have made a link, so as to have its target writable the next time.
    if place.is_symlink() or not place.is_dir():
        return False
    return _is_gits(str(place), _entries(str(place)))


def _is_gits(directory: str, names: Mapping[str, bool]) -> bool:
    if directory.endswith("/.git"):
        return True
    whole = "objects" in names and "refs" in names  # which may be links
    return names.get("HEAD") is False and (whole or "commondir" in names)


def _may_enter(directory: str | Path) -> bool:
    return os.access(directory, os.R_OK | os.X_OK)


def _is_closed(directory: str) -> bool:
    """Tell whether a directory is ours, so that a command can open it, and closed until then."""
    with suppress(OSError):
        return not _may_enter(directory) and os.lstat(directory).st_uid == os.geteuid()
    return False


def _entries(directory: str) -> dict[str, bool]:
    """Return what is in a directory, and whether that is a directory; nothing if it is none."""
    with suppress(OSError), os.scandir(directory) as entries:
        return {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    return {}
