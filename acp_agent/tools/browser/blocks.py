"""Text laid out in blocks, as the browser's pages have it: paragraphs, lists, indented code."""

from __future__ import annotations

LONGEST = 1_000_000  # characters of a page; what lies behind is left out
DEEPEST = 8  # indents that are shown, of those around a line


class Blocks:
    """Takes words and breaks in the order of the document; `text` is the page so far."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._mark = ""  # of a list item or heading, before its first word
        self._prefixes: list[str] = []
        self._space = False  # between the last word and the next
        self._cell = False  # a table's cell ended since the last word
        self._apart = False  # an empty line is due before the next
        self._room = longest
        self.full = False

    def words(self, text: str) -> None:
        """Add text of a paragraph; its line breaks and runs of blanks are single blanks."""
        parts = text.split()
        if not parts:
            self._space = self._space or bool(text)
            return
        joined = " ".join(parts)
        if self._line:
            if self._cell:
                joined = f" | {joined}"
            elif self._space or text[0].isspace():
                joined = f" {joined}"
        self._space, self._cell = text[-1].isspace(), False
        self._put(joined)

    def glue(self, text: str) -> None:
        """Add text as it is, with nothing between it and the word before."""
        self._space = False
        self._put(text)

    def verbatim(self, text: str) -> None:
        """Add preformatted text: every line as it is, four blanks before it."""
        first, *rest = text.split("\n")
        self._put(first)
        for line in rest:
            self._end_line(keep_empty=True)
            self._put(line)

    def cell(self) -> None:
        """End a table's cell: what follows in the same line is another one."""
        self._cell = self._space = True

    def line(self) -> None:
        """End the line, if it has begun."""
        self._end_line()

    def paragraph(self) -> None:
        """End the paragraph: an empty line comes before what follows."""
        self._end_line()
        self._apart = True

    def mark(self, text: str) -> None:
        """Begin a line with `text`, once there is a word to stand behind it."""
        self._end_line()
        self._mark = text

    def indent(self, prefix: str) -> None:
        """Put `prefix` before every line until `dedent`."""
        self._end_line()
        self._prefixes.append(prefix)

    def dedent(self) -> None:
        self._end_line()
        self._prefixes.pop()

    @property
    def text(self) -> str:
        self._end_line()
        return "\n".join(self._lines).strip("\n")

    def _put(self, text: str) -> None:
        if self.full or not text:
            return
        if len(text) >= self._room:
            text, self.full = text[: max(0, self._room)], True
        self._room -= len(text)
        self._line.append(text)

    def _end_line(self, *, keep_empty: bool = False) -> None:
        content = "".join(self._line)
        self._line.clear()
        self._space = self._cell = False
        if not content.strip():
            if keep_empty and self._lines and not self.full:
                self._room -= 1
                self._lines.append("")
            return
        if self._apart and self._lines and self._lines[-1]:
            self._lines.append("")
        self._apart = False
        before = "".join(self._prefixes[:DEEPEST]) + self._mark
        self._room -= len(before)
        self._lines.append(before + content)
        self._mark = ""
