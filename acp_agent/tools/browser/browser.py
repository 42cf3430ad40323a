"""The browser of one session: its pages, and what search, open and find do with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from anyio import to_thread

from acp_agent.errors import ToolFailed
from acp_agent.tools.browser.address import VIEW_SOURCE, Address, BadAddress, parse_address
from acp_agent.tools.browser.guard import Admits, Forbidden, check_literal, is_public
from acp_agent.tools.browser.harmless import one_line, shortened
from acp_agent.tools.browser.pages import Page, Stack, TokenPrefix, found, shown
from acp_agent.tools.browser.search import MOST, SearchEngine, SearchFailed, results_page

if TYPE_CHECKING:
    from acp_agent.tools.browser.fetch import Document


class PageFetcher(Protocol):
    """Where documents come from."""

    async def fetch(self, address: Address) -> Document:
        """Return the document. Raises FetchFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """What a call would open: a page that is there, or an address (its `source`) to fetch."""

    page: Page | None = None
    address: Address | None = None
    source: bool = False
    line: int = 0


class Browser:
    """Pages by cursor, one more with every call that succeeds."""

    def __init__(
        self,
        engine: SearchEngine,
        fetcher: PageFetcher,
        *,
        prefix: TokenPrefix,
        admits: Admits = is_public,
    ) -> None:
        """Take where to search and fetch, and which addresses the latter would admit.

        `prefix` measures windows, and is called in threads.
        """
        self.engine = engine
        self._fetcher = fetcher
        self._prefix = prefix
        self._admits = admits
        self._pages = Stack()

    async def search(self, query: str, count: int) -> str:
        """Return the display of the search's results. Raises ToolFailed."""
        try:
            results = await self.engine.search(query, max(1, min(count, MOST)))
        except SearchFailed as error:
            raise ToolFailed(_failure("Error during search for", query, error)) from error
        page = await to_thread.run_sync(results_page, query, results)
        return await self._show(page, 0, -1)

    def target(self, link: int | str, cursor: int, *, source: bool) -> Target:
        """Find out what `link` of the page at `cursor` is. Raises ToolFailed."""
        target = self._target(link, cursor, source=source)
        if target.address is not None:
            try:
                check_literal(target.address.host, self._admits)
            except Forbidden as error:
                url = target.address.url
                raise ToolFailed(_failure("Error fetching URL", url, error)) from None
        return target

    def _target(self, link: int | str, cursor: int, *, source: bool) -> Target:
        if isinstance(link, str):
            return _written(link, source=source)
        page = self._pages.get(cursor)
        if link < 0:
            return _address(page.url, source=True) if source else Target(page)
        if link not in page.links:
            raise ToolFailed(f"Invalid link id `{link}`.")
        url = page.links[link]
        if source:
            return _address(url, source=True)
        if page.source is not None:
            line = page.matches[link]
            return Target(page.source, line=line - 4 if line > 4 else line)
        cached = self._pages.at(url)
        return Target(cached) if cached else _address(url, source=False)

    async def open(self, target: Target, line: int, count: int) -> str:
        """Return the display of `target` from `line` on, or from where it says. Raises ToolFailed.

        `line` and `count` are negative where the model did not give them.
        """
        page = target.page
        if target.address is not None:
            page = await self._fetched(target.address, source=target.source)
        if page is None:
            raise ToolFailed("No pages to access!")
        return await self._show(page, target.line if line < 0 else line, count)

    async def find(self, pattern: str, cursor: int) -> str:
        """Return the display of where the page at `cursor` holds `pattern`. Raises ToolFailed."""
        page = await to_thread.run_sync(found, self._pages.get(cursor), pattern)
        return await self._show(page, 0, -1)

    def address(self, cursor: int) -> str:
        """Return the URL that a citation of `cursor` means, "" if there is none."""
        return self._pages.address(cursor).removeprefix(VIEW_SOURCE)

    async def _fetched(self, address: Address, *, source: bool) -> Page:
        from acp_agent.tools.browser.fetch import FetchFailed  # with httpx: 50 ms

        try:
            document = await self._fetcher.fetch(address)
        except FetchFailed as error:
            raise ToolFailed(_failure("Error fetching URL", address.url, error)) from error
        return await to_thread.run_sync(_read, document, source)

    async def _show(self, page: Page, line: int, count: int) -> str:
        cursor = self._pages.push(page)
        try:
            return await to_thread.run_sync(shown, page, cursor, line, count, self._prefix)
        except BaseException:  # cancelled, or no such line: this cursor was never shown
            self._pages.pop()
            raise


def _written(link: str, *, source: bool) -> Target:
    """Return what the model gave as a URL, with or without a scheme."""
    url = link.strip()
    if url.startswith(VIEW_SOURCE):
        url, source = url.removeprefix(VIEW_SOURCE), True
    if "://" not in url and not url.lower().startswith(("file:", "data:", "javascript:", "about:")):
        url = f"https://{url}"
    return _address(url, source=source)


def _address(url: str, *, source: bool) -> Target:
    try:
        address = parse_address(url.removeprefix(VIEW_SOURCE))
    except BadAddress as error:
        raise ToolFailed(_failure("Error fetching URL", url, error)) from None
    return Target(address=address, source=source)


def _failure(what: str, subject: str, error: Exception) -> str:
    return f"{what} `{shortened(one_line(subject))}`: {shortened(one_line(str(error)))}"


def _read(document: Document, source: bool) -> Page:
    from acp_agent.tools.browser.reading import read_document  # with lxml: 20 ms, in this thread

    return read_document(document, source=source)
