"""Which sandbox is taken, and what is said when none works."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from acp_agent.config import Settings
from acp_agent.errors import NotReady, ToolFailed
from acp_agent.sandbox.base import Policy, Sandbox
from acp_agent.sandbox.choose import FOR_PYTHON, FOR_PYTHON_AT_ONCE, Chooser
from acp_agent.sandbox.commands import CommandSandbox
from acp_agent.sandbox.docker import DockerSandboxes
from acp_agent.sandbox.for_python import PythonSandbox
from acp_agent.sandbox.policy import policy_for
from acp_agent.sandbox.report import SandboxFinding, sandbox_findings
from tests.sandbox.boxes import working

pytestmark = pytest.mark.anyio


@dataclass
class ScriptedSandboxes:
    """Sandboxes that work unless there is trouble."""

    says: str = ""
    name: str = "docker"
    lacks: str = ""
    asked: list[str] = field(default_factory=list[str])

    async def trouble(self) -> str:
        self.asked.append("trouble")
        self.lacks = ""
        return self.says

    async def missing(self) -> str:
        return self.lacks

    @asynccontextmanager
    async def open(self, policy: Policy) -> AsyncGenerator[Sandbox]:
        raise AssertionError("nothing is opened here")
        yield


@pytest.fixture
def without_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")


async def test_docker_comes_first_for_python_and_is_tried_once() -> None:
    docker = ScriptedSandboxes()
    chooser = Chooser("auto", lambda: docker)
    assert await chooser.for_python() is docker
    assert await chooser.for_python() is docker
    assert docker.asked == ["trouble"]


async def test_an_image_that_is_missing_is_said_before_anyone_waits_for_it() -> None:
    docker = ScriptedSandboxes(lacks="ours:1")
    sandbox = PythonSandbox(Chooser("auto", lambda: docker))
    with pytest.raises(
        NotReady, match=r"Getting the Docker image ours:1 .* it takes minutes"
    ) as no:
        await sandbox.trouble()
    assert docker.asked == []
    await no.value.get()
    assert await sandbox.trouble() == ""
    assert docker.asked == ["trouble"]


async def test_no_image_is_looked_for_where_docker_is_not_wanted() -> None:
    docker = ScriptedSandboxes(lacks="ours:1")
    for setting in ("off", "landlock", "bubblewrap"):
        assert await Chooser(setting, lambda: docker).missing_image() == ""


async def test_where_nobody_waits_docker_is_the_last() -> None:
    docker = ScriptedSandboxes()
    chooser = Chooser("auto", lambda: docker, FOR_PYTHON_AT_ONCE)
    found = await chooser.for_python()
    assert found is not None
    works = [name for name in FOR_PYTHON_AT_ONCE if not await chooser.trouble(name)]
    assert (found.name, works[-1]) == (works[0], "docker")


async def test_commands_never_run_in_docker() -> None:
    docker = ScriptedSandboxes()
    for setting in ("auto", "docker"):
        found = await Chooser(setting, lambda: docker).for_commands()
        assert found is None or found.name in ("bubblewrap", "landlock")
    assert docker.asked == []


async def test_the_next_one_is_taken_where_the_first_has_trouble() -> None:
    chooser = Chooser("auto", lambda: ScriptedSandboxes("no engine"))
    found = await chooser.for_python()
    assert found is None or found.name in ("bubblewrap", "landlock")
    assert await chooser.trouble("docker") == "no engine"


async def test_the_one_that_was_asked_for_is_taken_or_none() -> None:
    chooser = Chooser("docker", lambda: ScriptedSandboxes("no engine"))
    with pytest.raises(ToolFailed, match="the sandbox 'docker' does not work: no engine"):
        await chooser.for_python()


async def test_off_is_off() -> None:
    chooser = Chooser("off", lambda: ScriptedSandboxes())
    assert (await chooser.for_python(), await chooser.for_commands()) == (None, None)


@pytest.mark.usefixtures("without_path")
async def test_a_machine_without_bwrap_is_told_what_to_install(tmp_path: Path) -> None:
    chooser = Chooser("bubblewrap")
    message = "there is no bwrap; bubblewrap 0.8 or newer is needed"
    with pytest.raises(ToolFailed, match=message):
        await chooser.for_commands()
    commands = CommandSandbox(chooser, [tmp_path], mode="workspace-write", network=False)
    with pytest.raises(ToolFailed, match=message):
        await commands.confined()
    await commands.close()


async def test_mode_off_opens_nothing(tmp_path: Path) -> None:
    commands = CommandSandbox(Chooser("bubblewrap"), [tmp_path], mode="off", network=False)
    assert await commands.confined() is None


async def test_what_does_not_work_is_a_finding_with_advice() -> None:
    settings = Settings(sandbox="docker", shell_sandbox="off")
    chooser = Chooser("docker", lambda: ScriptedSandboxes("no engine"))
    python, shell = await sandbox_findings(settings, chooser)
    assert (python.works, python.text) == (False, "the sandbox 'docker' does not work: no engine")
    assert "docs/confinement.md" in python.advice
    assert shell == SandboxFinding(
        "shell sandbox", False, "off by the settings: all runs with your rights"
    )


async def test_what_works_is_a_finding() -> None:
    chooser = Chooser("auto", lambda: ScriptedSandboxes())
    python, shell = await sandbox_findings(Settings(), chooser)
    assert python == SandboxFinding("python sandbox", True, "docker")
    assert shell.works == (shell.text in ("bubblewrap", "landlock"))


def test_the_policy_of_commands_names_what_lies_open_and_what_not(
    tmp_path: Path, home: Path
) -> None:
    work = tmp_path / "work"
    (work / ".git").mkdir(parents=True)
    (work / ".git" / "config").touch()
    policy = policy_for("workspace-write", [work])
    assert policy.writable == (work, work / ".git")
    assert policy.protected == (work / ".git" / "hooks", work / ".git" / "config")
    secrets = {home / ".ssh", home / ".cache" / "huggingface" / "token", home / ".zhistory"}
    assert {*secrets, tmp_path / "state" / "acp-agent"} < set(policy.hidden)
    assert not policy.network
    read_only = policy_for("read-only", [work], network=True)
    assert (read_only.writable, read_only.protected, read_only.network) == ((), (), True)


def test_our_own_settings_are_protected_in_a_workspace_that_holds_them(
    tmp_path: Path, home: Path
) -> None:
    settings = tmp_path / "config" / "acp-agent"
    settings.mkdir()
    assert policy_for("workspace-write", [tmp_path]).protected == (settings,)


def test_the_file_of_a_linked_worktree_is_protected(tmp_path: Path, home: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /elsewhere/.git/worktrees/x")
    policy = policy_for("workspace-write", [tmp_path])
    assert (policy.writable, policy.protected) == ((tmp_path,), (tmp_path / ".git",))


async def test_an_image_of_the_user_that_fails_is_told_once(tmp_path: Path) -> None:
    broken = DockerSandboxes(str(tmp_path / "Dockerfile"), {"DOCKER_HOST": f"unix://{tmp_path}/no"})
    await working("landlock")
    chooser = Chooser("auto", lambda: broken, image="~/lab/Dockerfile")
    told: list[str] = []
    for _ in range(2):  # sessions
        assert await PythonSandbox(chooser, told.append).trouble() == ""
    (said,) = told
    taken = await chooser.for_python()
    assert taken is not None
    words = f"python runs in {taken.name}, and not in '~/lab/Dockerfile' (sandbox_image): "
    assert said == words + await broken.trouble()


async def test_nothing_is_told_where_the_image_is_not_missed() -> None:
    await working("landlock")
    for setting, image, order in (
        ("auto", "", FOR_PYTHON),  # ours, which nobody asked for
        ("landlock", "mine:1", FOR_PYTHON),
        ("auto", "mine:1", ("landlock", "docker")),  # where nobody waits for an image
    ):
        docker = ScriptedSandboxes("no engine")
        chooser = Chooser(setting, lambda docker=docker: docker, order, image)
        told: list[str] = []
        assert await PythonSandbox(chooser, told.append).trouble() == ""
        assert told == []


async def test_doctor_does_not_pass_over_an_image_of_the_user(tmp_path: Path) -> None:
    await working("landlock")
    chooser = Chooser("auto", lambda: ScriptedSandboxes("cannot get the image 'mine:1'"))
    python, _ = await sandbox_findings(Settings(sandbox_image="mine:1"), chooser)
    assert (python.works, python.notes[0]) == (False, "no docker: cannot get the image 'mine:1'")
    assert python.advice.startswith("mend what sandbox_image names")


async def test_one_that_was_asked_for_is_a_finding_without_those_before_it() -> None:
    setting, tried = "landlock", Chooser("landlock", lambda: ScriptedSandboxes("no engine"))
    await working(setting)
    python, shell = await sandbox_findings(Settings(sandbox=setting), tried)
    assert (python.text, shell.text) == (setting, setting)
    assert [note for note in (*python.notes, *shell.notes) if note.startswith("no ")] == []
