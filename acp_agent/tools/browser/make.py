"""A session's browser, made from settings: what stands where engine, fetcher and pages meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acp_agent.tools.base import Tool
from acp_agent.tools.browser.browser import Browser
from acp_agent.tools.browser.citations import Citations
from acp_agent.tools.browser.engines import search_engine
from acp_agent.tools.browser.guard import anything, is_public
from acp_agent.tools.browser.hosts import allowed_hosts
from acp_agent.tools.browser.lazy_fetcher import LazyFetcher
from acp_agent.tools.browser.pages import TokenPrefix, estimated_prefix
from acp_agent.tools.browser.tools import browser_tools


@dataclass(frozen=True, slots=True)
class Browsing:
    """The tools of one session's browser, and what rewrites its citations (see `citations`)."""

    tools: tuple[Tool, ...]
    browser: Browser

    def citations(self) -> Citations:
        """Return a rewriter for one message."""
        return Citations(self.browser.address)


def make_browsing(
    *,
    searxng: str = "",
    allowed: str = "",
    allow_private: bool = False,
    variables: Mapping[str, str],
    prefix: TokenPrefix = estimated_prefix,
) -> Browsing:
    """Return a browser.

    `searxng`, `allowed` and `allow_private` are the settings of these names; `variables` may hold
    the keys `YDC_API_KEY` and `EXA_API_KEY`; `prefix` measures windows in gpt-oss's tokens, and is
    called in worker threads.
    """
    allows = allowed_hosts(allowed)
    admits = anything if allow_private else is_public
    engine = search_engine(searxng, variables)
    browser = Browser(engine, LazyFetcher(admits, allows), prefix=prefix, admits=admits)
    return Browsing(browser_tools(browser, allows), browser)
