"""Attempts to get out of a sandbox, each of which must fail, through every way in."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from tests.sandbox.boxes import SECRET, Box

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="these sandboxes are Linux's"),
]


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


async def test_other_programs_keep_their_limits(
    jail: Box, bystander: subprocess.Popen[bytes]
) -> None:
    # A limit of no processor time would kill it as a signal does.
    output = await jail.python(f"""
import os, resource
def tell(attempt):
    try:
        print("DONE", attempt())
    except OSError as error:
        print(error.errno)
tell(lambda: resource.prlimit({bystander.pid}, resource.RLIMIT_NOFILE, (3, 3)))
tell(lambda: os.setpriority(os.PRIO_PROCESS, {bystander.pid}, 19))
tell(lambda: os.sched_setscheduler({bystander.pid}, os.SCHED_BATCH, os.sched_param(0)))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
os.nice(1)
""")
    assert "DONE" not in output and "Traceback" not in output
    assert len(output.split()) == 3
    assert resource.prlimit(bystander.pid, resource.RLIMIT_NOFILE)[0] > 3


async def test_memory_that_others_share_is_not_reached(jail: Box) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.shmget(0x6ACB, 4096, 0o1666)
    assert number >= 0
    try:
        output = await jail.python("""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.shmget(0x6ACB, 4096, 0), ctypes.get_errno() in (1, 2))
""")
    finally:
        libc.shmctl(number, 0, None)
    assert output == "-1 True\n"


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
