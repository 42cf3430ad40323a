"""The text of a body: by byte order mark, header, `<meta>`, or by trying. Pure, never raises."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_PRESCAN = 2048
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_DECLARED = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})|"""
    rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})""",
    re.IGNORECASE,
)
# What the web has; Python's other codecs are no charsets (`zip`, `idna`) or hide markup (`utf-7`).
_KNOWN = re.compile(
    r"utf-?8|utf-?16(-?[lb]e)?|(iso|cp|windows|ibm|x-cp|koi8|tis)[-_]?[\d-]{1,8}|koi8-[ru]"
    r"|(us-)?ascii|latin-?\d|macintosh|gb2312|gbk|gb18030|big5(-hkscs)?|euc-?(jp|kr)"
    r"|s(hift)?[-_]?jis|iso-2022-jp|ks_c_5601-1987"
)
# Pages that declare the left one are read as the right one (WHATWG, Encoding Standard, §4.2).
_READ_AS = {
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "macintosh": "mac-roman",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "utf-16": "utf-16-le",
}


def decoded(data: bytes, declared: str = "", *, cut: bool = False) -> str:
    """Return `data` as text; `declared` is the header's charset, `cut` says that the end is off."""
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, "replace")
    codecs_to_try = list(_candidates(data, declared))
    for codec in codecs_to_try:
        try:
            return codecs.getincrementaldecoder(codec)("strict").decode(data, final=not cut)
        except UnicodeError:
            continue
    return data.decode(codecs_to_try[0] if len(codecs_to_try) > 1 else "cp1252", "replace")


def _candidates(data: bytes, declared: str) -> Iterator[str]:
    found = _DECLARED.search(data[:_PRESCAN])
    inner = (found[1] or found[2]).decode("ascii", "replace") if found else ""
    for name in (declared, inner):
        codec = _codec(name)
        # A document whose <meta> could be read is not in UTF-16.
        if codec and not (name == inner and codec.startswith("utf-16")):
            yield codec
    yield "utf-8"


def _codec(name: str) -> str:
    name = name.strip().strip("\"'").lower()
    if not _KNOWN.fullmatch(name):
        return ""
    try:
        return codecs.lookup(_READ_AS.get(name, name)).name
    except LookupError:
        return ""
