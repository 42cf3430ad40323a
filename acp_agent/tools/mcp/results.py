"""What a tool of a server answered: words for the model, pictures for the editor."""

from __future__ import annotations

import base64
import binascii
import json

from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from acp_agent.events import Image, Text, ToolContent
from acp_agent.plain import one_line, plain
from acp_agent.tools.base import ToolResult
from acp_agent.tools.output import capped

MOST_IMAGES = 8
LARGEST_IMAGE = 2_000_000  # characters of base64, which is what an editor is sent
LONGEST_SHOWN = 20_000


def tool_result(name: str, answer: CallToolResult) -> ToolResult:
    """Return the answer as plain text, with its pictures beside it."""
    lines = [_words(block) for block in answer.content]
    if answer.structured_content is not None and not _has_text(answer):
        lines.append(_json(answer.structured_content))
    text = capped("\n".join(line for line in lines if line))
    images = [image for block in answer.content for image in _images(block)][:MOST_IMAGES]
    text = text or f"[{name} {'failed without a word' if answer.is_error else 'gave no output'}]"
    shown: tuple[ToolContent, ...] = (Text(text[:LONGEST_SHOWN]), *images)
    return ToolResult(
        text,
        failed=answer.is_error,
        raw_output=_raw(answer, text),
        content=shown,
    )


def _words(block: ContentBlock) -> str:
    match block:
        case TextContent(text=text):
            return plain(text)
        case ImageContent(data=data, mime_type=kind):
            if not tuple(_images(block)):
                return f"[an image that cannot be shown: {one_line(kind, 40)}]"
            return f"[image, {one_line(kind, 40)}, {_size(data)}; the user sees it]"
        case AudioContent(data=data, mime_type=kind):
            return f"[audio, {one_line(kind, 40)}, {_size(data)}; not shown]"
        case ResourceLink(uri=uri, name=name, description=description):
            more = f": {one_line(description, 300)}" if description else ""
            return f"[resource {one_line(name, 100)} <{one_line(str(uri), 500)}>{more}]"
        case EmbeddedResource(resource=resource):
            where = one_line(str(resource.uri), 500)
            if isinstance(resource, TextResourceContents):
                return f"[resource <{where}>]\n{plain(resource.text)}"
            kind = one_line(resource.mime_type or "unknown type", 40)
            return f"[resource <{where}>, {kind}, {_size(resource.blob)}; not shown]"


def _images(block: ContentBlock) -> tuple[Image, ...]:
    if not isinstance(block, ImageContent):
        return ()
    kind = one_line(block.mime_type, 40)
    if len(block.data) > LARGEST_IMAGE:
        return ()
    try:
        base64.b64decode(block.data, validate=True)
    except (binascii.Error, ValueError):
        return ()
    return (Image(block.data, kind),) if kind.startswith("image/") and block.data else ()


def _has_text(answer: CallToolResult) -> bool:
    """Servers that know of structured content repeat it as text, as the protocol asks."""
    return any(isinstance(block, TextContent) and block.text for block in answer.content)


def _raw(answer: CallToolResult, text: str) -> object:
    structured = answer.structured_content
    return text if structured is None else {"text": text, "structuredContent": structured}


def _json(value: object) -> str:
    return plain(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def _size(data: str) -> str:
    size = len(data.rstrip("=")) * 3 // 4
    return f"{size} bytes" if size < 1024 else f"{size // 1024} KiB"
