"""A transcript as one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from acp_agent.events import Image, Text, ToolContent
from acp_agent.recording.diff_text import unified
from acp_agent.recording.transcript import Beginning, Block, Called, Noted, Planned, Said

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_PICTURES = re.compile(r"image/(?:png|jpeg|gif|webp)")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*={0,2}\s*")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_WHO = {"user": "You", "agent": "Agent"}
_MARKS = {"completed": "✓", "failed": "✗", "in_progress": "▸", "pending": "○"}


def html(blocks: Iterable[Block], title: str) -> Iterator[str]:
    """Give the page piece by piece."""
    style = Path(__file__).with_name("export.css").read_text(encoding="utf-8")
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{_safe(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
    )
    for block in blocks:
        yield _block(block) + "\n"
    yield "</main>\n</body>\n</html>\n"


def _block(block: Block) -> str:
    match block:
        case Beginning(facts):
            rows = "".join(f"<dt>{_safe(name)}<dd>{_safe(value)}" for name, value in facts)
            return f"<header><h1>Session</h1><dl>{rows}</dl></header>"
        case Said("thought", text):
            return f"<details><summary>Thought</summary>{_pre(text)}</details>"
        case Said(by, text, time, attached):
            links = "".join(f"<p class=note>attached: {_safe(uri)}</p>" for uri in attached)
            head = f"<h2>{_WHO[by]} <time>{_safe(time)}</time></h2>"
            return f"<section class={by}>{head}<div class=text>{_safe(text)}</div>{links}</section>"
        case Called():
            return _call(block)
        case Planned(entries):
            rows = "".join(f"<li>{_MARKS[e.status]} {_safe(e.content)}" for e in entries)
            return f"<section class=plan><h2>Plan</h2><ul>{rows}</ul></section>"
        case Noted(text):
            return f"<p class=note>{_safe(text)}</p>"


def _call(call: Called) -> str:
    mark = f"<b>{_MARKS.get(call.status, '○')}</b>"
    head = f"<summary>{mark} <code>{_safe(call.name)}</code> {_safe(call.title)}</summary>"
    given = f"<h3>Arguments</h3>{_pre(call.given)}" if call.given else ""
    results = "".join(map(_result, call.results))
    name = call.status.replace(" ", "-")
    return f'<details class="call {name}">{head}{given}<h3>{call.status}</h3>{results}</details>'


def _result(content: ToolContent) -> str:
    match content:
        case Text(text):
            return _pre(text)
        case Image(data, mime_type):
            if not (_PICTURES.fullmatch(mime_type) and _BASE64.fullmatch(data)):
                return f"<p class=note>a picture of type {_safe(mime_type)}</p>"
            return f'<img alt="" src="data:{mime_type};base64,{"".join(data.split())}">'
        case _:
            return (
                f"<pre class=diff>{''.join(map(_diff_line, unified(content).split(chr(10))))}</pre>"
            )


def _diff_line(line: str) -> str:
    tag = {"+": "ins", "-": "del"}.get(line[:1])
    text = _safe(line)
    return f"<{tag}>{text}\n</{tag}>" if tag else f"{text}\n"


def _pre(text: str) -> str:
    return f"<pre>{_safe(text)}</pre>"


def _safe(text: str) -> str:
    return escape(_CONTROLS.sub("�", text), quote=True)
