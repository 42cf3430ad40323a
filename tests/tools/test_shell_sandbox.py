"""The tool `shell` in a sandbox: what is denied, how that is told, and how one gets out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from acp_agent.errors import ToolFailed
from acp_agent.events import Event
from acp_agent.sandbox.choose import Chooser
from acp_agent.sandbox.commands import CommandSandbox
from acp_agent.tools.base import Permission, Prepared, ToolResult
from acp_agent.tools.shell import Shell, ShellArguments
from acp_agent.tools.workspace import Workspace
from tests.sandbox.boxes import working
from tests.tools.conftest import ScriptedEditor, ScriptedTerminal

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("patient"),
    pytest.mark.skipif(sys.platform != "linux", reason="these sandboxes are Linux's"),
]


class Sandboxed:
    """A shell in a sandbox; `call` does what a turn does with a call."""

    def __init__(self, root: Path, commands: CommandSandbox, editor: ScriptedEditor | None) -> None:
        self.root = root
        self.commands = commands
        self.events: list[Event] = []
        self._shell = Shell(Workspace(root), editor, timeout=20, sandbox=commands)

    async def prepare(self, command: str, **arguments: object) -> Prepared:
        asked = ShellArguments.model_validate({"command": command, **arguments})
        return await self._shell.prepare("call-1", asked)

    async def call(self, command: str, **arguments: object) -> ToolResult:
        async def emit(event: Event) -> None:
            self.events.append(event)

        return await (await self.prepare(command, **arguments)).run(emit)


@pytest.fixture(params=("bubblewrap", "landlock"))
async def layer(request: pytest.FixtureRequest) -> str:
    await working(request.param)
    return request.param


@pytest.fixture
def editor() -> ScriptedEditor:
    return ScriptedEditor()


@pytest.fixture
async def shell(
    layer: str, tmp_path: Path, home: Path, editor: ScriptedEditor
) -> AsyncGenerator[Sandboxed]:
    root = tmp_path / "work"
    root.mkdir()
    commands = CommandSandbox(Chooser(layer), [root], mode="workspace-write", network=False)
    yield Sandboxed(root, commands, editor)
    await commands.close()


async def test_a_command_works_in_the_workspace(shell: Sandboxed) -> None:
    result = await shell.call("pwd; echo hi > file; cat file")
    assert (result.text, result.failed) == (f"{shell.root}\nhi\n[exit code 0]", False)
    assert (shell.root / "file").read_text() == "hi\n"


async def test_a_denied_write_says_that_it_was_the_sandbox(shell: Sandboxed) -> None:
    result = await shell.call("touch /etc/acp-agent-test")
    assert result.failed
    assert result.text.endswith(
        "\n[exit code 1]\n[sandbox: only the workspace and $TMPDIR can be written;"
        " `unsandboxed: true` asks the user to run it outside]"
    )
    assert not Path("/etc/acp-agent-test").exists()


async def test_a_denied_connection_says_that_it_was_the_sandbox(shell: Sandboxed) -> None:
    result = await shell.call("exec 3<>/dev/tcp/192.0.2.1/80")
    assert "[sandbox: no network; `unsandboxed: true` asks" in result.text


DENIED = {
    "git config user.name x": "git's settings and hooks cannot be changed",
    "echo 'dial unix /x.sock: socket: operation not permitted'; false": "no sockets of files",
    "unshare -m true": "no debuggers, mounts or namespaces",
}


@pytest.mark.parametrize(("command", "words"), DENIED.items(), ids=DENIED)
async def test_what_was_denied_is_told_by_its_name(
    shell: Sandboxed, layer: str, command: str, words: str
) -> None:
    if "git" in command and layer != "bubblewrap":
        pytest.skip("landlock puts git's settings back when the command has ended")
    await anyio.run_process(["git", "init", "-q", str(shell.root)])
    assert f"[sandbox: {words}" in (await shell.call(command)).text


async def test_a_failure_of_its_own_is_not_laid_to_the_sandbox(shell: Sandboxed) -> None:
    assert (await shell.call("echo no; exit 3")).text == "no\n[exit code 3]"
    assert "sandbox" not in (await shell.call("grep x /dev/null")).text


async def test_what_was_put_back_is_told(shell: Sandboxed, layer: str) -> None:
    await anyio.run_process(["git", "init", "-q", str(shell.root)])
    result = await shell.call("echo .. > .git/commondir")
    path = shell.root / ".git" / "commondir"
    assert f"[sandbox: put back what commands may not change: {path}]" in result.text
    assert not path.exists()


async def test_a_command_in_the_sandbox_asks_as_ever(shell: Sandboxed) -> None:
    prepared = await shell.prepare("git status --short")
    assert prepared.permission == Permission("shell", "git status")


async def test_outside_the_sandbox_is_another_question(shell: Sandboxed) -> None:
    target = shell.root.parent / "outside"
    prepared = await shell.prepare(f"touch {target}", unsandboxed=True)
    assert prepared.title == f"touch {target} (outside the sandbox)"
    assert prepared.permission == Permission("shell", f"touch {target}", beyond=True)
    result = await shell.call(f"touch {target}", unsandboxed=True)
    assert (result.text, target.exists()) == ("[no output, exit code 0]", True)


async def test_without_a_sandbox_there_is_no_outside(tmp_path: Path) -> None:
    commands = CommandSandbox(Chooser("off"), [tmp_path], mode="workspace-write", network=False)
    shell = Sandboxed(tmp_path, commands, None)
    prepared = await shell.prepare("ls", unsandboxed=True)
    assert (prepared.title, prepared.permission) == ("ls", Permission("shell", "ls"))


async def test_where_the_sandbox_asked_for_fails_a_command_can_only_run_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chooser = Chooser("bubblewrap")
    with monkeypatch.context() as context:
        context.setenv("PATH", "/nowhere")
        assert "no bwrap" in await chooser.trouble("bubblewrap")
    commands = CommandSandbox(chooser, [tmp_path], mode="workspace-write", network=False)
    shell = Sandboxed(tmp_path, commands, None)
    with pytest.raises(ToolFailed, match=r"no bwrap.*; `unsandboxed: true` asks the user"):
        await shell.prepare("ls")
    prepared = await shell.prepare("ls", unsandboxed=True)
    assert prepared.permission == Permission("shell", "ls", beyond=True)


async def test_temporary_files_last_and_the_background_does_not(shell: Sandboxed) -> None:
    await shell.call("echo kept > $TMPDIR/f; (sleep 600; echo late > late) & echo started")
    assert (await shell.call("cat $TMPDIR/f")).text == "kept\n[exit code 0]"
    await shell.commands.close()
    assert "No such file" in (await shell.call("cat $TMPDIR/f")).text


async def test_the_time_limit_ends_what_runs_in_the_sandbox(shell: Sandboxed) -> None:
    command = "trap '' TERM; exec 9> lock; flock 9; echo up; sleep 600"
    result = await shell.call(command, timeout=0.5)
    assert result.text.startswith("up\n[stopped after 0.5 s")
    with anyio.fail_after(5):
        await anyio.run_process(["flock", "lock", "true"], cwd=shell.root)


async def test_the_editors_terminal_runs_the_sandbox(
    shell: Sandboxed, editor: ScriptedEditor
) -> None:
    editor.terminal = ScriptedTerminal(output="Read-only file system", exit_code=1)
    result = await shell.call("echo hi; touch /etc/acp-agent-test $TMPDIR/x && echo both")
    assert "[sandbox: only the workspace" in result.text
    ((*argv, cwd),) = editor.opened
    (env,) = editor.environments
    assert cwd == str(shell.root)
    # A terminal does not promise a session of its own.
    ran = await anyio.run_process(
        argv, cwd=cwd, env={"PATH": "/usr/bin:/bin", **env}, check=False, stderr=subprocess.STDOUT
    )
    assert ran.stdout.startswith(b"hi\n")
    assert b"both" not in ran.stdout
    assert not Path("/etc/acp-agent-test").exists()


async def test_the_editor_shows_the_command_and_little_else(
    shell: Sandboxed, editor: ScriptedEditor
) -> None:
    editor.terminal = ScriptedTerminal()
    command = "printf '%s|' \"$0\" \"it's\" 'a\\b' \"$(echo ü)\" '*'\necho \"$PWD\" '$HOME'"
    await shell.call(command)
    await shell.call("true")
    (file, shown, cwd), (same, *_) = editor.opened
    assert (shown, Path(file).name, same, len(file) < 80) == (command, "sandbox", file, True)
    assert Path(file).stat().st_mode & 0o777 == 0o700
    ran = await anyio.run_process([file, shown], cwd=cwd, stderr=subprocess.STDOUT)
    assert ran.stdout.decode().partition("bash")[2] == f"|it's|a\\b|ü|*|{shell.root} $HOME\n"
    await shell.commands.close()
    assert not Path(file).exists()


@pytest.mark.parametrize("odd", ['it\'s a "dir"\n$(touch pwned) ü', "-n *"])
async def test_a_terminal_starts_in_a_directory_of_any_name(
    shell: Sandboxed, editor: ScriptedEditor, odd: str
) -> None:
    editor.terminal = ScriptedTerminal()
    (shell.root / odd).mkdir()
    await shell.call("pwd", workdir=odd)
    ((*argv, cwd),) = editor.opened
    ran = await anyio.run_process(argv, cwd=cwd)
    assert ran.stdout.decode() == f"{shell.root}/{odd}\n"


async def test_a_command_cannot_change_what_runs_the_next_one(
    shell: Sandboxed, editor: ScriptedEditor
) -> None:
    editor.terminal = ScriptedTerminal()
    await shell.call("true")
    ((file, *_),) = editor.opened
    before = Path(file).read_bytes()
    attempts = f"""
echo evil >> {file}; echo evil > {file}; rm -f {file}; mv {file} moved; chmod 777 {file}
ln {file} linked && echo evil >> linked; cp /bin/true {file}
mkdir -p {Path(file).parent}; mv {Path(file).parent} away; mv {Path(file).parents[2]} away
"""
    await shell.call(attempts)
    await anyio.run_process(editor.opened[1][:2], cwd=shell.root, check=False)
    assert Path(file).read_bytes() == before
    await shell.call("true")
    assert (Path(file).read_bytes(), Path(file).stat().st_mode & 0o777) == (before, 0o700)


async def test_where_a_command_could_change_it_the_editor_is_shown_all_words(
    shell: Sandboxed, editor: ScriptedEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shell.root / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(shell.root / "tmp"))
    editor.terminal = ScriptedTerminal()
    await shell.call("echo hi")
    ((*argv, cwd),) = editor.opened
    assert len(argv) > 10
    assert (await anyio.run_process(argv, cwd=cwd)).stdout == b"hi\n"


async def test_the_sandbox_of_a_terminal_outlives_no_kill(
    layer: str, shell: Sandboxed, editor: ScriptedEditor
) -> None:
    editor.terminal = ScriptedTerminal()
    # Bubblewrap gives it a session of its own: else this would end the tests.
    suicide = "kill 0; " if layer == "bubblewrap" else ""
    await shell.call(f"exec 9> lock; flock 9; echo up; {suicide}sleep 600")
    ((*argv, cwd),) = editor.opened
    async with await anyio.open_process(argv, cwd=cwd) as process:
        assert process.stdout is not None
        assert await process.stdout.receive() == b"up\n"
        process.kill()
    with anyio.fail_after(5):
        await anyio.run_process(["flock", "lock", "true"], cwd=cwd)
