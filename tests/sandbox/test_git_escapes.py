"""Attempts to have the user's own git run something, each of which must fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import anyio
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


EVIL = """
git init -q evil; cd evil
git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x
git config core.fsmonitor 'touch ../pwned; false'
cd ..; git update-index {how} --add --cacheinfo 160000,$(git -C evil rev-parse HEAD),evil
"""


@pytest.mark.parametrize("how", ["", "--split-index", "--index-version 4"])
async def test_git_enters_no_repository_that_a_command_has_made(
    repository: Path, jail: Box, how: str
) -> None:
    (jail.ground.work / "kept").write_text("x")
    await anyio.run_process(["git", "add", "kept"], cwd=jail.ground.work)
    await jail.run(EVIL.format(how=how))
    assert (jail.ground.work / "evil" / ".git").is_dir()
    status = await anyio.run_process(["git", "status", "--short"], cwd=jail.ground.work)
    assert not (jail.ground.work / "pwned").exists()
    assert b"A  kept" in status.stdout


async def test_a_submodule_keeps_its_repository(repository: Path, where: Ground) -> None:
    await anyio.run_process(EVIL.format(how=""), cwd=where.work)
    git = where.work / "evil" / ".git"
    before = (git / "config").read_text()
    async with box("bubblewrap", where) as jail:
        assert (await jail.run("echo x > evil/.git/config"))[0] != 0
        assert (await jail.run("mv evil/.git old || mv evil old"))[0] != 0
    assert (git / "config").read_text() == before
    shutil.rmtree(git)
    for name in ("bubblewrap", "landlock"):
        async with box(name, where) as jail:
            await jail.run("git init -q evil")
        assert not git.exists()


def contents(git: Path) -> dict[str, str]:
    """Return what decides what git runs."""
    names = ("config", "config.worktree", "commondir", "hooks")
    files = [path for name in names for path in ((git / name), *(git / name).rglob("*"))]
    return {
        str(path): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in files
        if path.is_symlink() or path.is_file()
    }
