"""Attempts to get out of a container, none of which may succeed."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Box, DockerEngine, OpenBox

pytestmark = pytest.mark.anyio

# What is refused says why; what is not there is not there.
REFUSALS = (
    "Read-only file system",
    "Permission denied",
    "Operation not permitted",
    "No such file or directory",
    "No such process",
    "Network is unreachable",
    "Connection refused",
    "Invalid cross-device link",
    "Device or resource busy",
    "Function not implemented",
)


async def refused(box: Box, code: str) -> str:
    """Run code that must be refused by the system; return the reason."""
    attempt = f"import os, socket, sys\ntry:\n  {code}\nexcept OSError as e: print(e.strerror or e)"
    written = (await box.python(f"{attempt}\nelse: print('DONE')")).strip()
    assert written.startswith(REFUSALS), written
    return written


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Give a file that is not in the workspace and that everyone may write to."""
    path = tmp_path / "outside" / "file"
    path.parent.mkdir()
    path.parent.chmod(0o777)
    path.write_text("secret")
    path.chmod(0o666)
    return path


async def test_a_file_outside_is_neither_read_nor_written(box: Box, outside: Path) -> None:
    await refused(box, f"print(open('{outside}').read())")
    await refused(box, f"open('{outside.parent}/new', 'w')")
    assert [outside.name] == [path.name for path in outside.parent.iterdir()]


async def test_a_link_leads_nowhere(box: Box, outside: Path) -> None:
    code = f"os.symlink('{outside}', 'link'); open('link', 'r+').write('changed')"
    await refused(box, code)
    assert outside.read_text() == "secret"


async def test_a_file_is_neither_renamed_nor_linked_out(box: Box, outside: Path) -> None:
    (box.workspace / "mine").write_text("x")
    await refused(box, f"os.rename('mine', '{outside.parent}/mine')")
    await refused(box, f"os.link('mine', '{outside.parent}/mine')")
    await refused(box, f"os.link('{outside}', 'theirs')")
    assert (box.workspace / "mine").exists()


@pytest.mark.parametrize(
    "code",
    [
        "open('.git/hooks/pre-commit', 'w')",
        "open('.git/config', 'w')",
        "os.rename('.git', 'git')",
        "os.rmdir('.git/hooks')",
        "os.chmod('.git', 0o777)",
    ],
)
async def test_what_is_protected_can_only_be_read(box: Box, code: str) -> None:
    await refused(box, code)
    assert [path.name for path in (box.workspace / ".git").iterdir()] == ["hooks"]
    assert await box.python("import os; print(os.listdir('.git'))") == "['hooks']\n"


async def test_what_is_hidden_is_empty(open_box: OpenBox, workspace: Path) -> None:
    (workspace / "keys").mkdir()
    (workspace / "keys" / "id").write_text("secret")
    (workspace / ".env").write_text("secret")
    hidden = (workspace / "keys", workspace / ".env", workspace / "not there")
    async with open_box(hidden=hidden) as box:
        code = "import os; print(os.listdir('keys'), open('.env').read())"
        assert await box.python(code) == "[] \n"
        await refused(box, "open('keys/new', 'w')")
        await box.python("open('.env', 'w').write('x')")
    assert (workspace / ".env").read_text() == "secret"


async def test_keys_in_a_home_are_not_there(box: Box) -> None:
    for place in (Path.home() / ".ssh", Path("/root/.ssh"), Path("~/.ssh")):
        await refused(box, f"print(os.listdir(os.path.expanduser('{place}')))")


async def test_other_processes_are_not_seen(box: Box) -> None:
    secret = "TOP_SECRET_OF_THE_HOST"
    async with await anyio.open_process(["sleep", "600"], env={**os.environ, secret: "1"}) as other:
        code = (
            "import glob\nfor path in glob.glob('/proc/[0-9]*/environ'):\n"
            "  try: print(open(path).read())\n  except OSError: pass"
        )
        written = await box.python(code)
        await refused(box, f"os.kill({other.pid}, 0)")
        other.kill()
    assert secret not in written
    assert "HOME" in written


async def test_no_signal_reaches_the_host(box: Box) -> None:
    await refused(box, f"os.kill({os.getpid()}, {signal.SIGURG})")
    # Pid 1 is that of the container, which does not heed those who live in it.
    await box.python("import os; os.kill(1, 9)")
    assert await box.run("true") == ("", 0)


async def test_no_process_of_the_host_is_traced(box: Box) -> None:
    attach = 16
    code = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.ptrace({attach}, {os.getpid()}, 0, 0))"
    )
    assert await box.python(code) == "-1\n"


@pytest.fixture
def listener() -> socket.socket:
    listening = socket.socket()
    listening.bind(("0.0.0.0", 0))
    listening.listen()
    return listening


async def test_no_address_is_reached_by_tcp(box: Box, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    own = socket.gethostbyname(socket.gethostname())
    for host in ("127.0.0.1", own, "172.17.0.1", "169.254.169.254", "1.1.1.1"):
        await refused(box, f"socket.create_connection(('{host}', {port}), 3)")
    listener.settimeout(0)
    with listener, pytest.raises(BlockingIOError):
        listener.accept()


async def test_no_address_is_reached_by_udp_or_by_name(box: Box) -> None:
    udp = "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 53))"
    assert await refused(box, udp) == "Network is unreachable"
    code = (
        "import socket\ntry: socket.getaddrinfo('example.com', 80)\n"
        "except socket.gaierror: print('no name')\nprint(socket.if_nameindex())"
    )
    assert await box.python(code) == "no name\n[(1, 'lo')]\n"


async def test_no_socket_of_the_host_is_reached(
    box: Box, docker_engine: DockerEngine, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as abstract:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        name = f"acp-agent-test-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        engine = docker_engine.host.removeprefix("unix://")
        with socket.socket(socket.AF_UNIX) as shared:
            shared.bind(str(box.workspace / "s"))
            shared.listen()
            (box.workspace / "s").chmod(0o777)
            await refused(box, "socket.socket(socket.AF_UNIX).connect('s')")
        for path in (tmp_path / "s", engine, "/var/run/docker.sock", "/run/docker.sock"):
            await refused(box, f"socket.socket(socket.AF_UNIX).connect('{path}')")
        await refused(box, f"socket.socket(socket.AF_UNIX).connect('\\0{name}')")


@pytest.mark.parametrize(
    "command",
    [
        ("mount", "-t", "tmpfs", "none", "/mnt"),
        ("mount", "-o", "remount,rw", "/"),
        ("unshare", "--user", "--map-root-user", "true"),
        ("unshare", "--mount", "true"),
        ("unshare", "--net", "true"),
    ],
)
async def test_nothing_is_mounted_and_no_namespace_made(box: Box, command: tuple[str, ...]) -> None:
    written, status = await box.run(*command)
    assert status != 0
    assert any(word in written for word in (*REFUSALS, "must be superuser")), written


async def test_no_right_is_held_or_won(box: Box) -> None:
    code = (
        "import os\nfor line in open('/proc/self/status'):\n"
        "  if line.startswith(('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs', 'Seccomp:')):\n"
        "    print(int(line.split()[1], 16))\nprint(os.getuid() > 0)"
    )
    # No capability; new privileges are refused; a filter is in place.
    assert (await box.python(code)).split() == ["0", "0", "0", "1", "2", "True"]
    for call in ("os.setuid(0)", "os.chroot('/tmp')", "os.mknod('/tmp/d', 0o60666, 0xfe00)"):
        await refused(box, call)


@pytest.mark.parametrize("call", [425, 298, 323], ids=["io_uring", "perf", "userfaultfd"])
async def test_what_engines_let_through_is_denied(box: Box, call: int) -> None:
    code = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({call}, 1, ctypes.create_string_buffer(120)), ctypes.get_errno())"
    )
    assert await box.python(code) == "-1 1\n"


async def test_the_kernel_is_not_configured(box: Box) -> None:
    await refused(box, "open('/proc/sys/kernel/core_pattern', 'w')")
    await refused(box, "open('/proc/sysrq-trigger', 'w')")
    await refused(box, "os.mkdir('/sys/fs/cgroup/memory/mine')")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc here")
async def test_a_read_only_workspace_stays_as_it_is(open_box: OpenBox, workspace: Path) -> None:
    (workspace / "a").write_text("as it was")
    (workspace / "a").chmod(0o666)
    async with open_box(writable=(), readable=(workspace,)) as box:
        assert await box.python("print(open('a').read())") == "as it was\n"
        for code in ("open('a', 'w')", "os.unlink('a')", "open('new', 'w')", "os.chmod('a', 0)"):
            await refused(box, code)
    assert (workspace / "a").read_text() == "as it was"
