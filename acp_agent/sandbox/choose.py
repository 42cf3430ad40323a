"""Which sandbox: the first that works, found out by running each once, when first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from importlib import import_module
from typing import Protocol, cast

import anyio

from acp_agent.errors import ToolFailed
from acp_agent.sandbox.base import Policy, Sandboxes
from acp_agent.sandbox.bubblewrap import BubblewrapSandboxes
from acp_agent.sandbox.confined import Confined
from acp_agent.sandbox.landlock import LandlockSandboxes

FOR_PYTHON = ("docker", "bubblewrap", "landlock")
# Those that start in a moment come first.
FOR_PYTHON_AT_ONCE = ("bubblewrap", "landlock", "docker")
# A container does not have the user's programs.
FOR_COMMANDS = ("bubblewrap", "landlock")


class ConfinedSandboxes(Protocol):
    """`Sandboxes` whose programs are started by a command line, whoever runs it."""

    @property
    def name(self) -> str: ...

    async def trouble(self) -> str: ...

    def open(self, policy: Policy) -> AbstractAsyncContextManager[Confined]: ...


class ContainerSandboxes(Sandboxes, Protocol):
    """`Sandboxes` made of an image."""

    async def missing(self) -> str:
        """Return the image that must be built or fetched first, "" if it is there."""
        ...


def _docker() -> ContainerSandboxes:
    # With the package `docker` it costs 70 ms that most sessions do without.
    return cast("ContainerSandboxes", import_module("acp_agent.sandbox.docker").DockerSandboxes())


_CONFINED: Mapping[str, Callable[[], ConfinedSandboxes]] = {
    "bubblewrap": BubblewrapSandboxes,
    "landlock": LandlockSandboxes,
}


class Chooser:
    """Chooses by the setting `sandbox`; one for all sessions, so that each is tried once."""

    def __init__(
        self,
        setting: str = "auto",
        docker: Callable[[], ContainerSandboxes] = _docker,
        for_python: tuple[str, ...] = FOR_PYTHON,
        image: str = "",
    ) -> None:
        """Take the setting, how the sandboxes of Docker are made, and the order for `python`.

        `image` is what the user wants Docker's to be made of, "" for no wish.
        """
        self._setting = setting
        self._docker = docker
        self._for_python = for_python
        self._untold_image = image
        self._troubles: dict[str, str] = {}
        self._trying = anyio.Lock()

    @property
    def is_off(self) -> bool:
        return self._setting == "off"

    def names(self, name: str) -> bool:
        """Tell whether the setting names the one of this `name`, so that no other was tried."""
        return self._setting == name

    async def for_python(self) -> Sandboxes | None:
        """Return what `python` runs in; None if nothing works and nothing was asked for.

        Raises:
            ToolFailed: The one that the setting names does not work.

        """
        name = await self._first(self._for_python)
        return self._make(name) if name else None

    async def after(self, name: str) -> Sandboxes | None:
        """Return what `python` runs in where that of this `name` is unfit; None if nothing."""
        if self._setting in FOR_PYTHON:
            return None
        order = self._for_python
        found = await self._first(order[order.index(name) + 1 :])
        return self._make(found) if found else None

    async def for_commands(self) -> ConfinedSandboxes | None:
        """Return what `shell` runs in; as `for_python`, but never Docker."""
        name = await self._first(FOR_COMMANDS)
        return _CONFINED[name]() if name else None

    async def missing_image(self) -> str:
        """Return the image that the choice for `python` waits for, "" if it waits for none."""
        if self._setting not in ("auto", "docker") or "docker" in self._troubles:
            return ""
        with suppress(ImportError):
            return await self._docker().missing()
        return ""

    def misses_image(self, name: str) -> str:
        """Return, once, the image that the user named if that of this `name` is taken instead."""
        image, docker = self._untold_image, "docker"
        if self._setting != "auto" or name == docker or docker not in self._troubles:
            return ""
        self._untold_image = ""
        return image

    async def trouble(self, name: str) -> str:
        """Say why the sandboxes of this name do not work here, "" if they do."""
        async with self._trying:
            if name not in self._troubles:
                self._troubles[name] = await self._try(name)
            return self._troubles[name]

    async def _try(self, name: str) -> str:
        try:
            return await self._make(name).trouble()
        except ImportError as error:
            return f"a package is missing: {error}"

    async def _first(self, names: tuple[str, ...]) -> str:
        if self.is_off:
            return ""
        if self._setting in names:
            trouble = await self.trouble(self._setting)
            if trouble:
                raise ToolFailed(f"the sandbox {self._setting!r} does not work: {trouble}")
            return self._setting
        for name in names:
            if not await self.trouble(name):
                return name
        return ""

    def _make(self, name: str) -> Sandboxes:
        return self._docker() if name == "docker" else _CONFINED[name]()
