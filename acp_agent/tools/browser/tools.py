"""The three functions of `browser` as tools: words, permission, and what the editor is shown.

Looking at a page that is there needs no leave. A search sends words to the engine, opening an
address sends it to its host: each engine and each host is asked for, unless the user named it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, Text, ToolKind
from acp_agent.fence import fenced
from acp_agent.tools.base import Permission, Prepared, Tool, ToolResult
from acp_agent.tools.browser.arguments import (
    FindArguments,
    OpenArguments,
    SearchArguments,
    read_arguments,
)
from acp_agent.tools.browser.browser import Browser, Target
from acp_agent.tools.browser.harmless import harmless, one_line, shortened
from acp_agent.tools.raw_body import RawBody

LONGEST_TITLE = 100
_NUMBER = {"type": "number", "default": -1}
# As openai_harmony declares them; what the model reads of it must not change by a token.
PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "browser.search": {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "topn": {"type": "number", "default": 10},
            "source": {"type": "string"},
        },
        "required": ["query"],
    },
    "browser.open": {
        "type": "object",
        "properties": {
            "id": {"type": ["number", "string"], "default": -1},
            "cursor": _NUMBER,
            "loc": _NUMBER,
            "num_lines": _NUMBER,
            "view_source": {"type": "boolean", "default": False},
            "source": {"type": "string"},
        },
    },
    "browser.find": {
        "type": "object",
        "properties": {"pattern": {"type": "string"}, "cursor": _NUMBER},
        "required": ["pattern"],
    },
}


class Search:
    """Searches the web by the session's engine."""

    name = "browser.search"
    kind: ToolKind = "search"
    arguments = RawBody

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @property
    def spec(self) -> ToolSpec:
        return browser_spec(self.name)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = read_arguments(self.name, SearchArguments, arguments)
        query = one_line(asked.query)
        if not query:
            raise ToolFailed("the query is empty; say what to search for")
        # All of the words are shown: a title is too short for what can be sent in them.
        shown = Text(fenced(query))

        async def run(emit: Emit) -> ToolResult:
            return _result(await self._browser.search(query, asked.topn), shown)

        return Prepared(
            title=_title(f"Search: {query}"),
            kind=self.kind,
            run=run,
            raw_input=asked.model_dump(exclude_defaults=True),
            content=(shown,),
            permission=Permission(
                self.name, f"searches by {self._browser.engine.name}", reads=True
            ),
        )


class Open:
    """Opens a link or an address, or scrolls a page that is open."""

    name = "browser.open"
    kind: ToolKind = "fetch"
    arguments = RawBody

    def __init__(self, browser: Browser, allows: Callable[[str], bool]) -> None:
        """Take the browser, and what tells of a host whether it may be opened unasked."""
        self._browser = browser
        self._allows = allows

    @property
    def spec(self) -> ToolSpec:
        return browser_spec(self.name)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = read_arguments(self.name, OpenArguments, arguments)
        target = self._browser.target(_link(asked.id), asked.cursor, source=asked.view_source)
        # All of the address is shown: what is sent to a host can be hidden in its end.
        shown = (Text(target.address.url),) if target.address else ()

        async def run(emit: Emit) -> ToolResult:
            return _result(await self._browser.open(target, asked.loc, asked.num_lines), *shown)

        host = target.address.netloc if target.address else ""
        return Prepared(
            title=_title(f"Open {_shown(target)}"),
            kind=self.kind,
            run=run,
            raw_input=asked.model_dump(exclude_defaults=True),
            content=shown,
            permission=Permission(self.name, host, reads=True)
            if host and not self._allows(host)
            else None,
        )


class Find:
    """Finds text in a page that is open."""

    name = "browser.find"
    kind: ToolKind = "search"
    arguments = RawBody

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @property
    def spec(self) -> ToolSpec:
        return browser_spec(self.name)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = read_arguments(self.name, FindArguments, arguments)

        async def run(emit: Emit) -> ToolResult:
            return _result(await self._browser.find(asked.pattern, asked.cursor))

        return Prepared(
            title=_title(f"Find {one_line(asked.pattern)}"),
            kind=self.kind,
            run=run,
            raw_input=asked.model_dump(exclude_defaults=True),
        )


def browser_tools(browser: Browser, allows: Callable[[str], bool]) -> tuple[Tool, ...]:
    """Return the tools of one session's browser; `allows` tells which hosts need no leave."""
    return (Search(browser), Open(browser, allows), Find(browser))


def browser_specs() -> tuple[ToolSpec, ...]:
    """Return what the model is told of the browser; needs no session."""
    return tuple(browser_spec(name) for name in PARAMETERS)


@cache
def browser_spec(name: str) -> ToolSpec:
    """Return the specification of one function, its words from `<name>.md`."""
    words = Path(__file__).parents[1].joinpath(f"{name}.md").read_text(encoding="utf-8")
    return ToolSpec(name, words.strip(), PARAMETERS[name])


def _link(written: int | str) -> int | str:
    """Return a link's number also where the model wrote it as text."""
    if isinstance(written, int):
        return written
    text = written.strip() or "-1"
    return int(text) if len(text) < 7 and text.removeprefix("-").isdecimal() else text


def _shown(target: Target) -> str:
    if target.address is not None:
        return unquote(target.address.url).partition("://")[2]
    assert target.page is not None
    return target.page.title or target.page.url


def _title(text: str) -> str:
    return shortened(one_line(text), LONGEST_TITLE)


def _result(text: str, *shown: Text) -> ToolResult:
    """Return the display, for the user too, below what was `shown` before."""
    display = harmless(text)
    return ToolResult(display, content=(*shown, Text(fenced(display))))
