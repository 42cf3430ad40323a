"""What a search engine is to the browser, and its results as the page that the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from acp_agent.tools.browser.harmless import one_line, page_text, shortened
from acp_agent.tools.browser.links import Links
from acp_agent.tools.browser.pages import Page, make_page

MOST = 20
LONGEST_SUMMARY = 500


@dataclass(frozen=True, slots=True)
class Result:
    """One hit; the texts are as the engine gave them."""

    url: str
    title: str
    summary: str = ""


class SearchFailed(Exception):
    """There are no results; the text says why, for the model."""


class SearchEngine(Protocol):
    """Where the browser searches."""

    @property
    def name(self) -> str:
        """Who gets the query, as the user is asked about it."""
        ...

    async def search(self, query: str, count: int) -> Sequence[Result]:
        """Return at most `count` results, the best first. Raises SearchFailed."""
        ...


def results_page(query: str, results: Sequence[Result]) -> Page:
    """Return the results in the form of training; the page has no URL."""
    links = Links("")
    lines: list[str] = []
    for result in results:
        url = links.resolve(result.url)
        title = one_line(page_text(result.title or result.url))
        summary = shortened(one_line(page_text(result.summary)), LONGEST_SUMMARY)
        if url:
            lines.append(f"  * {links.written(url, title)} {summary}".rstrip())
    body = "\n".join(lines) or "No results."
    return make_page("", query, f"# Search Results\n\n{body}", links.urls)
