"""Sandboxes made with bubblewrap: own namespaces, and the launcher (confine.py) inside them.

The program sees the whole disk read-only, with private directories in place of the temporary ones,
nothing in place of what is hidden, and its own processes, network and devices only.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from acp_agent.errors import ToolFailed
from acp_agent.sandbox import confined, places
from acp_agent.sandbox.base import Policy
from acp_agent.sandbox.cgroup import cgroup
from acp_agent.sandbox.confined import Confined
from acp_agent.sandbox.notes import notes
from acp_agent.sandbox.repositories import put_back
from acp_agent.sandbox.scratch import scratch
from acp_agent.sandbox.trial import trial

TEMPORARY = ("/tmp", "/var/tmp")
# The sockets of the machine's services lie here.
EMPTY = (Path("/run"), Path("/var/run"))
# Where the addresses of name servers are on many machines; needed with a network.
_NAME_SERVERS = (Path("/run/systemd/resolve"), Path("/run/NetworkManager"), Path("/run/resolvconf"))
# Each costs more than the one before; what more is protected is put back after a command.
MOST_HELD = 64
_NEEDED = "bubblewrap 0.8 or newer is needed (package `bubblewrap`)"

# By order: later ones lie on top of earlier ones at the same place.
_HIDDEN, _READABLE, _WRITABLE, _PROTECTED = range(4)


class BubblewrapSandboxes:
    """Makes sandboxes of the program `bwrap`."""

    name = "bubblewrap"

    async def trouble(self) -> str:
        """Say why it does not work here, "" if it does; finds out by running it."""
        if shutil.which("bwrap") is None:
            return f"there is no bwrap; {_NEEDED}"
        failure = await trial(self)
        return f"{failure}; {_NEEDED}" if "nknown option" in failure else failure

    @asynccontextmanager
    async def open(self, policy: Policy) -> AsyncGenerator[Confined]:
        """Make a sandbox. Raises ToolFailed if it cannot be made."""
        program = shutil.which("bwrap")
        if program is None:
            raise ToolFailed(f"there is no bwrap; {_NEEDED}")
        places.check(policy.writable)
        async with scratch() as own, cgroup(policy.limits) as group:
            protected = places.protected(policy)
            held, rest = protected[:MOST_HELD], protected[MOST_HELD:]
            words = [program, *_namespaces(policy), *_mounts(policy, held, own)]
            inner = _launcher(policy)

            def prefix(cwd: Path, detached: bool) -> list[str]:
                session = ("--new-session",) if detached else ()
                return [*words, *session, "--chdir", str(cwd), "--", *inner]

            told = notes(self.name, group)
            # A mount lies on what a link leads to, and not on the link.
            links = tuple(path for path in policy.protected if path.is_symlink())
            restored, absent = put_back((*links, *rest))
            yield Confined(
                self.name,
                prefix,
                TEMPORARY[0],
                group,
                told,
                restored,
                (*policy.absent, *absent),
                confined.launchers(own, places.real(policy.writable)),
            )


def _namespaces(policy: Policy) -> Iterator[str]:
    yield from ("--die-with-parent", "--unshare-user", "--disable-userns", "--unshare-ipc")
    yield from ("--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL")
    if not policy.network:
        yield "--unshare-net"


def _mounts(policy: Policy, protected: Sequence[Path], own: Path) -> Iterator[str]:
    size = str(policy.limits.scratch << 20)
    yield from ("--ro-bind", "/", "/", "--dev", "/dev", "--size", size, "--tmpfs", "/dev/shm")
    yield from ("--remount-ro", "/dev", "--proc", "/proc")
    for place in TEMPORARY:
        inside = own / place.strip("/").replace("/", "-")
        inside.mkdir(mode=0o700)
        if not Path(place).is_symlink():
            yield from ("--bind", str(inside), place)
    nothing = own / "nothing"
    nothing.touch(mode=0o600)
    empty: list[str] = []
    for path, kind in _ordered(policy, places.real(protected)):
        match kind:
            case _ if kind == _HIDDEN and path.is_dir():
                yield from ("--tmpfs", str(path))
                empty += ("--remount-ro", str(path))
            case _ if kind == _HIDDEN:
                yield from ("--ro-bind", str(nothing), str(path))
            case _:
                # A repository may be gone when a later command runs.
                bind = "--bind-try" if kind == _WRITABLE else "--ro-bind-try"
                yield from (bind, str(path), str(path))
    yield from empty


def _ordered(policy: Policy, protected: Sequence[Path]) -> list[tuple[Path, int]]:
    """Return what is mounted where, what lies deeper after what lies above it."""
    masked = places.real((*EMPTY, *policy.hidden))
    above = (*masked, *(Path(place) for place in TEMPORARY))
    wanted = (*policy.readable, *confined.runtime(), *(_NAME_SERVERS if policy.network else ()))
    writable = places.real(policy.writable)
    kinds = {
        _HIDDEN: masked,
        # The rest of the disk can be read anyway, and would be given back to a hidden place in it.
        _READABLE: [p for p in places.real(wanted) if any(map(p.is_relative_to, above))],
        _WRITABLE: (*writable, *places.holders((*masked, *protected), writable)),
        _PROTECTED: protected,
    }
    found = [(path, kind) for kind, paths in kinds.items() for path in paths]
    return sorted(found, key=lambda place: (len(place[0].parts), place[1]))


def _launcher(policy: Policy) -> list[str]:
    # The mounts hide and protect already; Landlock says once more what can be written.
    writable = (*places.real(policy.writable), *TEMPORARY, "/dev/shm")
    given = confined.options(
        read=("/",),
        write=writable,
        processes=(str(policy.limits.processes),),
        # The network of the namespace is empty; programs may still talk to themselves.
        internet=("yes",),
        need_landlock=("0",),
    )
    return [*confined.launcher(), *given, *confined.limit_options(policy.limits), "--"]
