"""Telling from what a program wrote that the sandbox was in its way, so that the model knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_NETWORK = re.compile(
    r"network is unreachable|could ?n[o']t resolve|could not resolve|name or service not known"
    r"|temporary failure in name resolution|nodename nor servname|EAI_AGAIN|ENETUNREACH"
    r"|unable to look up|no address associated|failed to lookup address|dial tcp|dial udp"
    r"|address family not supported|connection refused|failed to establish a new connection",
    re.IGNORECASE,
)
_FILES = re.compile(
    r"read-only file system|EROFS|permission denied|operation not permitted|EACCES|EPERM",
    re.IGNORECASE,
)
_SIZE = re.compile(r"cannot allocate memory|MemoryError|file too large|resource temporarily un")
HINT = "`unsandboxed: true` asks the user to run it outside"


def denial(output: str, *, network: bool) -> str:
    """Return what the sandbox may have denied to a command that failed; "" if nothing shows it."""
    if not network and _NETWORK.search(output):
        return f"[sandbox: no network; {HINT}]"
    if _FILES.search(output):
        return f"[sandbox: only the workspace and $TMPDIR can be written; {HINT}]"
    if _SIZE.search(output):
        return f"[sandbox: a limit was reached; {HINT}]"
    return ""


def python_denial(output: str, *, writable: bool) -> str:
    """Return what the sandbox may have denied to a cell that failed; "" if nothing shows it."""
    if _NETWORK.search(output):
        return "[sandbox: no network]"
    if not _FILES.search(output):
        return ""
    if writable:
        return "[sandbox: only the workspace and temporary files can be written]"
    return "[sandbox: python can only read the workspace; apply_patch and write_file change files]"


def put_back(paths: Sequence[Path]) -> str:
    """Return the words for what a command had changed and must not."""
    names = ", ".join(sorted({str(path) for path in paths})[:3])
    return f"[sandbox: put back what commands may not change: {names}]"
