"""The fetcher, imported with httpx (50 ms) when the first page is fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread

from acp_agent.tools.browser.address import Address
from acp_agent.tools.browser.guard import Admits

if TYPE_CHECKING:
    from acp_agent.tools.browser.fetch import Document, Fetcher


@dataclass(frozen=True, slots=True)
class LazyFetcher:
    """A `PageFetcher` with these settings; see `Fetcher`."""

    admits: Admits
    follows: Callable[[str], bool]

    async def fetch(self, address: Address) -> Document:
        """Return the document. Raises FetchFailed."""
        return await (await to_thread.run_sync(self._fetcher)).fetch(address)

    def _fetcher(self) -> Fetcher:
        from acp_agent.tools.browser.fetch import Fetcher

        return Fetcher(admits=self.admits, follows=self.follows)
