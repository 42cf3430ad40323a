"""A prompt's content blocks to the one text that the model reads.

Text and links stay where the user put them. The contents of embedded resources follow behind, each
under its URI, so that the question comes first and reads as it was typed.
"""

from __future__ import annotations

from acp_agent.protocol.schema import Fields

SUPPORTED = ("text", "resource_link", "resource")


def prompt_text(params: Fields) -> str:
    """Return the user's message. Raises RpcError for a block that a text model cannot read."""
    blocks = params.items("prompt")
    if not blocks:
        params.fail("prompt", "must hold at least one content block")
    typed = ""
    before = ""
    attached: list[str] = []
    for block in blocks:
        kind = block.one_of("type", _kinds(block))
        if kind == "text":
            apart = "\n" if before == "text" else " "
            typed = _joined(typed, block.text("text"), apart)
        elif kind == "resource_link":
            typed = _joined(typed, _link(block.text("name"), block.text("uri")))
        else:
            uri, text = _resource(block.object("resource"))
            typed = _joined(typed, _link(uri.rstrip("/").rpartition("/")[2] or uri, uri))
            attached.append(f'<resource uri="{uri}">\n{text.rstrip()}\n</resource>')
        before = kind
    return "\n\n".join([typed, *attached])


def _kinds(block: Fields) -> tuple[str, ...]:
    # Not advertised (promptCapabilities), so only a client that does not look sends one.
    if (kind := block.text("type")) in ("image", "audio"):
        block.fail("type", f"is {kind}, which this model cannot read; send {', '.join(SUPPORTED)}")
    return SUPPORTED


def _resource(resource: Fields) -> tuple[str, str]:
    uri = resource.text("uri")
    if resource.has("blob") and not resource.has("text"):
        resource.fail("blob", "is binary, which this model cannot read; send text")
    return uri, resource.text("text")


def _link(name: str, uri: str) -> str:
    return f"[{name}]({uri})"


def _joined(before: str, after: str, apart: str = " ") -> str:
    """Join as a reader would: editors cut one sentence into blocks around what it mentions."""
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return before + after
    return before + after if after[0] in ".,;:!?)" else before + apart + after
