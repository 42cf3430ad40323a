"""Docker sandboxes: what works, what is told where they do not, and what they leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from acp_agent.config import Settings
from acp_agent.errors import ToolFailed
from acp_agent.sandbox import owner
from acp_agent.sandbox.base import Limits, Policy, Unfit
from acp_agent.sandbox.choose import Chooser
from acp_agent.sandbox.docker import DockerSandboxes
from acp_agent.sandbox.docker_engine import Engine, connect, listens
from acp_agent.sandbox.for_python import PythonSandbox
from acp_agent.sandbox.report import sandbox_findings
from tests.sandbox.boxes import working

if TYPE_CHECKING:
    from tests.sandbox.boxes import Ground
    from tests.sandbox.conftest import Box, DockerEngine, OpenBox

pytestmark = pytest.mark.anyio


async def containers(engine: DockerEngine, label: str = owner.LABEL) -> set[str]:
    """Return the containers that are there, running or not."""
    async with connect(engine.environ) as connected:
        found = await connected.do(
            "list", lambda c: c.api.containers(all=True, filters={"label": label})
        )
    return {container["Id"] for container in found}


async def test_a_working_engine_has_no_trouble(docker_engine: DockerEngine) -> None:
    assert await docker_engine.sandboxes.trouble() == ""
    assert await containers(docker_engine) == set()


async def test_what_doctor_says_is_of_the_image_of_the_settings(
    docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    found, _ = await sandbox_findings(Settings(sandbox_image=docker_engine.image))
    assert (found.works, found.text, found.notes) == (True, "docker", ())
    found, _ = await sandbox_findings(Settings(sandbox="docker", sandbox_image="/none/Dockerfile"))
    assert "/none/Dockerfile" in found.text


async def test_the_workspace_has_the_same_path_inside(box: Box) -> None:
    (box.workspace / "in").write_text("from outside")
    code = "import os; print(os.getcwd(), open('in').read()); open('out', 'w').write('from inside')"
    assert await box.python(code) == f"{box.workspace} from outside\n"
    assert (box.workspace / "out").read_text() == "from inside"


async def test_files_belong_to_the_owner_of_the_workspace(
    open_box: OpenBox, workspace: Path
) -> None:
    mine = workspace.stat()
    with suppress(PermissionError):  # Only root gives things away.
        os.chown(workspace, 1234, 1235)
        mine = workspace.stat()
    async with open_box() as box:
        await box.python("open('new', 'w')")
    made = (workspace / "new").stat()
    assert (made.st_uid, made.st_gid) in {(mine.st_uid, mine.st_gid), (65534, 65534)}


async def test_a_workspace_of_root_can_be_read_and_not_written(
    open_box: OpenBox, workspace: Path
) -> None:
    if workspace.stat().st_uid != 0:
        pytest.skip("only root has such a workspace")
    workspace.chmod(0o755)
    (workspace / "a").write_text("read")
    async with open_box(writable=(), readable=(workspace,)) as box:
        assert await box.python("print(open('a').read())") == "read\n"
    with pytest.raises(Unfit, match=r"runs as 65534:65534 and may not write in '.*work'; give"):
        async with open_box():
            pass
    workspace.chmod(0o700)
    with pytest.raises(Unfit, match="may not read"):
        async with open_box(writable=(), readable=(workspace,)):
            pass


async def test_python_goes_where_it_may_use_the_workspace(
    docker_engine: DockerEngine, where: Ground
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root has such a workspace")
    await working("bubblewrap")
    where.work.chmod(0o700)
    policy = Policy(writable=(where.work,), limits=Limits(memory=256))
    python = PythonSandbox(Chooser("auto", lambda: docker_engine.sandboxes))
    async with python.open(policy) as sandbox:
        assert sandbox.name == "bubblewrap"
        env = {"PATH": os.environ["PATH"]}
        async with sandbox.start(["touch", "new"], cwd=where.work, env=env) as program:
            assert await program.wait() == 0
    assert (where.work / "new").exists()
    asked = PythonSandbox(Chooser("docker", lambda: docker_engine.sandboxes))
    with pytest.raises(Unfit, match="may not write"):
        async with asked.open(policy):
            pass
    assert await containers(docker_engine) == set()


async def test_python_goes_where_a_repository_may_have_any_name(
    docker_engine: DockerEngine, where: Ground
) -> None:
    await working("bubblewrap")
    where.work.chmod(0o777)
    where.work.joinpath(os.fsdecode(b"caf\xe9"), ".git").mkdir(parents=True)
    policy = Policy(writable=(where.work,), limits=Limits(memory=256))
    async with PythonSandbox(Chooser("auto", lambda: docker_engine.sandboxes)).open(policy) as box:
        assert box.name == "bubblewrap"
    asked = PythonSandbox(Chooser("docker", lambda: docker_engine.sandboxes))
    with pytest.raises(Unfit, match=r"not UTF-8, such as '.*caf\\udce9.*'; rename it"):
        async with asked.open(policy):
            pass


async def test_a_second_directory_can_be_for_reading_only(
    open_box: OpenBox, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir(mode=0o777)
    (tmp_path / "other" / "a").write_text("x")
    async with open_box(readable=(tmp_path / "other",)) as box:
        assert await box.python(f"print(open('{tmp_path}/other/a').read())") == "x\n"
        assert "Read-only" in await box.python(f"open('{tmp_path}/other/b', 'w')")


async def test_a_program_has_its_environment_and_its_directory(box: Box) -> None:
    (box.workspace / "sub").mkdir()
    async with box.sandbox.start(
        ["sh", "-c", "echo $MINE $HOME; pwd"], cwd=box.workspace / "sub", env={"MINE": "a b"}
    ) as program:
        written = b"".join([data async for data in program.output]).decode()
    assert written == f"a b /tmp\n{box.workspace}/sub\n"


@pytest.mark.parametrize(
    ("command", "status"), [("exit 7", 7), ("kill -9 $$", -9), ("kill -15 $$", -15), ("", 0)]
)
async def test_the_status_is_told(box: Box, command: str, status: int) -> None:
    assert await box.run("sh", "-c", command) == ("", status)


async def test_a_program_is_talked_to(box: Box) -> None:
    code = "import sys\nfor line in sys.stdin: print('got', line.strip(), flush=True)"
    async with box.sandbox.start(["python3", "-c", code], cwd=box.workspace, env={}) as program:
        for word in ("one", "two"):
            await program.send(f"{word}\n".encode())
            assert await anext(program.output) == f"got {word}\n".encode()


async def test_much_is_written_both_ways(box: Box) -> None:
    code = "import sys; data = sys.stdin.buffer.read(3 << 20); sys.stdout.buffer.write(data)"
    data = bytes(range(256)) * (3 << 12)
    got = b""
    async with box.sandbox.start(["python3", "-c", code], cwd=box.workspace, env={}) as program:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(program.send, data)
            async for piece in program.output:
                got += piece
    assert got == data


async def test_an_interrupt_reaches_the_program_and_its_children(box: Box) -> None:
    code = (
        "import subprocess\n"
        "try: print('up', flush=True); subprocess.run(['sleep', '600'])\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    with anyio.fail_after(20):
        async with box.sandbox.start(["python3", "-c", code], cwd=box.workspace, env={}) as program:
            assert await anext(program.output) == b"up\n"
            await program.interrupt()
            assert b"".join([data async for data in program.output]) == b"interrupted\n"
            assert await program.wait() == 0


@pytest.mark.parametrize("detach", ["", "setsid "])
async def test_what_a_program_leaves_behind_ends_with_its_block(box: Box, detach: str) -> None:
    command = f"{detach}sleep 600 & {detach}sleep 600 & echo up; sleep 600"
    with anyio.fail_after(20):
        async with box.sandbox.start(["sh", "-c", command], cwd=box.workspace, env={}) as program:
            assert await anext(program.output) == b"up\n"
    code = "import os; print([p for p in os.listdir('/proc') if p.isdigit() and int(p) > 1])"
    assert (await box.python(code)).count(",") == 1  # what keeps the container, and this program


async def test_the_end_of_one_program_leaves_another_alone(box: Box) -> None:
    async with box.sandbox.start(["cat"], cwd=box.workspace, env={}) as program:
        assert await box.run("echo", "over") == ("over\n", 0)
        await program.send(b"still here\n")
        assert await anext(program.output) == b"still here\n"


async def test_a_container_that_was_killed_is_replaced(box: Box) -> None:
    await box.run("sh", "-c", "kill -9 -1")
    assert await box.run("echo", "new") == ("new\n", 0)


@pytest.mark.parametrize(
    ("argv", "cwd", "reason"),
    [
        (["no-such-program"], "/", "there is no such program in the image"),
        (["true"], "/no/such/directory", "no such file or directory"),
    ],
)
async def test_a_program_that_cannot_start_is_named(
    box: Box, argv: list[str], cwd: str, reason: str
) -> None:
    with pytest.raises(ToolFailed, match=f"cannot run '{argv[0]}' in the sandbox: .*{reason}"):
        async with box.sandbox.start(argv, cwd=Path(cwd), env={}):
            pass


async def test_a_cancel_leaves_no_container(docker_engine: DockerEngine, open_box: OpenBox) -> None:
    opened = anyio.Event()

    async def work() -> None:
        async with open_box() as box:
            async with box.sandbox.start(["sleep", "600"], cwd=box.workspace, env={}):
                opened.set()
                await anyio.sleep_forever()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await opened.wait()
            assert len(await containers(docker_engine)) == 1
            tasks.cancel_scope.cancel()
    assert await containers(docker_engine) == set()


HOLDER = """
    import sys, anyio
    from acp_agent.sandbox.base import Policy
    from acp_agent.sandbox.docker import DockerSandboxes
    async def main():
        sandboxes = DockerSandboxes(sys.argv[1], {"DOCKER_HOST": sys.argv[2]})
        async with sandboxes.open(Policy()):
            print("held", flush=True)
            await anyio.sleep_forever()
    anyio.run(main)
"""


async def test_a_killed_agent_leaves_no_container(docker_engine: DockerEngine) -> None:
    argv = (sys.executable, "-c", textwrap.dedent(HOLDER), docker_engine.image, docker_engine.host)
    with anyio.fail_after(30):
        async with await anyio.open_process(argv, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert (await holder.stdout.receive()).startswith(b"held")
            assert len(await containers(docker_engine)) == 1
            holder.kill()
        while True:
            if not await containers(docker_engine):
                break
            await anyio.sleep(0.01)  # the engine notices by itself


async def left_behind(engine: Engine, image: str, labels: dict[str, str]) -> str:
    """Make a container as one that did not end with its owner; return its id."""
    made = await engine.do("make", lambda c: c.containers.create(image, ["true"], labels=labels))
    return made.id


async def test_containers_of_the_dead_are_reaped_and_others_left(
    docker_engine: DockerEngine,
) -> None:
    async with await anyio.open_process(["sleep", "600"]) as process:
        of_the_dead = await anyio.to_thread.run_sync(owner.labels, process.pid)
        process.kill()
    ours = owner.labels()
    recycled = {**ours, "acp-agent.start": "an earlier process of this number"}
    elsewhere = {**of_the_dead, "acp-agent.host": "another machine"}
    nonsense = {**of_the_dead, "acp-agent.pid": "-1"}
    async with connect(docker_engine.environ) as engine:
        gone = [await left_behind(engine, docker_engine.image, x) for x in (of_the_dead, recycled)]
        kept = [
            await left_behind(engine, docker_engine.image, x) for x in (ours, elsewhere, nonsense)
        ]
        assert await docker_engine.sandboxes.reap() == 2
        assert await containers(docker_engine) == set(kept)
        assert gone
        for name in kept:
            await engine.do("remove", lambda c, n=name: c.api.remove_container(n))


def test_an_engine_is_looked_for_where_one_may_listen(tmp_path: Path) -> None:
    if Path("/var/run/docker.sock").exists():
        pytest.skip("this machine has an engine of its own")
    environ = {"HOME": str(tmp_path)}
    assert not listens(environ)
    (tmp_path / ".docker" / "run").mkdir(parents=True)
    (tmp_path / ".docker" / "run" / "docker.sock").touch()
    assert listens(environ)
    assert listens({"DOCKER_HOST": "tcp://10.0.0.1:2376"})
    assert not listens({"DOCKER_HOST": "unix:///no/such/socket"})


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("unix:///no/such/socket", "No such file or directory"),
        ("tcp://127.0.0.1:1", "Connection refused"),
        ("nonsense:x", "Invalid bind address"),
    ],
)
async def test_an_engine_that_does_not_answer_is_named(host: str, reason: str) -> None:
    sandboxes = DockerSandboxes("any", {"DOCKER_HOST": host})
    told = await sandboxes.trouble()
    assert told.startswith(f"no Docker engine answers at {host} (")
    assert reason in told
    assert told.endswith("; start Docker, or set DOCKER_HOST")
    assert await sandboxes.reap() == 0
    with pytest.raises(ToolFailed, match="no Docker engine answers"):
        async with sandboxes.open(Policy()):
            pass


async def test_a_socket_that_hangs_is_given_up(tmp_path: Path) -> None:
    listener = await anyio.create_unix_listener(tmp_path / "s")
    async with listener:
        with anyio.fail_after(20):
            told = await DockerSandboxes("", {"DOCKER_HOST": f"unix://{tmp_path}/s"}).trouble()
    assert "no Docker engine answers" in told
