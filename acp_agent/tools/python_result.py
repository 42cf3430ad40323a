"""What a call of `python` is called, and what it answers to the model and to the user."""

from __future__ import annotations

from acp_agent.events import Image, Text, ToolContent
from acp_agent.fence import fenced
from acp_agent.tools.base import ToolResult
from acp_agent.tools.python_session import Ran

TITLE = 100
# What gpt-oss was trained to read.
NO_OUTPUT = (
    "[WARN] No output available. Use print() to output anything to stdout to receive the output"
)
TIMED_OUT = "[ERROR] Timed out waiting for Jupyter kernel output."


def title_of(code: str) -> str:
    """Return the first line of the code, if that is short."""
    lines = [line for line in code.strip().splitlines() if line.strip()]
    first = lines[0][:TITLE]
    return first if len(lines) == 1 and first == lines[0] else f"{first} …"


def losses(ran: Ran) -> tuple[str, ...]:
    """Return what became of the interpreter, in words for the user."""
    told: list[str] = []
    if ran.anew:
        told.append(f"[This interpreter is new, earlier variables are lost: {ran.anew}.]")
    if ran.lost:
        told.append(f"[The interpreter is gone, all variables are lost: {ran.lost}.]")
    elif ran.timed_out:
        told.append("[Timed out: the code was interrupted; variables are kept.]")
    return tuple(told)


def result_of(
    written: str,
    ran: Ran,
    figures: list[Image],
    shown: tuple[ToolContent, ...],
    denied: str = "",
) -> ToolResult:
    """Return the answer to a call that wrote `written` below what was `shown` before it ran.

    `denied` says what the sandbox was in the way of.
    """
    output = written.replace("\r\n", "\n").rstrip("\n")
    notes: list[str] = []
    if ran.anew:
        notes.append(f"[This interpreter is new, earlier variables are lost: {ran.anew}.]")
    if output:
        notes.append(output)
    if ran.timed_out:
        notes.append(TIMED_OUT)
    if ran.lost:
        notes.append(f"[The interpreter is gone, all variables are lost: {ran.lost}.]")
    elif ran.timed_out:
        notes.append("[The code was interrupted; variables are kept.]")
    if denied:
        notes.append(denied)
    if figures:
        shown_to_user = "An image was" if len(figures) == 1 else f"{len(figures)} images were"
        notes.append(f"[{shown_to_user} shown to the user.]")
    if not (output or ran.timed_out or ran.lost or figures):
        notes.append(NO_OUTPUT)
    seen = "\n".join(part for part in (output, *losses(ran), denied) if part)
    text = Text(fenced(seen)) if seen else None
    return ToolResult(
        "\n".join(notes),
        failed=ran.failed,
        raw_output={
            "output": written,
            "failed": ran.failed,
            "timed_out": ran.timed_out,
            "reset": bool(ran.lost or ran.anew),
            "images": len(figures),
        },
        content=(*shown, *((text,) if text else ()), *figures),
    )
