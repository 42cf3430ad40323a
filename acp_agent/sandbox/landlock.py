"""Sandboxes made by the launcher alone, for machines that give us no namespaces.

That is so inside containers, and on systems that keep user namespaces from programs they do not
know. The program then sees other processes, though it can do nothing to them, and what is protected
inside a writable directory is not; `notes` says all that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from acp_agent.errors import ToolFailed
from acp_agent.sandbox import confined, places
from acp_agent.sandbox.base import Policy
from acp_agent.sandbox.cgroup import cgroup
from acp_agent.sandbox.confine import landlock_abi
from acp_agent.sandbox.confined import Confined
from acp_agent.sandbox.notes import notes
from acp_agent.sandbox.policy import own_code
from acp_agent.sandbox.repositories import put_back
from acp_agent.sandbox.scratch import scratch
from acp_agent.sandbox.trial import trial

# An older one cannot keep a program from truncating files anywhere.
ABI = 3
# The sockets and states of services and of other programs; a workspace may still lie here.
HIDDEN = (Path("/run"), Path("/var/run"))


class LandlockSandboxes:
    """Makes sandboxes of Landlock and seccomp."""

    name = "landlock"

    async def trouble(self) -> str:
        """Say why it does not work here, "" if it does; finds out by running it."""
        if landlock_abi() < ABI:
            return f"the kernel has Landlock {landlock_abi()}, {ABI} is needed (Linux 6.2)"
        return await trial(self)

    @asynccontextmanager
    async def open(self, policy: Policy) -> AsyncGenerator[Confined]:
        """Make a sandbox. Raises ToolFailed if it cannot be made."""
        places.check(policy.writable)
        hidden = places.real((*HIDDEN, *policy.hidden))
        writable = places.real(policy.writable)
        for path in hidden:
            if any(path.is_relative_to(root) for root in writable):
                raise ToolFailed(
                    f"landlock cannot hide {str(path)!r} in a workspace that holds it;"
                    " open a smaller workspace, or install bubblewrap"
                )
        for path in own_code():
            if any(path.is_relative_to(root) for root in writable):
                raise ToolFailed(
                    f"landlock cannot protect {str(path)!r}, where this program's code is, in a"
                    " workspace that holds it; install this program elsewhere, or bubblewrap"
                )
        async with scratch() as own, cgroup(policy.limits) as group:
            temporary = own / "tmp"
            temporary.mkdir(mode=0o700)
            given = confined.options(
                read=("/", *places.real(policy.readable), *confined.runtime()),
                write=(*writable, temporary),
                hide=hidden,
                internet=("yes",) if policy.network else (),
                alone=("yes",),
                more_processes=(str(policy.limits.processes),),
                need_landlock=(str(ABI),),
            )
            words = [*confined.launcher(), *given, *confined.limit_options(policy.limits), "--"]
            told = notes(self.name, group)
            restored, absent = put_back((*policy.protected, *places.protected(policy)))
            yield Confined(
                self.name,
                lambda _cwd, _detached: words,
                str(temporary),
                group,
                told,
                restored,
                (*policy.absent, *absent),
                confined.launchers(own, writable),
            )
