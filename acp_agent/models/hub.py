"""Models from the Hugging Face Hub, or a mirror of it.

What there is, the package `huggingface_hub` asks, and its rules hold: HF_ENDPOINT, HF_TOKEN or the
token that `hf auth login` stored, HF_HUB_OFFLINE. The bytes come by `web`, which can go on at any
byte of a file of ours.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from functools import partial
from urllib.parse import quote

import httpx

from acp_agent.errors import AgentError
from acp_agent.models import web
from acp_agent.models.base import InstallFailed, Interrupted, Listing, RemoteFile
from acp_agent.models.hub_api import About, Hub, Seen, explained, look, reach
from acp_agent.models.names import is_inside

SHOWN = 12  # names of files in a message


class HubSource:
    """The files of `repo` that match one of `files`, at `revision`: a branch, a tag or a commit.

    A listing names the commit, and `read` reads that one.
    """

    def __init__(
        self,
        repo: str,
        files: Sequence[str],
        revision: str = "main",
        environ: Mapping[str, str] = os.environ,
        *,
        silent: float = web.SILENT_SECONDS,
    ) -> None:
        self._repo = repo
        self._files = tuple(files)
        self._revision = revision
        self._environ = environ
        self._silent = silent
        self._hub: Hub | None = None

    @property
    def name(self) -> str:
        return f"hub:{self._repo}"

    async def list(self) -> Listing:
        """Ask the hub which files there are. Raises InstallFailed, Interrupted."""
        seen = await look(await self._reached(), self._repo, self._revision)
        return Listing(seen.commit, tuple(self._wanted(seen)))

    @asynccontextmanager
    async def read(
        self, listing: Listing, file: RemoteFile, start: int
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open the bytes from `start` on. Raises InstallFailed, Interrupted."""
        hub = await self._reached()
        about = About(hub, self._repo, listing.revision, file.path)
        place = f"{self._repo}/resolve/{quote(listing.revision, safe='')}/{quote(file.path)}"
        secret = {"authorization": f"Bearer {hub.token}"} if hub.token else {}
        wanted = web.Wanted(f"{hub.endpoint}/{place}", repr(file.path), file.size, start, secret)
        async with web.reading(wanted, partial(_explain, about), silent=self._silent) as body:
            yield body

    async def _reached(self) -> Hub:
        self._hub = self._hub or await reach(self._environ)
        return self._hub

    def _wanted(self, seen: Seen) -> Iterator[RemoteFile]:
        found = {
            file.path: file for pattern in self._files for file in self._matching(pattern, seen)
        }
        for path in sorted(found):
            if not is_inside(path):
                raise InstallFailed(
                    f"{self._repo!r} lists {path!r}, which is no safe name of a file"
                )
            yield found[path]

    def _matching(self, pattern: str, seen: Seen) -> list[RemoteFile]:
        matching = [file for file in seen.files if fnmatchcase(file.path, pattern)]
        if not matching:
            others = sorted(file.path for file in seen.files)
            raise InstallFailed(
                f"{self._repo!r} has no file like {pattern!r} at {self._revision!r}; it has"
                f" {', '.join(others[:SHOWN]) or 'none'}{', …' if len(others) > SHOWN else ''}"
            )
        return matching


def _explain(about: About, response: httpx.Response) -> AgentError:
    url = response.url
    if url.copy_with(raw_path=b"/") != httpx.URL(about.hub.endpoint).copy_with(raw_path=b"/"):
        if response.status_code in (401, 403):
            # Addresses at the store behind the hub are signed for an hour or less.
            return Interrupted(f"{url.host} takes the hub's address no more")
        return web.refused(response, repr(about.path))
    return explained(response.status_code, url.host, response.headers, about)
