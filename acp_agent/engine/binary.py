"""Finds a `llama-server` that works, by running it; what it cannot do is not asked of it.

One built for this machine (CUDA, Vulkan, Metal) is faster than the wheel. Its `--help` says which
flags it knows: `--flash-attn` changed its form, others came and went.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

NAME = "llama-server"
AUTO, OFF = "auto", "off"
PROBE_SECONDS = 15.0  # the first look at a graphics processor takes a while
USUAL = (
    "/usr/bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "~/code/llama.cpp/build/bin",
    "~/code/llama.cpp",
)
NEEDED = ("--model", "--host", "--port", "--ctx-size", "--parallel")
KEY_VARIABLE, KEY_FILE = "LLAMA_API_KEY", "--api-key-file"


@dataclass(frozen=True, slots=True)
class Binary:
    """A program that works: `flags` maps each flag that it knows to what its help says of it."""

    path: str
    version: str
    flags: dict[str, str] = field(repr=False)

    @property
    def takes_key_variable(self) -> bool:
        """Tell whether its key can come by the environment."""
        return KEY_VARIABLE in self.flags.get("--api-key", "")


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, and what is wrong with each that came before it."""

    binary: Binary | None
    broken: tuple[str, ...] = ()


def find(program: str) -> Search:
    """Look for the program that the setting `llama_server` names; `off` and "" name none."""
    if program in ("", OFF):
        return Search(None)
    broken: list[str] = []
    for path in candidates(program):
        found = probe(path)
        if isinstance(found, Binary):
            return Search(found, tuple(broken))
        broken.append(found)
    return Search(None, tuple(broken))


def candidates(program: str) -> list[str]:
    """Return the paths to try: the one that was named, or else every one there is."""
    if program != AUTO:
        return [str(Path(program).expanduser())]
    return list(dict.fromkeys(_there_are()))


def _there_are() -> Iterator[str]:
    on_path = shutil.which(NAME)
    if on_path:
        yield on_path
    for directory in USUAL:
        path = Path(directory).expanduser() / NAME
        if path.is_file() and os.access(path, os.X_OK):
            yield str(path)


def probe(path: str) -> Binary | str:
    """Return the program, or what is wrong with it."""
    help_text = _said(path, "--help")
    if isinstance(help_text, _Wrong):
        return f"{path} {help_text.reason}"
    flags = parse_help(help_text)
    missing = [flag for flag in NEEDED if flag not in flags]
    if missing:
        return f"{path} does not know {', '.join(missing)}: it is no llama-server"
    binary = Binary(path, _version(path), flags)
    if not binary.takes_key_variable and KEY_FILE not in flags:
        return f"{path} is too old: it takes no key but on its command line, where others see it"
    return binary


@dataclass(frozen=True, slots=True)
class _Wrong:
    reason: str


def _said(path: str, flag: str) -> str | _Wrong:
    try:
        ran = subprocess.run(
            [path, flag],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROBE_SECONDS,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return _Wrong(f"did not answer {flag} within {PROBE_SECONDS:g} s")
    except OSError as error:
        return _Wrong(f"cannot be run ({error.strerror or error})")
    text = ran.stdout.decode("utf-8", "replace")
    if ran.returncode:
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "nothing")
        return _Wrong(f"ended with status {ran.returncode} when asked {flag}: {last.strip()[:200]}")
    return text


def _version(path: str) -> str:
    said = _said(path, "--version")
    found = re.search(r"(?m)^version: *(.+)$", said) if isinstance(said, str) else None
    return found[1].strip()[:80] if found else ""


def parse_help(text: str) -> dict[str, str]:
    """Return each flag of a help text with its entry: the line that names it and what follows."""
    flags: dict[str, str] = {}
    for entry in re.split(r"(?m)^(?=-)", text)[1:]:
        head = re.split(r"\s{2,}(?=[^\s-])", entry.split("\n", 1)[0], maxsplit=1)[0]
        for flag in re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", head):
            flags[flag] = entry
    return flags
