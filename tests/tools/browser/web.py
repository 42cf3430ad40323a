"""A scripted web: a few pages, and a search engine that knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from acp_agent.tools.browser.address import Address
from acp_agent.tools.browser.fetch import Document, FetchFailed
from acp_agent.tools.browser.search import Result, SearchFailed

DOCS = """<title>Asyncio docs</title><h1>asyncio</h1>
<p>Write concurrent code. See <a href="/tasks">tasks page</a> and
<a href="https://peps.python.org/pep-0492">PEP 492</a> and <a href="#here">frag</a>.</p>
<img alt="logo"><ul><li>one<li>two</ul>
<pre>async def f():
    await x</pre>
<p>{} needle in text</p>""".format("long words here " * 12)
PYTHON = "https://docs.python.org/3/library/"


@dataclass
class Web:
    """A scripted web, and what was asked of it."""

    pages: dict[str, str] = field(default_factory=lambda: {f"{PYTHON}0.html": DOCS})
    results: int = 3
    asked: list[str] = field(default_factory=list[str])
    name: str = "Scripted"

    async def search(self, query: str, count: int) -> Sequence[Result]:
        self.asked.append(f"{query}:{count}")
        if query == "fail":
            raise SearchFailed("no\nluck")
        return [
            Result(f"{PYTHON}{i}.html", f"Title {i}", f"summary text {i}")
            for i in range(self.results)
        ]

    async def fetch(self, address: Address) -> Document:
        self.asked.append(address.url)
        if address.url not in self.pages:
            raise FetchFailed("HTTP 404: nope")
        return Document(address.url, "html", self.pages[address.url])
