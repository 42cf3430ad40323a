"""Blocks of Markdown that hold what strangers wrote."""

from __future__ import annotations

from acp_agent.fence import fenced


def test_a_block_cannot_be_closed_by_its_text() -> None:
    assert fenced("```\nx", "sh") == "````sh\n```\nx\n````"
    assert fenced("``\x1b[0m`\nx") == "````\n```\nx\n````"
