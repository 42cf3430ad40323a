"""The commit of a workspace is what git says, and git is not run for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from acp_agent.recording.repository import NO_COMMIT, Commit, commit_at


def git(cwd: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    command = ("git", *who, *arguments)
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "-q", "-b", "trunk")
    git(path, "commit", "-q", "--allow-empty", "-m", "first")
    return path


def head(path: Path) -> str:
    return git(path, "rev-parse", "HEAD").strip()


def test_a_branch(repository: Path) -> None:
    (repository / "deep" / "er").mkdir(parents=True)
    assert commit_at(repository / "deep" / "er") == Commit(head(repository), "trunk")


def test_packed_references(repository: Path) -> None:
    git(repository, "pack-refs", "--all")
    assert commit_at(repository) == Commit(head(repository), "trunk")


def test_a_detached_head(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    assert commit_at(repository) == Commit(head(repository), "")


def test_a_worktree(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    git(tmp_path / "side", "commit", "-q", "--allow-empty", "-m", "second")
    assert commit_at(tmp_path / "side") == Commit(head(tmp_path / "side"), "side")


def test_a_branch_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "empty")
    assert commit_at(tmp_path) == Commit(NO_COMMIT, "empty")


BROKEN = {
    "empty": "",
    "outside": "ref: refs/../../secret",
    "absolute": "ref: /etc/passwd",
    "short": "abc123",
    "itself": "ref: refs/heads/loop",
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_repository_has_no_commit(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text("a" * 40)
    folder = tmp_path / "work" / ".git" / "refs" / "heads"
    folder.mkdir(parents=True)
    (folder / "loop").write_text("ref: refs/heads/loop")
    (tmp_path / "work" / ".git" / "HEAD").write_text(text)
    assert commit_at(tmp_path / "work").sha == NO_COMMIT


def test_no_repository(tmp_path: Path) -> None:
    assert commit_at(tmp_path / "gone") == Commit()
