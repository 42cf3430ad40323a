"""What works in a sandbox without containers, as it does outside; and how its programs end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from acp_agent.errors import ToolFailed
from acp_agent.sandbox.base import Policy
from acp_agent.sandbox.landlock import LandlockSandboxes
from acp_agent.sandbox.scratch import PREFIX, scratch
from tests.sandbox.boxes import PYTHON, Box, Ground, box, ground, working

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="these sandboxes are Linux's"),
]


@pytest.fixture
def where(home: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Ground]:
    monkeypatch.undo()  # the real home is where the directories go
    with ground() as made:
        monkeypatch.setenv("HOME", str(made.home))
        for name in ("NAME", "EMAIL"):
            for who in ("AUTHOR", "COMMITTER"):
                monkeypatch.setenv(f"GIT_{who}_{name}", "somebody@example.org")
        yield made


@pytest.fixture(params=("bubblewrap", "landlock"))
async def jail(request: pytest.FixtureRequest, where: Ground) -> AsyncGenerator[Box]:
    await anyio.run_process(["git", "init", "-q", str(where.work)])
    with anyio.fail_after(60):
        async with box(request.param, where) as opened:
            yield opened


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("echo a > a; git add a && git commit -qm one && git log --oneline --format=%s", "one\n"),
        ("git commit -q --allow-empty -m one && git switch -qc b && git status -sb", "## b\n"),
        ("git commit -q --allow-empty -m one && git stash list && git gc -q && echo ok", "ok\n"),
        (
            "printf 'all:\\n\\t@echo made > out\\n' > Makefile;"
            " env -u MAKELEVEL -u MAKEFLAGS make && cat out",
            "made\n",
        ),
        ("f=$(mktemp) && echo kept > $f && cat $f", "kept\n"),
        ("echo b a | tr ' ' '\\n' | sort | head -1", "a\n"),
        ("cat <<< here; cat <(echo there)", "here\nthere\n"),
        ("mkdir -p d/e && mv d/e f && cp -r f d && ln -s f g && ls", "d\nf\ng\n"),
        ("(sleep 0.05; echo late) & wait", "late\n"),
        ("echo > /dev/null; head -c 4 /dev/zero | wc -c; echo x > /dev/stdout", "4\nx\n"),
    ],
)
async def test_ordinary_work_goes_on(jail: Box, command: str, output: str) -> None:
    assert await jail.run(command) == (0, output)


@pytest.mark.parametrize(
    "command",
    [
        f"{PYTHON} -m pip --version",
        f"{PYTHON} -m venv --without-pip v && v/bin/python -c 'import ssl, sqlite3, ctypes'",
        f"{PYTHON} -c 'import subprocess; subprocess.run([\"true\"], start_new_session=True)'",
        'node -e \'require("child_process").execSync("ls"); console.log(1)\'',
        "gcc --version",
        "ls $PWD > /dev/null && stat . && df . > /dev/null && ps > /dev/null",
    ],
)
async def test_a_program_of_the_machine_runs(jail: Box, command: str) -> None:
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"there is no {command.split()[0]} here")
    status, output = await jail.run(command)
    assert (status, output) == (0, output)


async def test_processes_of_a_pool_work_together(where: Ground) -> None:
    async with box("bubblewrap", where) as jail:
        output = await jail.python("""
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(abs, [-1, -2]))
""")
    assert output == "[1, 2]\n"


async def test_a_server_of_ones_own_is_reached_where_the_network_is_ones_own(where: Ground) -> None:
    async with box("bubblewrap", where) as jail:
        output = await jail.python("""
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()) as client:
        client.send(b"hi")
        print(server.accept()[0].recv(2))
""")
    assert output == "b'hi'\n"


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_with_a_network_the_machine_is_reached(name: str, where: Ground) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        async with box(name, where, replace(where.policy, network=True)) as jail:
            code = f"import socket; socket.create_connection({server.getsockname()!r})"
            assert await jail.python(code) == ""
            code = "import socket; socket.socket(socket.AF_UNIX)"
            assert "PermissionError" in await jail.python(code)


async def test_temporary_files_last_as_long_as_the_sandbox(jail: Box) -> None:
    assert await jail.run("echo one > $TMPDIR/kept") == (0, "")
    assert await jail.run("cat $TMPDIR/kept; rm $TMPDIR/kept") == (0, "one\n")


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_nothing_of_a_sandbox_is_left(
    name: str, where: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))

    def traces() -> set[Path]:
        return set((tmp_path / "scratch").iterdir()) | set(
            Path("/sys/fs/cgroup").glob(f"*/acp-agent-{os.getpid()}-*")
        )

    before = traces()
    async with box(name, where) as jail:
        await jail.run("mkdir $TMPDIR/d; setsid sleep 600 & echo > $TMPDIR/d/f")
        assert traces() > before
    assert traces() == before


async def test_what_a_killed_agent_has_left_is_removed_with_the_next_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stranger = tmp_path / f"{PREFIX}link"
    (tmp_path / "mine").mkdir()
    stranger.symlink_to(tmp_path / "mine")
    left, new = (Path(tempfile.mkdtemp(prefix=PREFIX)) for _ in range(2))
    (left / "file").touch()
    async with scratch() as held:
        for path in (left, held):
            os.utime(path, (0, 0))
        async with scratch() as another:
            found = set(tmp_path.iterdir())
    assert found == {held, another, new, stranger, tmp_path / "mine"}
    assert set(tmp_path.iterdir()) == {new, stranger, tmp_path / "mine"}


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_in_read_only_mode_nothing_is_written(name: str, where: Ground) -> None:
    (where.work / "file").write_text("as it was")
    async with box(f"shell in {name}", where, mode="read-only") as jail:
        status, output = await jail.run("echo x > $TMPDIR/x && cat file; echo y > file")
    assert (status, output.startswith("as it was")) == (1, True)
    assert (where.work / "file").read_text() == "as it was"


async def test_an_interrupt_is_for_the_program(jail: Box) -> None:
    code = """
import time
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("caught", input(), flush=True)
    time.sleep(60)
"""
    argv = [PYTHON, "-I", "-c", code]
    async with jail.confined.start(argv, cwd=jail.ground.work, env=dict(os.environ)) as running:
        output = running.output
        assert await anext(output) == b"ready\n"
        await running.interrupt()
        await running.send(b"and goes on\n")
        assert await anext(output) == b"caught and goes on\n"
        await running.interrupt()
        assert b"KeyboardInterrupt" in b"".join([data async for data in output])
        assert await running.wait() == -2


async def test_leaving_the_block_ends_what_runs(jail: Box) -> None:
    argv = ["bash", "-c", "trap '' TERM INT; echo up; sleep 600 & wait; sleep 600"]
    async with jail.confined.start(argv, cwd=jail.ground.work, env=dict(os.environ)) as running:
        assert await anext(running.output) == b"up\n"
    assert await running.wait() in (-15, -9)
    with pytest.raises(StopAsyncIteration):
        await anext(running.output)
    with pytest.raises(BrokenPipeError):
        await running.send(b"x" * 1_000_000)


async def test_a_program_that_is_not_there_is_told(jail: Box) -> None:
    with pytest.raises(ToolFailed, match="cannot run 'no-such-program': there is no such program"):
        async with jail.confined.start(["no-such-program"], cwd=jail.ground.work, env={}):
            pass


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_killing_the_agent_kills_its_programs(name: str, where: Ground) -> None:
    await working(name)
    program = f"""
import anyio, os
from pathlib import Path
from tests.sandbox.boxes import LAYERS
from acp_agent.sandbox.base import Policy
async def main():
    async with LAYERS[{name!r}]().open(Policy(writable=(Path.cwd(),))) as box:
        argv = ["sh", "-c", "exec 9> lock; flock 9; echo up; sleep 600"]
        async with box.start(argv, cwd=Path.cwd(), env=dict(os.environ)) as running:
            async for data in running.output:
                print(data.decode(), flush=True)
anyio.run(main)
"""
    path = os.pathsep.join((str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")))
    with anyio.fail_after(20):
        async with await anyio.open_process(
            [sys.executable, "-c", program],
            cwd=where.work,
            env={**os.environ, "PYTHONPATH": path},
        ) as agent:
            assert agent.stdout is not None
            assert b"up" in await agent.stdout.receive()
            agent.kill()
        # The lock is free when the last process that has it open is gone.
        await anyio.run_process(["flock", "lock", "true"], cwd=where.work)
    # What it could not take with it is gone with the next.
    async with box(name, where):
        left = set(Path("/sys/fs/cgroup").glob(f"*/acp-agent-{agent.pid}-*"))
    assert left == set()


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_killing_the_agent_leaves_nothing_that_leads_git_elsewhere(
    name: str, where: Ground
) -> None:
    await working(name)
    left = where.work / ".git" / "commondir"
    left.parent.mkdir()
    program = f"""
import anyio, os
from pathlib import Path
from acp_agent.sandbox.choose import Chooser
from acp_agent.sandbox.commands import CommandSandbox
from acp_agent.tools.shell import Shell, ShellArguments
from acp_agent.tools.workspace import Workspace
async def main():
    here = [Path.cwd()]
    commands = CommandSandbox(Chooser({name!r}), here, mode="workspace-write", network=False)
    shell = Shell(Workspace(Path.cwd()), None, timeout=60, sandbox=commands)
    command = "echo ../evil > .git/commondir; echo up; sleep 600"
    async def emit(event):
        if "up" in event.snapshot:
            print("up", flush=True)
    await (await shell.prepare("call-1", ShellArguments(command=command))).run(emit)
anyio.run(main)
"""
    with anyio.fail_after(20):
        async with await anyio.open_process(
            [sys.executable, "-c", program], cwd=where.work
        ) as agent:
            assert agent.stdout is not None
            assert b"up" in await agent.stdout.receive()
            assert left.exists()
            agent.kill()
        while True:
            if not left.exists():
                break
            await anyio.sleep(0.01)  # the one that watches tells nobody


async def test_a_directory_that_would_show_secrets_is_refused_by_landlock(where: Ground) -> None:
    await working("landlock")
    with pytest.raises(ToolFailed, match="landlock cannot hide"):
        async with LandlockSandboxes().open(
            Policy(writable=(where.home,), hidden=(where.home / ".ssh",))
        ):
            pass


async def test_secrets_in_the_workspace_are_hidden_by_bubblewrap(where: Ground) -> None:
    policy = Policy(writable=(where.home, where.work), hidden=(where.home / ".ssh",))
    async with box("bubblewrap", where, policy) as jail:
        assert await jail.run("ls -A ~/.ssh; echo x > ~/new; cat ~/new") == (0, "x\n")


def test_a_broken_launcher_runs_nothing(where: Ground) -> None:
    """What cannot be confined must not run."""
    launcher = Path(__file__).parents[2] / "acp_agent" / "sandbox" / "confine.py"
    for words, message in (
        (["--need-landlock", "99", "--", "echo", "RAN"], "Landlock"),
        (["--read"], "no value"),
        (["--read", "/"], "no program"),
        (["--read", "/", "--"], "no program"),
        (["--read", "/", "--", "no-such-program"], "cannot run 'no-such-program'"),
    ):
        ran = subprocess.run(
            [PYTHON, "-I", "-S", str(launcher), *words], capture_output=True, text=True, check=False
        )
        assert (ran.returncode != 0, ran.stdout, message in ran.stderr) == (True, "", True)
