"""How gpt-oss addresses tools: `python` and `browser.*` by themselves, all others as functions."""

from __future__ import annotations


def is_built_in(tool: str) -> bool:
    """Tell whether gpt-oss was trained on the tool itself, outside the `functions` namespace."""
    return tool == "python" or tool.startswith("browser.")


def recipient(tool: str) -> str:
    """Return what the model writes after `to=` to call the tool."""
    return tool if is_built_in(tool) else f"functions.{tool}"
