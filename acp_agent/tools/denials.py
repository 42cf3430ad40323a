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
_SOCKETS = re.compile(r"dial unix|daemon socket|authentication agent", re.IGNORECASE)
_CALLS = re.compile(r"\b(ptrace|mount|unshare)\b.*(not permitted|permission denied)", re.IGNORECASE)
_GIT = re.compile(r"\.git/(hooks|config)\b.*(read-only file system|busy|denied)", re.IGNORECASE)
_FILES = re.compile(
    r"read-only file system|EROFS|permission denied|operation not permitted|EACCES|EPERM",
    re.IGNORECASE,
)
_SIZE = re.compile(r"cannot allocate memory|MemoryError|file too large|resource temporarily un")
# gpt-oss was trained to keep files there; only containers have it.
_DATA = re.compile(r"no such file or directory: '/mnt/data", re.IGNORECASE)
_WORDS = (
    (_SOCKETS, "no sockets of files, such as those of Docker and agents with keys"),
    (_CALLS, "no debuggers, mounts or namespaces"),
    (_GIT, "git's settings and hooks cannot be changed"),
    (_FILES, "only the workspace and $TMPDIR can be written"),
    (_SIZE, "a limit was reached"),
)
READ_ONLY = "[sandbox: python can only read the workspace; apply_patch and write_file change files]"
ASK_TO_WRITE = (
    "[sandbox: python can only read the workspace so far; the same code once more asks the user to"
    " let it write there, in a new interpreter]"
)
HINT = "`unsandboxed: true` asks the user to run it outside"


def denial(output: str, *, network: bool) -> str:
    """Return what the sandbox may have denied to a command that failed; "" if nothing shows it."""
    if not network and _NETWORK.search(output):
        return f"[sandbox: no network; {HINT}]"
    words = next((words for pattern, words in _WORDS if pattern.search(output)), "")
    return f"[sandbox: {words}; {HINT}]" if words else ""


def python_denial(output: str, *, writable: bool) -> str:
    """Return what the sandbox may have denied to a cell that failed; "" if nothing shows it."""
    if _NETWORK.search(output):
        return "[sandbox: no network]"
    if _DATA.search(output):
        return "[sandbox: where there is no /mnt/data, tempfile.gettempdir() is for files]"
    if not _FILES.search(output):
        return ""
    if writable:
        return "[sandbox: only the workspace and temporary files can be written]"
    return READ_ONLY


def put_back(paths: Sequence[Path]) -> str:
    """Return the words for what a command had changed and must not."""
    names = ", ".join(sorted({str(path) for path in paths})[:3])
    return f"[sandbox: put back what commands may not change: {names}]"
