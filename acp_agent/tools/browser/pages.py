"""The pages of a session and how they are shown: lines of 80, windows, cursors, finds. Pure.

A page never changes: its cursor always shows what it showed. The form is the one that gpt-oss was
trained with, to the letter.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from acp_agent.errors import ToolFailed
from acp_agent.tools.browser.harmless import one_line, page_text, shortened

WIDTH = 80
VIEW_TOKENS = 1024
MOST_LINES = 400  # where the model asks for lines by number: 8,000 tokens or so
MATCHES = 50
MATCH_LINES = 4
LONGEST_WORD = 1000
LONGEST_TITLE = 200  # it stands before the window, which does not measure it
KEPT = 32  # pages whose lines are kept

# Every line costs three tokens or more by its number alone.
_VIEW_LINES = VIEW_TOKENS // 3 + 1
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD},}}")
_LINK = re.compile(r"【\d+†(?P<content>[^†】]+)(?:†[^†】]+)?】")
_LINK_END = re.compile(r"^[^【】]*】")
_LINK_START = re.compile(r"【\d*(?:†(?P<content>[^†】]*)(?:†[^†】]*)?)?$")

TokenPrefix = Callable[[str, int], str]
"""As much of a text's beginning as has at most so many tokens."""


def estimated_prefix(text: str, tokens: int) -> str:
    """Return about as much of `text` as has `tokens` tokens: where no vocabulary is at hand."""
    return text[: tokens * 3]


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is shown; `links` are its URLs by id.

    A find has a `source`, the page that was searched, and by id the line of each match.
    """

    url: str
    title: str
    lines: Sequence[str]
    links: Mapping[int, str] = field(default_factory=dict[int, str])
    source: Page | None = None
    matches: Mapping[int, int] = field(default_factory=dict[int, int])


def make_page(url: str, title: str, text: str, links: Mapping[int, str]) -> Page:
    """Return a page of the web, or of search results (which have no URL)."""
    title = shortened(one_line(page_text(title)), LONGEST_TITLE)
    return Page(url, title, wrapped(f"\nURL: {url}\n{text}"), links)


def wrapped(text: str) -> Sequence[str]:
    """Return `text` in lines of 80 characters at most, nothing dropped."""
    return tuple(piece for line in text.split("\n") for piece in _wrapped_line(line))


def shown(page: Page, cursor: int, first: int, count: int, prefix: TokenPrefix) -> str:
    """Return what the model reads of `page` from line `first` on.

    `count` lines, or as many as fill the window where that is not positive. Raises ToolFailed.
    """
    total = len(page.lines)
    if first >= total:
        raise ToolFailed(
            f"Invalid location parameter: `{first}`. Cannot exceed page maximum of {total - 1}."
        )
    wanted = min(count, MOST_LINES) if count > 0 else _VIEW_LINES
    numbered = [
        f"L{number}: {line}"
        for number, line in enumerate(page.lines[first : first + wanted], start=first)
    ]
    if count <= 0:
        numbered = numbered[: prefix("\n".join(numbered), VIEW_TOKENS).count("\n") + 1]
    address = shortened(one_line(page_text(unquote(page.url))))
    title = f"{page.title} ({address})" if address else page.title
    last = first + len(numbered) - 1
    bar = f"**viewing lines [{first} - {last}] of {total - 1}**"
    return "\n".join([f"[{cursor}] {title}", bar, "", *numbered])


def found(page: Page, pattern: str) -> Page:
    """Return the page of all lines that hold `pattern`, in small letters. Raises ToolFailed."""
    if page.source is not None:
        raise ToolFailed("Cannot run `find` on search results page or find results page")
    pattern = page_text(pattern).lower()
    lines = _without_links("\n".join(page.lines)).split("\n")
    chunks: list[str] = []
    matches: dict[int, int] = {}
    number = 0
    while number < len(lines) and len(chunks) < MATCHES:
        if pattern not in lines[number].lower():
            number += 1
            continue
        snippet = "\n".join(lines[number : number + MATCH_LINES])
        matches[len(chunks)] = number
        chunks.append(f"# 【{len(chunks)}†match at L{number}】\n{snippet}")
        number += MATCH_LINES
    asked = shortened(one_line(pattern), LONGEST_TITLE)
    text = "\n\n".join(chunks) or f"No `find` results for pattern: `{asked}`"
    return Page(
        f"{page.url}/find?pattern={quote(asked)}",
        f"Find results for text: `{asked}` in `{page.title}`",
        wrapped(text),
        dict.fromkeys(matches, page.url),
        page,
        matches,
    )


class Stack:
    """The pages that were shown, by cursor; of those long ago only the address is kept."""

    def __init__(self) -> None:
        self._pages: list[Page] = []

    def push(self, page: Page) -> int:
        """Add the page that is shown now, and return its cursor."""
        self._pages.append(page)
        kept = {id(page) for page in self._pages[-KEPT:]}
        for cursor, old in enumerate(self._pages[:-KEPT]):
            if old.lines and id(old) not in kept:
                self._pages[cursor] = Page((old.source or old).url, old.title, ())
        return len(self._pages) - 1

    def pop(self) -> None:
        """Take the newest page back: it could not be shown."""
        self._pages.pop()

    def get(self, cursor: int) -> Page:
        """Return the page of `cursor`; -1 is the newest. Raises ToolFailed."""
        newest = len(self._pages) - 1
        if newest < 0:
            raise ToolFailed("No pages to access!")
        if not -1 <= cursor <= newest:
            raise ToolFailed(
                f"Cursor `{cursor}` is out of range. Available cursor indices: [0 - {newest}]."
            )
        page = self._pages[cursor]
        if not page.lines:
            raise ToolFailed(f"The page of cursor `{cursor}` is not kept any more. Open its URL.")
        return page

    def at(self, url: str) -> Page | None:
        """Return the newest page of `url`."""
        pages = reversed(self._pages)
        return next((page for page in pages if page.url == url and page.lines), None)

    def address(self, cursor: int) -> str:
        """Return the URL that a citation of `cursor` means, "" if there is none."""
        if not 0 <= cursor < len(self._pages):
            return ""
        page = self._pages[cursor]
        return (page.source or page).url


def _wrapped_line(line: str) -> list[str]:
    if not line:
        return [""]
    # textwrap's time grows with the square of the longest word.
    line = _LONG_WORD.sub(lambda word: "\n".join(_cut(word[0])), line)
    return [
        piece
        for part in line.split("\n")
        for piece in textwrap.wrap(part, WIDTH, replace_whitespace=False, drop_whitespace=False)
    ]


def _cut(word: str) -> list[str]:
    return [word[start : start + WIDTH] for start in range(0, len(word), WIDTH)]


def _without_links(text: str) -> str:
    text = _LINK_START.sub(_content, _LINK_END.sub("", text))
    return _LINK.sub(_content, text)


def _content(link: re.Match[str]) -> str:
    content = link["content"] or ""
    # A link may be broken over lines; their number stays.
    return content + "\n" * (link[0].count("\n") - content.count("\n"))
