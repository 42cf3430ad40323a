"""Workspaces that a program has arranged to its ends, and odd ones."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from acp_agent.errors import ToolFailed
from acp_agent.paths import config_file
from acp_agent.sandbox.base import Policy, Sandbox, Sandboxes
from acp_agent.sandbox.policy import hidden, policy_for
from tests.sandbox.boxes import SECRET, Ground, working

if TYPE_CHECKING:
    from tests.sandbox.conftest import DockerEngine

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="these sandboxes are Linux's"),
]

Open = Callable[[Policy], AbstractAsyncContextManager[Sandbox]]


@pytest.fixture(params=("docker", "bubblewrap", "landlock"))
async def opened(request: pytest.FixtureRequest) -> Open:
    """Give what opens a sandbox."""
    if request.param == "docker":
        engine: DockerEngine = request.getfixturevalue("docker_engine")
        sandboxes: Sandboxes = engine.sandboxes
    else:
        sandboxes = await working(request.param)

    @asynccontextmanager
    async def open_one(policy: Policy) -> AsyncGenerator[Sandbox]:
        with anyio.fail_after(60):
            async with sandboxes.open(policy) as sandbox:
                yield sandbox

    return open_one


async def run(sandbox: Sandbox, command: str, cwd: Path) -> str:
    """Return what a command writes."""
    env = {"PATH": os.environ["PATH"], "HOME": str(Path.home())}
    async with sandbox.start(["sh", "-c", command], cwd=cwd, env=env) as running:
        return b"".join([data async for data in running.output]).decode()


@pytest.mark.parametrize("link", [".git", ".git/modules", ".git/commondir"])
async def test_a_link_in_the_place_of_what_is_protected_shows_no_secret(
    opened: Open, where: Ground, link: str
) -> None:
    keys = where.home / ".ssh"
    (where.work / link).parent.mkdir(exist_ok=True)
    for path in (where.work, (where.work / link).parent):
        path.chmod(0o777)
    (where.work / link).symlink_to(keys)
    policy = policy_for("workspace-write", [where.work])
    async with opened(policy) as sandbox:
        output = await run(sandbox, f"cat {link}/id_ed25519 {keys}/id_ed25519", where.work)
    assert SECRET not in output
    assert output.count("cat: ") == 2


async def test_a_link_in_the_place_of_a_repository_still_protects_one_in_the_workspace(
    opened: Open, where: Ground
) -> None:
    (where.work / "real").mkdir()
    for path in (where.work, where.work / "real"):
        path.chmod(0o777)
    (where.work / ".git").symlink_to("real")
    policy = Policy(writable=(where.work,), protected=(where.work / ".git",))
    async with opened(policy) as sandbox:
        await run(sandbox, "echo evil > real/config", where.work)
    assert not (where.work / "real" / "config").exists()


async def test_our_own_code_in_the_workspace_cannot_be_changed(
    opened: Open, where: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = where.work / "venv" / "module.py"
    code.parent.mkdir()
    code.write_text("as it was")
    for path in (where.work, code.parent, code):
        path.chmod(0o777)
    monkeypatch.setattr(sys, "prefix", str(code.parent))
    policy = policy_for("workspace-write", [where.work])
    try:
        async with opened(policy) as sandbox:
            await run(sandbox, "echo evil > venv/module.py; mv venv old; mkdir venv", where.work)
    except ToolFailed as error:
        assert "cannot protect" in str(error)  # and then nothing runs
    assert code.read_text() == "as it was"


async def test_a_command_leaves_no_settings_for_us(where: Ground) -> None:
    policy = policy_for("workspace-write", [where.work])
    assert config_file().parent not in policy.absent
    policy = replace(policy_for("workspace-write", [where.home]), hidden=())
    settings = config_file()
    for name in ("bubblewrap", "landlock"):
        async with (await working(name)).open(policy) as sandbox:
            command = f"mkdir -p {settings.parent}; echo 'sandbox = \"off\"' > {settings}; echo ok"
            assert await run(sandbox, command, where.home) == "ok\n"
        assert not settings.parent.exists()


@pytest.mark.parametrize("spelled", ["home", "link"])
async def test_secrets_in_the_workspace_cannot_be_moved_into_sight(
    opened: Open, where: Ground, spelled: str
) -> None:
    (where.outside / "link").symlink_to(where.home)
    work = where.home if spelled == "home" else where.outside / "link"
    secret = where.home / ".config" / "gh" / "hosts.yml"
    secret.parent.mkdir(parents=True)
    secret.write_text(SECRET)
    for path in (where.home, secret.parent.parent):
        path.chmod(0o777)
    policy = Policy(writable=(work,), hidden=hidden(where.home))
    for command in ("mv .config moved", "cat .config/gh/hosts.yml moved/gh/hosts.yml .ssh/id*"):
        try:
            async with opened(policy) as sandbox:
                assert SECRET not in await run(sandbox, command, work)
        except ToolFailed as error:
            assert "cannot hide" in str(error)  # and then nothing runs


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/", "no sandbox can be made of the whole disk; open a directory in it"),
        ("gone", "is no directory any more; open another workspace"),
    ],
)
async def test_a_workspace_that_cannot_be_is_told(
    opened: Open, where: Ground, name: str, reason: str
) -> None:
    with pytest.raises(ToolFailed, match=reason):
        async with opened(Policy(writable=(where.work / name,))):
            pass


async def test_any_name_of_a_workspace_will_do(opened: Open, where: Ground) -> None:
    work = where.work / "with space, 'quote'\nand ü"
    work.mkdir()
    work.chmod(0o777)
    async with opened(Policy(writable=(work,))) as sandbox:
        assert await run(sandbox, "echo kept > file; cat file", work) == "kept\n"
    assert (work / "file").read_text() == "kept\n"
