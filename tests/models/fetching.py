"""What the tests of fetching share: a published file, a source of it, and short patience."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from acp_agent.models.base import InstalledFile, InstallFailed, Listing, RemoteFile, Source
from acp_agent.models.fetch import fetch
from acp_agent.models.hashes import Hashes
from acp_agent.models.hub import HubSource
from acp_agent.models.patience import Patience
from tests.models.hub_server import Hub, hub_server

REPO = "ggml-org/tiny-GGUF"
NAME = "tiny.gguf"
DATA = random.Random(1).randbytes(3_000_000)
HASTE = Patience(tries=3, first=0.001, longest=0.002)


def installed(data: bytes, path: str = NAME) -> InstalledFile:
    hashes = Hashes()
    hashes.add(data)
    return hashes.installed(path)


@dataclass
class Play:
    """A hub with one file in one repository, and a part file to bring it to."""

    hub: Hub
    folder: Path
    part: Path
    told: list[int] = field(default_factory=list[int])

    @property
    def environ(self) -> dict[str, str]:
        return {"HF_ENDPOINT": self.hub.endpoint, "HF_TOKEN": "hf_known"}

    def source(self, *, silent: float = 5.0) -> HubSource:
        return HubSource(REPO, [NAME], environ=self.environ, silent=silent)

    @property
    def file(self) -> RemoteFile:
        return RemoteFile(NAME, len(DATA), installed(DATA).sha256)

    @property
    def listing(self) -> Listing:
        return Listing(self.hub.repos[REPO].commit, (self.file,))

    async def fetch(
        self,
        source: Source | None = None,
        file: RemoteFile | None = None,
        listing: Listing | None = None,
    ) -> InstalledFile:
        return await fetch(
            source or self.source(),
            listing or self.listing,
            file or self.file,
            self.part,
            self.told.append,
            patience=HASTE,
        )

    async def arrives(self, source: Source | None = None, listing: Listing | None = None) -> None:
        """Fetch it, and check all that is known of it."""
        assert await self.fetch(source, listing=listing) == installed(DATA)
        assert self.part.read_bytes() == DATA
        assert self.told[-1] == len(DATA)

    async def refusal(self, source: Source | None = None) -> str:
        """Return why it cannot be fetched."""
        with pytest.raises(InstallFailed) as caught:
            await self.fetch(source)
        return self.said(caught.value)

    def said(self, error: Exception) -> str:
        """Return a message, which is one sentence, with the names of hosts that a test can know."""
        words = str(error)
        assert "\n" not in words
        assert "Signature" not in words
        assert "hf_known" not in words
        return words.replace(self.hub.endpoint, "http://hub").replace(str(self.part.parent), "…")


@contextmanager
def playing(folder: Path) -> Generator[Play]:
    files = folder / "published"
    files.mkdir()
    (files / NAME).write_bytes(DATA)
    with hub_server() as hub:
        hub.publish(REPO, files)
        yield Play(hub, files, folder / "parts" / "tiny.part")
