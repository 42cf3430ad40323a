"""Installs the model that is missing for a user who sits in an editor: adapter of `Installer`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import anyio
import anyio.to_thread

from acp_agent.agent.setup import Offer, Tell
from acp_agent.config import Settings
from acp_agent.models.advice import memory_advice
from acp_agent.models.base import InstallFailed, Progress
from acp_agent.models.catalog import Entry
from acp_agent.models.choose import missing_entry
from acp_agent.models.install import SPARE, Ears, Wish, gigabytes, install
from acp_agent.models.licences import licence_of
from acp_agent.models.origin import opener
from acp_agent.models.saying import sentence
from acp_agent.models.store import Store
from acp_agent.paths import models_path

EVERY = 1.0  # seconds between two reports


class ModelInstaller:
    """Brings the model that the settings name, or the default."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ

    async def offer(self) -> Offer:
        """Say what would be installed, and why it could not be."""
        return await anyio.to_thread.run_sync(self._offer, abandon_on_cancel=True)

    async def install(self, tell: Tell) -> None:
        """Install it, or wait for another process that does. Raises InstallFailed."""
        entry = missing_entry(self._settings)
        licence = licence_of(entry)
        heard = _Heard()
        wish = Wish(entry, licence.accepted() if licence else None)
        ears = Ears(heard.progress, heard.waiting, lambda _: None)
        failure: InstallFailed | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heard.report, tell)
            try:
                await install(Store(models_path()), wish, opener(self._environ), ears)
            except InstallFailed as error:
                failure = error  # raised below, outside the group, which would wrap it
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def _offer(self) -> Offer:
        entry = missing_entry(self._settings)
        licence = licence_of(entry)
        advice, trouble = "", ""
        try:
            advice = memory_advice(entry.size, entry.memory)
            trouble = _trouble(entry)
        except InstallFailed as error:
            trouble = str(error)
        return Offer(
            entry.name,
            gigabytes(entry.size),
            licence.name if licence else "",
            "\n\n".join(filter(None, (advice, licence.text if licence else ""))),
            f"acp-agent models install {entry.name}",
            trouble,
        )


def _trouble(entry: Entry) -> str:
    """Return what is in the way on the disk. Raises InstallFailed."""
    store = Store(models_path())
    store.prepare()
    standing = store.standing(entry.name)
    if standing.state == "damaged":
        return (
            f"{entry.name} is installed and damaged ({standing.why}); mend it with:"
            f" acp-agent models repair {entry.name}"
        )
    free = shutil.disk_usage(store.root).free
    needed = max(0, entry.size - standing.done) * (100 + SPARE) // 100
    if free >= needed:
        return ""
    return (
        f"{entry.name} needs {gigabytes(needed)} of disk, and {gigabytes(free)} are free: make"
        " room, or point XDG_DATA_HOME to a larger disk."
    )


class _Heard:
    """What is heard last of an install, told now and then."""

    def __init__(self) -> None:
        self._words = ""
        self._news = anyio.Event()

    def progress(self, progress: Progress) -> None:
        self._words = sentence(progress)
        self._news.set()

    def waiting(self) -> None:
        self._words = "another acp-agent installs it; waiting for that"
        self._news.set()

    async def report(self, tell: Tell) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            await tell(self._words)
            await anyio.sleep(EVERY)
