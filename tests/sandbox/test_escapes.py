"""Attempts to get out of a sandbox, each of which must fail, through every way in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import anyio
import pytest

from tests.sandbox.boxes import SECRET, SMALL, Box, Ground, box, ground, limited

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="these sandboxes are Linux's"),
]

WAYS = ("bubblewrap", "landlock", "shell in bubblewrap", "shell in landlock")


@pytest.fixture
def where(home: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Ground]:
    monkeypatch.undo()  # the real home is where the directories go
    with ground() as made:
        monkeypatch.setenv("HOME", str(made.home))
        yield made


@pytest.fixture(params=WAYS)
async def jail(request: pytest.FixtureRequest, where: Ground) -> AsyncGenerator[Box]:
    with anyio.fail_after(60):
        async with box(request.param, where) as opened:
            yield opened


@pytest.fixture(params=("bubblewrap", "landlock"))
async def small(request: pytest.FixtureRequest, where: Ground) -> AsyncGenerator[Box]:
    with anyio.fail_after(60):
        async with box(request.param, where, limited(where)) as opened:
            yield opened


@pytest.fixture
def bystander() -> Generator[subprocess.Popen[bytes]]:
    """Give a program of the user that has nothing to do with it all."""
    with subprocess.Popen(["sleep", "600"], env={**os.environ, "TOKEN": SECRET}) as process:
        yield process
        process.kill()


async def write_fails(jail: Box, code: str) -> str:
    """Run `code`; what lies outside is as it was."""
    output = await jail.python(code.replace("OUT", str(jail.ground.outside)))
    assert [path.name for path in jail.ground.outside.iterdir()] == ["victim"]
    assert jail.ground.victim.read_text() == "untouched"
    return output


@pytest.mark.parametrize(
    "code",
    [
        "open('OUT/new', 'w')",
        "open('OUT/victim', 'w')",
        "open('OUT/victim', 'a').write('x')",
        "import os; os.truncate('OUT/victim', 0)",
        "import os; os.remove('OUT/victim')",
        "import os; os.mkdir('OUT/new')",
        "import os; os.symlink('OUT', 'link'); open('link/victim', 'w')",
        "import os; os.rename('attempt.py', 'OUT/new')",
        "import os; os.rename('OUT/victim', 'taken')",
        "import os; os.link('OUT/victim', 'linked'); open('linked', 'w')",
        "import os; os.link('attempt.py', 'OUT/new')",
        "import os; os.chdir('/proc/self/cwd/../outside'); open('victim', 'w')",
    ],
)
async def test_nothing_is_written_outside(jail: Box, code: str) -> None:
    assert "Error" in await write_fails(jail, code)


async def test_a_remount_does_not_make_the_disk_writable(jail: Box) -> None:
    command = f"mount -o remount,rw,bind / ; echo x > {jail.ground.victim}; umount /tmp"
    status, _ = await jail.run(command)
    assert status != 0
    assert jail.ground.victim.read_text() == "untouched"


async def test_keys_cannot_be_read(jail: Box) -> None:
    _, output = await jail.run("cat ~/.ssh/id_ed25519; cat /proc/self/root$HOME/.ssh/*; ls ~/.ssh")
    assert SECRET not in output
    assert "Permission denied" in output or "No such file" in output


async def test_the_environment_of_others_cannot_be_read(
    jail: Box, bystander: subprocess.Popen[bytes]
) -> None:
    _, output = await jail.run(
        f"cat /proc/{bystander.pid}/environ; grep -als {SECRET} /proc/*/environ"
    )
    assert SECRET not in output
    assert "/environ" in output  # the first of them said why
    assert "\n/proc" not in output


async def test_no_connection_reaches_the_machine(jail: Box) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        for listening in (tcp, udp):
            listening.setblocking(False)
        await jail.python(f"""
import socket
addresses = {{socket.SOCK_DGRAM: {udp.getsockname()!r}, socket.SOCK_STREAM: {tcp.getsockname()!r}}}
for kind, address in addresses.items():
    try:
        with socket.socket(type=kind) as s:
            s.settimeout(2)
            s.connect(address)
            s.send(b"hello")
    except OSError as error:
        print(error)
""")
        with pytest.raises(BlockingIOError):
            tcp.accept()
        with pytest.raises(BlockingIOError):
            udp.recv(10)


async def made(path: Path) -> None:
    for _ in range(1000):
        if path.exists():
            return
        await anyio.sleep(0.01)  # another process makes it
    raise AssertionError(f"there is no {path}")


async def test_what_listens_inside_is_not_reached_from_outside(jail: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code = f"""
import socket
try:
    with socket.create_server(("0.0.0.0", {port})) as s:
        s.settimeout(3)
        open("bound", "w")
        s.accept()
        print("REACHED")
except OSError as error:
    open("bound", "w")
    print(error)
"""
    said: list[str] = []
    async with anyio.create_task_group() as tasks:

        async def listen() -> None:
            said.append(await jail.python(code))
            tasks.cancel_scope.cancel()

        tasks.start_soon(listen)
        await made(jail.ground.work / "bound")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        tasks.cancel_scope.cancel()
    assert "REACHED" not in "".join(said)


async def test_sockets_of_the_machine_are_not_reached(jail: Box) -> None:
    paths = [jail.ground.outside.parent / "s", jail.ground.work / "s", "\0acp-agent-test"]
    listening = [socket.socket(socket.AF_UNIX) for _ in paths]
    letters = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        for path, server in zip(paths, listening, strict=True):
            server.bind(str(path))
            server.listen()
            server.setblocking(False)
        letters.bind(str(jail.ground.work / "letters"))
        letters.setblocking(False)
        output = await jail.python(f"""
import socket
for path in {[str(path) for path in paths]!r}:
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        print("REACHED", path)
    except OSError as error:
        print(error)
for make in (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
             lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]):
    try:
        make().sendto(b"hello", "letters")
        print("REACHED letters")
    except OSError as error:
        print(error)
""")
        assert "REACHED" not in output
        for server in listening:
            with pytest.raises(BlockingIOError):
                server.accept()
        with pytest.raises(BlockingIOError):
            letters.recv(10)
    finally:
        for opened in (*listening, letters):
            opened.close()


async def test_other_programs_get_no_signals(jail: Box, bystander: subprocess.Popen[bytes]) -> None:
    if any("signals to other programs" in note for note in jail.confined.notes):
        pytest.skip("this kernel cannot keep signals inside Landlock")
    _, output = await jail.run(f"kill -9 {bystander.pid}; kill -TERM {os.getpid()}")
    assert bystander.poll() is None
    assert "kill:" in output


async def test_other_programs_cannot_be_traced_or_read(
    jail: Box, bystander: subprocess.Popen[bytes]
) -> None:
    output = await jail.python(f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
print(libc.ptrace(16, {bystander.pid}, None, None), libc.ptrace(0, 0, None, None))
for name in ("mem", "maps", "fd/0", "root"):
    try:
        path = "/proc/{bystander.pid}/" + name
        os.listdir(path) if name == "root" else open(path, "rb").read(1)
        print("READ", name)
    except OSError as error:
        print(error)
""")
    assert output.startswith("-1 -1\n")
    assert "READ" not in output


CALLS = {
    "unshare(user)": "libc.unshare(0x10000000)",
    "unshare(mount)": "libc.unshare(0x20000)",
    "chroot": "libc.chroot(b'.')",
    "mount": "libc.mount(b'none', b'.', b'tmpfs', 0, None)",
    "setns": "libc.setns(0, 0)",
    "io_uring_setup": "libc.syscall(425, 1, ctypes.create_string_buffer(120))",
    "open_tree": "libc.syscall(428, -100, b'/', 1)",
    "fsopen": "libc.syscall(430, b'tmpfs', 0)",
    "pidfd_getfd": "libc.syscall(438, 0, 0, 0)",
    "mount_setattr": "libc.syscall(442, -100, b'/', 0, 0, 0)",
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_dangerous_system_call_is_not_permitted(jail: Box, name: str) -> None:
    code = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    output = await jail.python(f"{code}print({CALLS[name]}, ctypes.get_errno())")
    assert output == "-1 1\n"


async def test_no_namespace_comes_with_a_new_process(jail: Box) -> None:
    status, output = await jail.run("unshare --user --map-root-user id; exit 7")
    assert (status, "uid=0(root)" in output) == (7, False)
    output = await jail.python("""
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(56 if platform.machine() == "x86_64" else 220, 0x10000011, 0, 0, 0, 0))
print(ctypes.get_errno(), libc.syscall(435, ctypes.create_string_buffer(88), 88))
print(ctypes.get_errno())
""")
    assert output == "-1\n1 -1\n38\n"


async def test_nothing_is_typed_into_a_terminal(jail: Box) -> None:
    output = await jail.python("""
import fcntl, os, termios
try:
    fcntl.ioctl(os.openpty()[1], termios.TIOCSTI, b"x")
    print("TYPED")
except OSError as error:
    print(error)
""")
    assert "TYPED" not in output


async def test_root_keeps_no_rights(jail: Box) -> None:
    _, output = await jail.run("grep -E '^(Cap[IPEA]|NoNew|Seccomp:)' /proc/self/status")
    none = "0" * 16
    assert output.split() == [
        *(word for kind in ("Inh", "Prm", "Eff", "Amb") for word in (f"Cap{kind}:", none)),
        *("NoNewPrivs:", "1", "Seccomp:", "2"),
    ]


# ---------------------------------------------------------------- .git


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


# ---------------------------------------------------------------- floods


async def test_a_fork_bomb_runs_into_its_limit(small: Box) -> None:
    if any("number of processes" in note for note in small.confined.notes):
        pytest.skip("root without a control group: nothing bounds the number of processes")
    output = await small.python("""
import os, time
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except OSError:
    pass
print("forked", count, flush=True)
os._exit(0)
""")
    assert 0 < int(output.split()[-1]) <= SMALL.processes


async def test_a_process_gets_no_more_memory_than_its_limit(small: Box) -> None:
    output = await small.python(f"""
try:
    held = bytearray({SMALL.memory} << 20)
    print("HELD")
except MemoryError:
    print("denied")
""")
    assert output == "denied\n"


async def test_many_processes_together_get_no_more_memory(small: Box) -> None:
    if any("memory is bounded" in note for note in small.confined.notes):
        pytest.skip("without a control group memory is bounded for each process only")
    output = await small.python("""
import os, time
for _ in range(4):
    if os.fork() == 0:
        held = b"x" * (100 << 20)
        time.sleep(60)
ended = [os.wait()[1] for _ in range(2)]
print("ended by", ended)
""")
    assert "ended by [9" in output or output == ""


async def test_a_process_gets_no_more_files_than_its_limit(jail: Box) -> None:
    output = await jail.python("""
import os
try:
    for count in range(100_000):
        os.dup(0)
except OSError as error:
    print(count < 5000, error.errno)
""")
    assert output == "True 24\n"


async def test_a_file_gets_no_larger_than_its_limit(small: Box) -> None:
    status, _ = await small.run("head -c 20M /dev/zero > big")
    assert status != 0
    assert (small.ground.work / "big").stat().st_size <= SMALL.scratch << 20
    status, _ = await small.run("head -c 20M /dev/zero > $TMPDIR/big")
    assert status != 0


async def test_shared_memory_is_bounded(where: Ground) -> None:
    async with box("bubblewrap", where, limited(where)) as jail:
        command = "for i in 1 2 3; do head -c 10M /dev/zero > /dev/shm/$i || exit 9; done"
        status, output = await jail.run(command)
        assert (status, "No space left" in output) == (9, True)
