"""`apply_patch` written as a shell command, which gpt-oss does: found, and taken apart."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from acp_agent.errors import ToolFailed
from acp_agent.tools.patch_grammar import BEGIN

MAX_ARGUMENT = 200_000  # shlex takes quadratic time
_HEREDOC = re.compile(
    r"""\s*(?:cd\s+(?P<cd>[^\s;&|'"$`]+|'[^']*'|"[^"$`\\]*")\s*&&\s*)?
        (?:apply_patch|applypatch)\s*<<-?\s*(?P<quote>['"]?)(?P<mark>\w+)(?P=quote)[ \t]*\n
        (?P<patch>.*?)\n[ \t]*(?P=mark)\s*""",
    re.DOTALL | re.VERBOSE,
)
_CALL = re.compile(r"(?:^|[;&|\n]|\bcd\s[^\n;&|]*&&)\s*(?:apply_patch|applypatch)\b")


class ShellPatch(NamedTuple):
    """A patch, and the directory that its paths begin at, as it was written."""

    patch: str
    directory: str


def patch_in(command: str) -> ShellPatch | None:
    """Return the patch that `command` would apply; None for any other command.

    Raises:
        ToolFailed: It does call apply_patch, but among other things.

    """
    heredoc = _HEREDOC.fullmatch(command)
    if heredoc:
        return ShellPatch(heredoc["patch"], (heredoc["cd"] or ".").strip("'\""))
    if BEGIN not in command or not _CALL.search(command):
        return None
    try:
        words = shlex.split(command) if len(command) <= MAX_ARGUMENT else []
    except ValueError:
        words = []
    if len(words) == 2 and words[0] in ("apply_patch", "applypatch"):
        return ShellPatch(words[1], ".")
    raise ToolFailed("apply_patch is no command; call the tool functions.apply_patch, alone")


def unwrapped(argv: list[str]) -> str:
    """Return an argument list as one command line: `["bash", "-lc", "ls"]` means `ls`."""
    match argv:
        case [shell, "-c" | "-lc" | "-cl", command] if shell.endswith(("bash", "/sh", "zsh")):
            return command
        case ["sh", "-c" | "-lc" | "-cl", command]:
            return command
        case _:
            return shlex.join(argv)
