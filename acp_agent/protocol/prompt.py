"""A prompt's content blocks to the message that a model reads.

Text and links stay where the user put them; what is embedded is also linked where it was mentioned.
"""

from __future__ import annotations

from acp_agent.conversation import Attachment, UserMessage
from acp_agent.plain import named
from acp_agent.protocol.schema import Fields

SUPPORTED = ("text", "resource_link", "resource")


def user_message(params: Fields) -> UserMessage:
    """Return the user's message. Raises RpcError for a block that a text model cannot read."""
    blocks = params.items("prompt")
    if not blocks:
        params.fail("prompt", "must hold at least one content block")
    typed = ""
    before = ""
    attached: list[Attachment] = []
    for block in blocks:
        kind = block.one_of("type", _kinds(block))
        if kind == "text":
            apart = "\n" if before == "text" else " "
            typed = _joined(typed, block.text("text"), apart)
        elif kind == "resource_link":
            uri = block.text("uri")
            typed = _joined(typed, _link(block.text("name"), uri))
            attached.append(Attachment(uri))
        else:
            uri, text = _resource(block.object("resource"))
            typed = _joined(typed, _link(uri.rstrip("/").rpartition("/")[2] or uri, uri))
            attached.append(Attachment(uri, text))
        before = kind
    return UserMessage(typed, tuple(attached))


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
    return named(f"[{name}]({uri})")


def _joined(before: str, after: str, apart: str = " ") -> str:
    """Join as a reader would: editors cut one sentence into blocks around what it mentions."""
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return before + after
    return before + after if after[0] in ".,;:!?)" else before + apart + after
