"""Which commit a workspace stands at, read from git's files.

git itself is not asked: a repository can name programs that git then runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# git's own name for "no commit": rlog wants 6 to 40 hexadecimal digits, whatever there is.
NO_COMMIT = "0" * 40
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_REF = re.compile(r"refs/(?!.*\.\.)[^\s\x00-\x1f]{1,400}")
_LONGEST = 4096
_HOPS = 5  # of references that name references


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's id, of at most 40 digits, and the branch; `NO_COMMIT` and "" for none."""

    sha: str = NO_COMMIT
    branch: str = ""


def commit_at(cwd: Path) -> Commit:
    """Return where the repository stands that `cwd` is in; never fails."""
    for folder in (cwd, *cwd.parents):
        try:
            git = _git_dir(folder / ".git")
            if git is not None:
                return _head(git)
        except (OSError, ValueError):
            return Commit()
    return Commit()


def _git_dir(path: Path) -> Path | None:
    """Return the directory; the file of a worktree or a submodule names it."""
    if path.is_dir():
        return path
    if not path.is_file():
        return None
    named = _text(path).removeprefix("gitdir:").strip()
    return path.parent / named


def _head(git: Path) -> Commit:
    common = git / _text(git / "commondir") if (git / "commondir").is_file() else git
    value, branch = _text(git / "HEAD"), ""
    for _ in range(_HOPS):
        if _SHA.fullmatch(value):
            return Commit(value[:40], branch)
        ref = value.removeprefix("ref:").strip()
        if not _REF.fullmatch(ref):
            break
        branch = branch or ref.removeprefix("refs/heads/")
        value = _resolved(git, common, ref)
    return Commit(NO_COMMIT, branch)


def _resolved(git: Path, common: Path, ref: str) -> str:
    for folder in (git, common):
        if (folder / ref).is_file():
            return _text(folder / ref)
    packed = common / "packed-refs"
    if packed.is_file():
        with packed.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                sha, _, name = line.strip().partition(" ")
                if name == ref:
                    return sha
    return ""


def _text(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_LONGEST).strip()
