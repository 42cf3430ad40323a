"""An HTML document as the page that the model reads: text in blocks, links as `【id†text】`.

lxml parses and nothing else: all content stays, for what a boilerplate remover takes away are the
links. Total: any input gives a page. The walk is flat, so depth costs no stack.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from acp_agent.tools.browser.blocks import DEEPEST, LONGEST, Blocks
from acp_agent.tools.browser.harmless import one_line, page_text
from acp_agent.tools.browser.links import Links
from acp_agent.tools.browser.tree import Element, parse, walk

_SKIPPED = frozenset(
    "script style head template math svg iframe object embed canvas audio video datalist".split()
)
_PARAGRAPHS = frozenset("p table ul ol dl pre blockquote h1 h2 h3 h4 h5 h6 figure".split())
_LINES = frozenset(
    "address article aside body caption center dd details dialog div dt fieldset figcaption footer"
    " form header hgroup legend li main menu nav option section select summary textarea tr".split()
)
_APART = frozenset("span button label input".split())  # inline, but often set apart by style alone
_SCRIPTS = {"sup": "^", "sub": "_"}
_WORD = re.compile(r"[\w\-]+")
_HIDDEN = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_HEADING = re.compile(r"h[1-6]")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page's title and text, and where its links lead."""

    title: str
    text: str
    urls: Mapping[int, str]
    full: bool = False


def render_html(html: str, url: str, longest: int = LONGEST) -> Rendered:
    """Return the page at `url`; never raises."""
    root = parse(html)
    if root is None:
        return Rendered("", "", {})
    base = root.find(".//base[@href]")
    links = Links(url)
    if base is not None:
        links.base = links.resolve(base.get("href") or "") or url
    title = root.find(".//title")
    renderer = _Renderer(links, longest)
    renderer.walk(root)
    name = "" if title is None else one_line(page_text("".join(title.itertext())))
    return Rendered(name, renderer.blocks.text, links.urls, renderer.blocks.full)


class _Renderer:
    def __init__(self, links: Links, longest: int) -> None:
        self.blocks = Blocks(longest)
        self._links = links
        self._lists: list[int | None] = []  # the next number; None where there are bullets
        self._link: list[str] | None = None  # the text of the open link so far
        self._url = ""  # where it leads
        self._pre = 0
        self._images = 0

    def walk(self, root: Element) -> None:
        for event, element in walk(root, _skips):
            if self.blocks.full:
                return
            tag = element.tag if isinstance(element.tag, str) else ""
            if event == "start":
                self._start(tag, element)
                self._say(element.text)
            else:
                if not _skips(element):
                    self._end(tag, element)
                self._say(element.tail)

    def _say(self, text: str | None) -> None:
        if not text:
            return
        text = page_text(text)
        if self._link is not None:
            self._link.append(text)
        elif self._pre:
            self.blocks.verbatim(text.expandtabs(4))
        else:
            self.blocks.words(text)

    def _start(self, tag: str, element: Element) -> None:
        self._break(tag)
        if _HEADING.fullmatch(tag):
            self.blocks.mark("#" * int(tag[1]) + " ")
        elif tag in ("ul", "ol", "menu"):
            self._lists.append(_first(element) if tag == "ol" else None)
        elif tag == "li":
            self.blocks.mark(self._bullet())
        elif tag in ("pre", "blockquote", "dd"):
            self._pre += tag == "pre"
            self.blocks.indent("> " if tag == "blockquote" else "    ")
        elif tag == "a" and self._link is None:
            self._url = self._links.resolve(element.get("href") or "")
            self._link = [] if self._url else None
        else:
            self._start_inline(tag, element)

    def _start_inline(self, tag: str, element: Element) -> None:
        match tag:
            case "br":
                self._newline()
            case "hr":
                self.blocks.words("* * *")
                self.blocks.paragraph()
            case "img" if self._link is None:
                self._image(element.get("alt") or element.get("title") or "")
            case "code" | "kbd" | "samp" | "tt" if not self._pre and _plain(element):
                self._quote(element, "`", "`")
            case "sup" | "sub" if _word(element):
                self._quote(element, f"{_SCRIPTS[tag]}{{", "}")
            case _ if tag in _APART:
                self._space()
            case _:
                pass

    def _end(self, tag: str, element: Element) -> None:
        if tag == "a" and self._link is not None:
            self._end_link(element)
        elif tag in ("ul", "ol", "menu") and self._lists:
            self._lists.pop()
        elif tag in ("pre", "blockquote", "dd"):
            self._pre -= tag == "pre"
            self.blocks.dedent()
        elif tag in ("td", "th") and self._link is None:
            self.blocks.cell()
        elif self._link is None and (tag == "li" or _HEADING.fullmatch(tag)):
            self.blocks.mark("")  # it had no words
        elif tag in _APART:
            self._space()
        self._break(tag)

    def _break(self, tag: str) -> None:
        if self._link is not None:
            if tag in _LINES or tag in _PARAGRAPHS:
                self._link.append(" ")
        elif tag in _PARAGRAPHS and not (tag in ("ul", "ol") and len(self._lists) > 0):
            self.blocks.paragraph()
        elif tag in _LINES or tag in ("ul", "ol"):
            self.blocks.line()

    def _end_link(self, element: Element) -> None:
        text = " ".join("".join(self._link or ()).split())
        self._link = None
        if text:
            self._say_link(self._links.written(self._url, text), element)
            return
        for image in element.iter("img"):  # a link that is a picture is shown as one
            self._image(image.get("alt") or image.get("title") or "")

    def _say_link(self, link: str, element: Element) -> None:
        if self._pre:
            self.blocks.verbatim(link)
            return
        inside = "".join(element.itertext())
        before = " " if inside[:1].isspace() else ""
        after = " " if inside[-1:].isspace() else ""
        self.blocks.words(f"{before}{link}{after}")

    def _image(self, name: str) -> None:
        name = " ".join(name.split())
        shown = f"[Image {self._images}: {name}]" if name else f"[Image {self._images}]"
        self._images += 1
        self._space()
        self._say(shown)
        self._space()

    def _quote(self, element: Element, before: str, after: str) -> None:
        """Write an element that holds text only; its own text is then said already."""
        text = f"{before}{one_line(page_text(element.text or ''))}{after}"
        element.text = None
        if self._link is not None:
            self._link.append(text)
        elif before[0] in "^_" or self._pre:
            self.blocks.glue(text)
        else:
            self.blocks.words(text)

    def _newline(self) -> None:
        if self._link is not None:
            self._link.append(" ")
        elif self._pre:
            self.blocks.verbatim("\n")
        else:
            self.blocks.line()

    def _space(self) -> None:
        if self._link is not None:
            self._link.append(" ")
        elif not self._pre:
            self.blocks.words(" ")

    def _bullet(self) -> str:
        level = "  " * max(1, min(len(self._lists), DEEPEST))
        number = self._lists[-1] if self._lists else None
        if number is None:
            return f"{level}* "
        self._lists[-1] = number + 1
        return f"{level}{number}. "


def _skips(element: Element) -> bool:
    return (
        element.tag in _SKIPPED
        or element.get("hidden") is not None
        or bool(_HIDDEN.search(element.get("style") or ""))
    )


def _plain(element: Element) -> bool:
    return len(element) == 0 and bool((element.text or "").strip())


def _word(element: Element) -> bool:
    return len(element) == 0 and bool(_WORD.fullmatch(element.text or ""))


def _first(element: Element) -> int:
    start = element.get("start") or ""
    return int(start) if re.fullmatch(r"-?[0-9]{1,9}", start) else 1
