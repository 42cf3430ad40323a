"""What "always allow" may cover for a command: its first words, or, in any doubt, all of it.

A scope stands for every command that has the same scope. So a scope shorter than the command is
given only to one plain command of a known program, whose other words are known to be harmless:
names of things, and options that run nothing and write nothing. Everything else (unknown programs,
other options, and all in which the shell sees more than one command) is covered by itself alone.
"""

from __future__ import annotations

import re
import shlex

# Nobody reads a longer one before allowing it for ever; and shlex takes quadratic time.
MAX_LENGTH = 2_000

# Programs that only read and print, whatever their arguments. Not printf: its -v evaluates.
_READERS = frozenset(
    "ls cat head tail wc grep egrep fgrep pwd stat du df diff cmp cut tr echo basename"
    " dirname realpath which whoami id uname nl".split()
)

# Programs that check a project by running what is in it; their words name files.
_CHECKERS = frozenset(
    "pytest ruff mypy pyright basedpyright tsc eslint flake8 pylint jest vitest ctest phpunit"
    " rspec".split()
)

# Programs whose second word says what they do; their further words name files, revisions, packages.
_COMMANDS = {
    "git": "status diff log show branch blame rev-parse ls-files ls-tree describe shortlog add"
    " commit",
    "cargo": "build check test clippy doc tree",
    "go": "build test vet list",
    "pip": "list show freeze check",
    "pip3": "list show freeze check",
    "docker": "ps images logs version info",
    "kubectl": "get describe logs",
    "dotnet": "build test",
    "swift": "build test",
}

# Programs that run a task by its name, which further words may change or add to.
_TASKS = {"make": 2, "just": 2, "npm test": 2, "npm run": 3, "pnpm run": 3, "yarn run": 3}

_OPTIONS = frozenset(
    "-q -v -vv -x -s -k -m -n -l -a -r -b -u -- --all --oneline --stat --cached --staged --short"
    " --porcelain --name-only --name-status --graph --decorate --patch --verbose --quiet --release"
    " --workspace --all-targets --all-features --no-color --no-edit --show-toplevel --abbrev-ref"
    " --follow --lf --ff --check --race".split()
)
_NUMBER = re.compile(r"-j?\d+")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+@-]*")


def scope(command: str) -> str:
    """Return the scope of `command`: a prefix of its words, or all of it."""
    whole = command.strip()
    if len(whole) > MAX_LENGTH or not is_plain(whole):
        return whole
    words = shlex.split(whole)
    if words and words[0] in _READERS:
        return words[0]
    length = _prefix_length(words)
    if length is None or not all(map(_is_harmless, words[length:])):
        return whole
    return " ".join(words[:length])


def _prefix_length(words: list[str]) -> int | None:
    """Return how many words say what the command does; None if no few of them do."""
    name = words[0] if words else ""
    if name in _CHECKERS:
        return 1
    if len(words) > 1 and words[1] in _COMMANDS.get(name, "").split():
        return 2
    length = _TASKS.get(name) or _TASKS.get(" ".join(words[:2]))
    if length is None or len(words) < length or not _WORD.fullmatch(words[length - 1]):
        return None
    return length if all(word.startswith("-") for word in words[length:]) else None


def _is_harmless(word: str) -> bool:
    if word.startswith("-"):
        return word in _OPTIONS or bool(_NUMBER.fullmatch(word))
    return "=" not in word


def is_plain(command: str) -> bool:
    """Tell whether the shell sees one command and nothing else in `command`."""
    quote = ""
    characters = iter(command)
    for character in characters:
        if character == "\n" or (character < " " and character != "\t") or character == "\x7f":
            return False
        if quote == "'":
            quote = "" if character == "'" else quote
        elif character == "\\":
            if next(characters, "\n") == "\n":
                return False
        elif character in "$`":
            return False
        elif quote:
            quote = "" if character == '"' else quote
        elif character in "'\"":
            quote = character
        elif character in ";&|<>(){}":
            return False
    return not quote
