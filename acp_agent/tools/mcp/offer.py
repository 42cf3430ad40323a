"""A tool as a server offers it, taken down to what is safe to show; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acp_agent.plain import one_line, plain
from acp_agent.tools.mcp.schema import shown

LONGEST_DESCRIPTION = 1_000
LONGEST_TITLE = 80
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Offer:
    """One tool: `name` is the server's, `schema` what it says of the arguments.

    `parameters` is that schema as the model is shown it. `reads` is the server's claim that the
    tool changes nothing.
    """

    name: str
    title: str
    description: str
    schema: Mapping[str, object]
    parameters: Mapping[str, object]
    reads: bool = False


def make_offer(
    name: str, title: str, description: str, schema: Mapping[str, object], *, reads: bool
) -> Offer:
    """Return what a server said of a tool, made plain and short."""
    return Offer(
        name,
        one_line(title or name, LONGEST_TITLE),
        _short(plain(description).strip()),
        schema,
        shown(schema),
        reads,
    )


def _short(text: str) -> str:
    if len(text) <= LONGEST_DESCRIPTION:
        return text
    return text[: LONGEST_DESCRIPTION - 1].rstrip() + "…"
