"""The links of a page: numbered in order, one number for one URL, written as `【id†text】`."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from acp_agent.tools.browser.address import host_of
from acp_agent.tools.browser.harmless import one_line, page_text

_ARXIV = re.compile(r"^https?://(?:www\.)?arxiv\.org/(?=abs/|pdf/)")
MOST = 5_000


class Links:
    """Numbers links as they come; `urls` maps each number to its URL."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._domain = host_of(base)
        self.urls: dict[int, str] = {}
        self._ids: dict[str, int] = {}

    def resolve(self, href: str) -> str:
        """Return the URL that `href` leads to, "" where it leads nowhere that can be opened.

        Links behind the first 5,000 are no links any more.
        """
        href = href.strip()
        if not href or href.startswith("#") or len(self._ids) >= MOST:
            return ""
        try:
            url = urljoin(self.base, href)
            parts = urlsplit(url)
        except ValueError:
            return ""
        if parts.scheme not in ("http", "https") or not parts.netloc:
            return ""
        # The HTML edition of a paper: a PDF cannot be read here.
        return _ARXIV.sub("https://ar5iv.org/", url)

    def written(self, url: str, text: str) -> str:
        """Return the link as the model reads it; `text` is on one line."""
        text = text.replace("†", "‡")
        number = self._ids.setdefault(url, len(self._ids))
        self.urls[number] = url
        domain = host_of(url)
        other = f"†{one_line(page_text(domain.replace('†', '')))}" if domain != self._domain else ""
        return f"【{number}†{text}{other}】"
