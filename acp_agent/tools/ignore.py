"""A walk through a directory that leaves out `.git` and what `.gitignore` files leave out.

Rules of the directories above apply up to the root of the repository (or up to `top`, outside of
any); a repository inside another has only its own. Links are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec


@dataclass(frozen=True, slots=True)
class Rules:
    """The `.gitignore` of one directory, and those above it."""

    base: str
    spec: GitIgnoreSpec
    above: Rules | None

    def ignores(self, path: str, *, directory: bool) -> bool:
        """Tell whether `path` (below `base`) is ignored; the nearest rule decides."""
        rules: Rules | None = self
        while rules is not None:
            relative = path[len(rules.base) + 1 :] + ("/" if directory else "")
            verdict = rules.spec.check_file(relative).include
            if verdict is not None:
                return verdict
            rules = rules.above
        return False


@dataclass(frozen=True, slots=True)
class Folder:
    """One directory: its entries that are not ignored, in the order of their names' bytes."""

    path: str
    directories: tuple[str, ...]
    files: tuple[str, ...]
    links: tuple[str, ...]
    rules: Rules | None

    @property
    def entries(self) -> list[tuple[str, bool]]:
        """All names with whether each is a directory, sorted."""
        every = [(name, True) for name in self.directories]
        every += [(name, False) for name in (*self.files, *self.links)]
        return sorted(every, key=lambda entry: os.fsencode(entry[0]))


def open_folder(path: str, rules: Rules | None) -> Folder:
    """Read one directory; `rules` are those of its parents. Unreadable ones are empty."""
    directories: list[str] = []
    files: list[str] = []
    links: list[str] = []
    try:
        with os.scandir(path) as scan:
            entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
    except OSError:
        return Folder(path, (), (), (), rules)
    names = {entry.name for entry in entries}
    rules = _own_rules(path, names, rules)
    for entry in entries:
        is_directory = entry.is_dir(follow_symlinks=False)
        if entry.name == ".git" or (
            rules is not None and rules.ignores(entry.path, directory=is_directory)
        ):
            continue
        kind = directories if is_directory else links if entry.is_symlink() else files
        kind.append(entry.name)
    return Folder(path, tuple(directories), tuple(files), tuple(links), rules)


def rules_above(path: Path, top: Path) -> Rules | None:
    """Return the rules that the directories above `path` set for what is below it.

    None if they leave out `path` itself: who names it wants to see it.
    """
    rules: Rules | None = None
    for place in (*_parents(path, top), path):
        if rules is not None and rules.ignores(str(place), directory=place.is_dir()):
            return None
        if place != path:
            rules = _own_rules(str(place), _marks(place), rules)
    return rules


def is_ignored(path: Path, top: Path) -> bool:
    """Tell whether the directories above `path` leave it out, itself or with one of them."""
    rules: Rules | None = None
    for place in (*_parents(path, top), path):
        if rules is not None and rules.ignores(str(place), directory=place.is_dir()):
            return True
        rules = _own_rules(str(place), _marks(place), rules)
    return False


def _parents(path: Path, top: Path) -> list[Path]:
    """Return the directories above `path` whose rules count, the highest first."""
    root = repository(path) or (top if path.is_relative_to(top) else path)
    return [parent for parent in reversed(path.parents) if parent.is_relative_to(root)]


def repository(path: Path) -> Path | None:
    """Return the nearest directory at or above `path` that is a git repository."""
    return next((p for p in (path, *path.parents) if (p / ".git").exists()), None)


def walk_files(path: Path, top: Path) -> Iterator[str]:
    """Yield the regular files below `path`, or `path`; depth first, all names in one order."""
    if path.is_file():
        yield str(path)
        return
    yield from _walk(open_folder(str(path), rules_above(path, top)))


def _walk(folder: Folder) -> Iterator[str]:
    links = set(folder.links)
    for name, is_directory in folder.entries:
        path = os.path.join(folder.path, name)  # noqa: PTH118 - a Path per file costs more than the walk
        if is_directory:
            yield from _walk(open_folder(path, folder.rules))
        elif name not in links:
            yield path


def _own_rules(path: str, names: set[str], above: Rules | None) -> Rules | None:
    if ".git" in names:
        above = None
    if ".gitignore" not in names:
        return above
    try:
        text = Path(path, ".gitignore").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return above
    return Rules(path.rstrip("/"), GitIgnoreSpec.from_lines(text.splitlines()), above)


def _marks(path: Path) -> set[str]:
    return {name for name in (".git", ".gitignore") if (path / name).exists()}
