"""All that is used of lxml: a parsed document, and a walk over it that needs no stack of ours."""

# lxml ships neither py.typed nor stubs; `Element` says what we rely on.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, cast

from lxml import etree


class Element(Protocol):
    """One element; `tag` is no str for what is no element."""

    tag: object
    text: str | None
    tail: str | None

    def get(self, name: str) -> str | None: ...
    def find(self, path: str) -> Element | None: ...
    def iter(self, tag: str) -> Iterable[Element]: ...
    def itertext(self) -> Iterable[str]: ...
    def __len__(self) -> int: ...


# The elements that are kept of a document that is too deep: they hold text, and no layout.
_KEPT = r"(?:a|br|p|li|h[1-6]|tr|td|th|title|base|script|style|template|head)"
_NESTING = re.compile(rf"</?(?!{_KEPT}[\s/>])[a-z][^<>]*>", re.IGNORECASE)


def parse(html: str) -> Element | None:
    """Return the root of a document; None where there is nothing in it. Never raises."""
    root, too_deep = _parsed(html)
    # Behind such a depth nothing is read. Most of those that are kept close each other.
    return _parsed(_NESTING.sub(" ", html))[0] if too_deep else root


def _parsed(html: str) -> tuple[Element | None, bool]:
    # `huge_tree` raises the depth at which libxml2 stops reading from 256 elements to 2,048.
    parser = etree.HTMLParser(
        encoding="utf-8",
        recover=True,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
        huge_tree=True,
    )
    # U+0000 would end the input; a str with an encoding declaration would be refused.
    data = html.replace("\0", "").encode("utf-8", "replace")
    try:
        root = cast("Element | None", etree.fromstring(data, parser))
    except etree.LxmlError:
        return None, False
    log = cast("Any", parser.error_log)
    return root, bool(log.filter_types(etree.ErrorTypes.ERR_RESOURCE_LIMIT))


def walk(root: Element, skips: Callable[[Element], bool]) -> Iterator[tuple[str, Element]]:
    """Give `start` and `end` of every element in order; of a skipped one only the `end`."""
    events = cast("Any", etree.iterwalk(cast("Any", root), events=("start", "end")))
    for event, element in events:
        if event == "start" and skips(element):
            events.skip_subtree()
        else:
            yield event, element
