"""What `doctor` says of sandboxes: which one works here, found out by running each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from acp_agent.config import Settings
from acp_agent.errors import ToolFailed
from acp_agent.sandbox.base import Policy, Sandboxes
from acp_agent.sandbox.choose import (
    FOR_COMMANDS,
    FOR_PYTHON,
    Chooser,
    ConfinedSandboxes,
    ContainerSandboxes,
)

ADVICE = "install Docker, or the package `bubblewrap`; docs/confinement.md says what each gives"
OTHER_IMAGE = "mend what sandbox_image names, or leave it out: python does not run in it"


@dataclass(frozen=True, slots=True)
class SandboxFinding:
    """What was found about the sandbox of one use; `works` with `notes` on what is missing."""

    part: str
    works: bool
    text: str
    notes: tuple[str, ...] = ()
    advice: str = ""


async def sandbox_findings(
    settings: Settings, chooser: Chooser | None = None
) -> tuple[SandboxFinding, SandboxFinding]:
    """Look at the sandboxes of `python` and of commands."""
    chosen = chooser or Chooser(settings.sandbox, partial(_docker, settings.sandbox_image))
    python = await _finding(chosen, "python sandbox", FOR_PYTHON, settings.sandbox == "off")
    if settings.sandbox_image and settings.sandbox == "auto" and python.text != "docker":
        python = replace(python, works=False, advice=python.advice or OTHER_IMAGE)
    off = "off" in (settings.sandbox, settings.shell_sandbox)
    shell = await _finding(chosen, "shell sandbox", FOR_COMMANDS, off)
    return python, shell


async def _finding(
    chooser: Chooser, part: str, names: tuple[str, ...], off: bool
) -> SandboxFinding:
    if off:
        return SandboxFinding(part, False, "off by the settings: all runs with your rights")
    python = names == FOR_PYTHON
    try:
        found = await (chooser.for_python() if python else chooser.for_commands())
    except ToolFailed as error:
        return SandboxFinding(part, False, str(error), advice=ADVICE)
    if found is None:
        tried = [f"{name}: {await chooser.trouble(name)}" for name in names]
        return SandboxFinding(part, False, f"none works ({'; '.join(tried)})", advice=ADVICE)
    passed = () if chooser.names(found.name) else names[: names.index(found.name)]
    better = [f"no {name}: {await chooser.trouble(name)}" for name in passed]
    return SandboxFinding(part, True, found.name, (*better, *await _notes(found)))


def _docker(image: str) -> ContainerSandboxes:
    from acp_agent.sandbox.docker import DockerSandboxes  # with the package `docker`: 70 ms

    return DockerSandboxes(image)


async def _notes(found: Sandboxes) -> tuple[str, ...]:
    """Return what a sandbox without containers does not enforce here."""
    if found.name == "docker":
        return ()
    async with cast("ConfinedSandboxes", found).open(Policy()) as confined:
        return confined.notes
