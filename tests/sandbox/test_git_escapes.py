"""Attempts to have the user's own git run something, each of which must fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox.boxes import Box, Ground, box

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="these sandboxes are Linux's"),
]


@pytest.fixture
def repository(where: Ground) -> Path:
    subprocess.run(["git", "init", "-q", str(where.work)], check=True)
    git = where.work / ".git"
    (git / "hooks").mkdir(exist_ok=True)
    return git


@pytest.mark.parametrize(
    "command",
    [
        "echo evil > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
        "git config core.fsmonitor evil",
        "echo '[core]' > .git/config",
        "rm -rf .git/hooks && mkdir .git/hooks && echo evil > .git/hooks/post-commit",
        "mv .git/hooks .git/old; mkdir .git/hooks; echo evil > .git/hooks/post-commit",
        "ln -sf /tmp/evil .git/hooks/pre-push",
        "rm -rf .git/hooks; ln -s ../../outside .git/hooks",
        "rm -rf .git; ln -s ../outside .git",
        "echo ../evil > .git/commondir",
        "ln -s ../evil .git/commondir",
        "echo '[core]' > .git/config.worktree",
    ],
)
async def test_git_runs_nothing_that_a_command_has_left(
    repository: Path, jail: Box, command: str
) -> None:
    before = contents(repository)
    await jail.run(command)
    assert contents(repository) == before
    assert [path.name for path in jail.ground.outside.iterdir()] == ["victim"]


async def test_a_repository_cannot_be_made_anew(repository: Path, where: Ground) -> None:
    before = contents(repository)
    async with box("bubblewrap", where) as jail:
        status, _ = await jail.run("mv .git old")
        assert status != 0
        await jail.run("rm -rf .git")
    assert contents(repository) == before


async def test_a_link_in_the_place_of_a_repository_makes_nothing_writable(where: Ground) -> None:
    (where.work / ".git").symlink_to(where.outside)
    async with box("bubblewrap", where) as jail:
        assert (await jail.run(f"echo x > {where.victim}"))[0] != 0
    async with box("landlock", where) as jail:
        assert (await jail.run(f"echo x > {where.victim}"))[0] != 0
    assert where.victim.read_text() == "untouched"


def contents(git: Path) -> dict[str, str]:
    """Return what decides what git runs."""
    names = ("config", "config.worktree", "commondir", "hooks")
    files = [path for name in names for path in ((git / name), *(git / name).rglob("*"))]
    return {
        str(path): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in files
        if path.is_symlink() or path.is_file()
    }
