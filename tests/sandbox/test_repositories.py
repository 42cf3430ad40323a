"""Repositories below the workspace: the user's git runs nothing that a program has left there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from acp_agent.sandbox.base import Policy, Sandbox
from acp_agent.sandbox.choose import Chooser
from acp_agent.sandbox.for_python import PythonSandbox
from acp_agent.sandbox.repositories import MOST_DIRECTORIES, MOST_REPOSITORIES, repositories
from tests.sandbox.boxes import Box, Ground, box, working

if TYPE_CHECKING:
    from tests.sandbox.conftest import DockerEngine

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="these sandboxes are Linux's"),
]

SETUP = """
git init -q app; git -C app commit -q --allow-empty -m one
git -C app worktree add -q ../linked
git init -q --bare bare.git
git init -q lib; git -C lib commit -q --allow-empty -m one
cd app; git -c protocol.file.allow=always submodule --quiet add ../lib module; cd ..
git init -q real; mv real/.git real/its-git; ln -s its-git real/.git
mkdir -p deep/er; git init -q deep/er/inner
chmod -R a+rwX .
"""
WHO = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git_lines(work: Path) -> dict[str, str]:
    """Return what decides what git runs, anywhere below a directory."""
    lines: dict[str, str] = {}
    names = ("config", "config.worktree", "commondir", "hooks")
    for directory, directories, files in os.walk(work):
        for name in (*directories, *files):
            path = Path(directory, name)
            if path.is_symlink():
                lines[str(path)] = str(path.readlink())
            elif path.is_file() and (name in (*names, ".git") or path.parent.name == "hooks"):
                lines[str(path)] = path.read_text()
    return lines


@pytest.fixture
def work(where: Ground, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    subprocess.run(["sh", "-ec", SETUP], cwd=where.work, check=True, capture_output=True)
    where.work.chmod(0o777)
    return where.work


@pytest.fixture(params=("bubblewrap", "landlock"))
async def jail(request: pytest.FixtureRequest, where: Ground, work: Path) -> AsyncGenerator[Box]:
    with anyio.fail_after(60):
        async with box(f"shell in {request.param}", where) as opened:
            yield opened


ATTEMPTS = """
echo evil > app/.git/hooks/pre-commit
echo evil >> app/.git/config
git -C app config core.fsmonitor evil
mv app/.git/hooks app/.git/old; mkdir app/.git/hooks; echo evil > app/.git/hooks/pre-commit
mv app/.git app/old; git init -q app; echo evil > app/.git/config
mv app old; git init -q app; echo evil > app/.git/config
echo ../evil > app/.git/commondir
echo evil > app/.git/config.worktree
mv deep old; git init -q deep/er/inner; echo evil >> deep/er/inner/.git/config
echo "gitdir: ../evil" > linked/.git
mv linked old; mkdir linked; echo "gitdir: ../evil" > linked/.git
rm -f app/module/.git; echo "gitdir: ../evil" > app/module/.git
echo evil > app/.git/worktrees/linked/commondir
echo evil > app/.git/worktrees/linked/config.worktree
echo evil > app/.git/modules/module/config
echo evil > app/.git/modules/module/hooks/post-checkout
echo evil > bare.git/hooks/post-receive
echo evil > bare.git/config
rm real/.git; mkdir real/.git; echo evil > real/.git/config
echo evil > real/its-git/config
""".strip().splitlines()


@pytest.mark.parametrize("command", ATTEMPTS)
async def test_a_command_leaves_nothing_for_git_to_run(work: Path, jail: Box, command: str) -> None:
    before = git_lines(work)
    assert len([path for path in before if path.endswith("/config")]) == 6
    await jail.run(command)
    after = git_lines(work)
    assert {path: after.get(path) for path in before} == before
    # Landlock holds no directory in its place; but nothing new is where git looks.
    assert [path for path in after if path not in before and "/old" not in path] == []


Enter = Callable[[], AbstractAsyncContextManager[Sandbox]]


@pytest.fixture(params=("docker", "bubblewrap", "landlock"))
async def enter(request: pytest.FixtureRequest, work: Path) -> Enter:
    """Give what opens the sandbox of `python` where it may write."""
    chooser = Chooser(request.param)
    if request.param == "docker":
        engine: DockerEngine = request.getfixturevalue("docker_engine")
        chooser = Chooser("docker", lambda: engine.sandboxes)
    else:
        await working(request.param)

    @asynccontextmanager
    async def enter_one() -> AsyncGenerator[Sandbox]:
        policy = Policy(writable=(work,), protected=(work / ".git",))
        with anyio.fail_after(60):
            async with PythonSandbox(chooser).open(policy) as sandbox:
                yield sandbox

    return enter_one


async def run(sandbox: Sandbox, command: str, cwd: Path) -> str:
    """Return what a command writes."""
    env = {"PATH": os.environ["PATH"], "HOME": str(Path.home()), **WHO}
    async with sandbox.start(["sh", "-c", command], cwd=cwd, env=env) as running:
        return b"".join([data async for data in running.output]).decode()


async def test_python_leaves_nothing_for_git_to_run(work: Path, enter: Enter) -> None:
    before = git_lines(work)
    async with enter() as sandbox:
        for command in ATTEMPTS:
            if sandbox.name != "docker" or "real/.git" not in command:  # a link is not held there
                await run(sandbox, command, work)
        assert await run(sandbox, "mkdir -p app; echo a > app/file; cat app/file", work) == "a\n"
    after = git_lines(work)
    assert {path: after.get(path) for path in before} == before
    assert [path for path in after if path not in before and "/old" not in path] == []


async def test_what_git_does_while_python_is_open_stays(work: Path, enter: Enter) -> None:
    await anyio.run_process(["git", "init", "-q"], cwd=work)
    places = (work, work / "app")
    async with enter() as sandbox:
        async with sandbox.start(["cat"], cwd=work, env={"PATH": os.environ["PATH"]}):
            commit = ["git", "commit", "-q", "--allow-empty", "-m", "by the user"]
            for repository in places:
                await anyio.run_process(commit, cwd=repository)
    for repository in places:
        log = await anyio.run_process(["git", "log", "-1", "--format=%s"], cwd=repository)
        assert log.stdout == b"by the user\n"


async def test_work_in_them_goes_on(work: Path, jail: Box) -> None:
    command = "cd app && echo x > x && git add x && git commit -qm two && git log --format=%s"
    assert await jail.run(command) == (0, "two\none\n")
    command = "cd deep/er/inner && git switch -qc topic && git commit -q --allow-empty -m three"
    assert await jail.run(command) == (0, "")


async def test_a_new_repository_can_be_made_and_removed(work: Path, jail: Box) -> None:
    command = (
        "git init -q new && cd new && git config user.name me && git commit -q --allow-empty -m one"
        " && cd .. && git clone -q new copy && mv copy moved && git -C moved log --format=%s"
    )
    assert await jail.run(command) == (0, "one\n")
    assert await jail.run("rm -rf new moved; ls -d new moved 2>/dev/null") == (2, "")


async def test_a_repository_that_has_gone_stops_no_later_command(work: Path, jail: Box) -> None:
    assert await jail.run("echo one") == (0, "one\n")
    shutil.rmtree(work / "app")
    assert await jail.run("echo two") == (0, "two\n")


def test_they_are_found_within_bounds(tmp_path: Path) -> None:
    for name in ("node_modules/b", "z/y", "a"):
        (tmp_path / name / ".git").mkdir(parents=True)
    (tmp_path / "loop").symlink_to(tmp_path)
    found = tuple(tmp_path / name / ".git" for name in ("a", "z/y", "node_modules/b"))
    assert repositories(tmp_path) == found
    assert repositories(tmp_path, directories=6) == found[:2]
    assert MOST_DIRECTORIES > 1000


def test_that_of_the_workspace_is_found_before_any_bound(tmp_path: Path) -> None:
    for number in range(MOST_REPOSITORIES):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / ".git").touch()
    (tmp_path / ".git").mkdir()
    assert repositories(tmp_path)[0] == tmp_path / ".git"
    assert repositories(tmp_path, directories=1) == (tmp_path / ".git",)
    assert repositories(tmp_path, seconds=-1) == (tmp_path / ".git",)


@pytest.mark.parametrize(
    "disguise",
    ["mkdir objects refs; touch HEAD", "touch HEAD commondir", "ln -s . objects; touch HEAD refs"],
)
async def test_a_disguise_as_a_bare_repository_hides_no_other(
    where: Ground, work: Path, disguise: str
) -> None:
    await anyio.run_process(["git", "init", "-q"], cwd=work)
    async with box("shell in bubblewrap", where) as first:
        for directory in (".", "app", "deep"):
            assert await first.run(f"cd {directory}; {disguise}") == (0, "")
    before = git_lines(work)
    async with box("shell in bubblewrap", where) as second:
        for repository in (".", "app", "deep/er/inner"):
            command = f"cd {repository}/.git; echo evil >> config; echo evil > hooks/pre-commit"
            assert (await second.run(command))[0]
    assert git_lines(work) == before


async def test_a_bare_repository_whose_objects_are_a_link_is_protected(
    where: Ground, work: Path
) -> None:
    (work / "bare.git" / "objects").rename(work / "objects")
    (work / "bare.git" / "objects").symlink_to("../objects")
    async with box("shell in bubblewrap", where) as jail:
        assert (await jail.run("echo evil >> bare.git/config"))[0]


@pytest.mark.parametrize("mode", [0, 0o111, 0o444])
@pytest.mark.parametrize("layer", ["bubblewrap", "landlock"])
async def test_what_is_closed_is_no_way_round_and_loses_nothing(
    where: Ground, work: Path, layer: str, mode: int
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may look into everything")
    before = git_lines(work)
    closed = (work / "deep", work / "app" / ".git")
    for directory in closed:
        directory.chmod(mode)
    async with box(f"shell in {layer}", where) as jail:
        places = "deep/er/inner/.git/config app/.git/config"
        evil = f"for at in {places}; do echo evil >> $at; done"
        command = f"chmod 755 deep app/.git; {evil}; echo ran"
        assert "ran" in (await jail.run(command))[1]
    for directory in closed:
        directory.chmod(0o755)
    after = git_lines(work)
    assert before.keys() - after.keys() == set()
    if layer == "bubblewrap":  # the other cannot hold what it has not seen
        assert after == before


@pytest.mark.parametrize("closed", ["app/.git", "app/.git/hooks", "deep"])
async def test_what_a_command_has_closed_is_put_back_too(
    work: Path, jail: Box, closed: str
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may look into everything")
    before = git_lines(work)
    files = "app/.git/hooks/pre-commit deep/er/inner/.git/config"
    command = f"for at in {files}; do echo evil >> $at; done; chmod 0 {closed}; echo ran"
    assert "ran\n" in (await jail.run(command))[1]
    assert (await jail.run(f"chmod 755 {closed}; echo ran"))[1].endswith("ran\n")
    assert git_lines(work) == before
