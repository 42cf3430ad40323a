"""A fetched document made a page: HTML rendered, JSON set out in lines, other text as it is.

Importing this costs lxml's 20 ms, and making a page up to a second; do both in a thread.
"""

from __future__ import annotations

import json

from acp_agent.tools.browser.address import VIEW_SOURCE, host_of
from acp_agent.tools.browser.blocks import LONGEST
from acp_agent.tools.browser.fetch import Document
from acp_agent.tools.browser.harmless import page_text
from acp_agent.tools.browser.pages import Page, make_page
from acp_agent.tools.browser.render import render_html

CUT = "\n\n[The page is longer than can be kept; the rest is left out.]"
EMPTY = "[The page has no text; it may need JavaScript.]"


def read_document(document: Document, *, source: bool = False) -> Page:
    """Return the page of a document, or its `source` as it came. Never raises."""
    if source:
        return _plain(f"{VIEW_SOURCE}{document.url}", document, document.text)
    if document.kind == "json":
        return _plain(document.url, document, _set_out(document.text))
    if document.kind != "html":
        return _plain(document.url, document, document.text)
    page = render_html(document.text, document.url)
    text = page.text or EMPTY
    note = CUT if document.cut or page.full else ""
    return make_page(document.url, page.title or host_of(document.url), text + note, page.urls)


def _plain(url: str, document: Document, text: str) -> Page:
    text = page_text(text)
    note = CUT if document.cut or len(text) > LONGEST else ""
    return make_page(url, host_of(url), (text[:LONGEST].expandtabs(4) or EMPTY) + note, {})


def _set_out(text: str) -> str:
    pieces: list[str] = []
    room = LONGEST
    try:
        # Piece by piece: the indents of deep values can be a thousand times the text.
        for piece in json.JSONEncoder(indent=1, ensure_ascii=False).iterencode(json.loads(text)):
            pieces.append(piece)
            room -= len(piece)
            if room < 0:
                break
    except (ValueError, RecursionError):
        return text
    return "".join(pieces)
