"""What "always allow" may cover for a command: its first words, or, in any doubt, all of it.

A scope stands for every command that has the same scope. So a scope shorter than the command is
given only to one plain command, whose other words are arguments; anything in which the shell sees
more (several commands, substitution, redirection, assignment) is covered by itself alone, and so
are programs that run what their arguments say.
"""

from __future__ import annotations

import re
import shlex

# Nobody reads a longer one before allowing it for ever; and shlex takes quadratic time.
MAX_LENGTH = 2_000

# Programs whose first word or words after their name say what they do.
_DEPTHS = {
    "git": 2, "npm": 2, "pnpm": 2, "yarn": 2, "bun": 2, "cargo": 2, "go": 2, "pip": 2, "pip3": 2,
    "uv": 2, "poetry": 2, "docker": 2, "podman": 2, "kubectl": 2, "gh": 2, "brew": 2, "apt": 2,
    "apt-get": 2, "conda": 2, "make": 2, "just": 2, "dotnet": 2, "mvn": 2, "gradle": 2, "swift": 2,
    "systemctl": 2, "terraform": 2, "rustup": 2, "deno": 2, "composer": 2, "bundle": 2,
    "npm run": 3, "pnpm run": 3, "yarn run": 3, "bun run": 3, "uv pip": 3,
    "gh pr": 3, "gh issue": 3, "git remote": 3, "git stash": 3, "git worktree": 3,
}  # fmt: skip

# Programs for which no few words say what a call does: they run, or destroy, what they are given.
_OPEN = frozenset({
    "sh", "bash", "zsh", "dash", "fish", "ksh", "csh", "tcsh", "busybox", "env", "sudo", "doas",
    "su", "xargs", "parallel", "find", "fd", "awk", "gawk", "mawk", "sed", "perl", "python",
    "python2", "python3", "ruby", "node", "php", "lua", "rscript", "java", "osascript", "ssh",
    "scp", "rsync", "eval", "exec", "source", ".", "command", "builtin", "time", "nohup",
    "timeout", "nice", "watch", "script", "setsid", "chroot", "unshare", "nsenter", "strace",
    "gdb", "crontab", "at", "rm", "rmdir", "dd", "mkfs", "shred", "chmod", "chown", "kill",
    "pkill", "killall", "curl", "wget", "nc", "tee", "mv", "cp", "ln", "install", "truncate",
    "tar", "unzip", "vim", "vi", "nano", "emacs", "ed", "tmux", "screen", "npx", "uvx", "pipx",
    "bunx", "if", "for", "while", "until", "case", "select", "function", "coproc", "trap",
    "alias", "export", "set", "unset", "cd", "pushd", "then", "do",
})  # fmt: skip
_OPEN_PAIRS = frozenset({
    "docker run", "docker exec", "podman run", "podman exec", "kubectl exec", "kubectl run",
    "uv run", "poetry run", "npm exec", "pnpm exec", "pnpm dlx", "yarn dlx", "bun x",
    "bundle exec", "conda run", "go run", "cargo run", "deno run", "deno eval", "git config",
    "git rebase", "git bisect", "git filter-branch", "git submodule", "git grep", "git clean",
    "git reset", "git difftool", "git mergetool", "docker compose", "uv tool", "swift run",
    "dotnet run",
})  # fmt: skip

# Arguments by which an otherwise harmless program runs another one, or writes a file; git takes
# abbreviations of its options.
_OPEN_ARGUMENT = re.compile(
    r"\w+=|-o$|--(exec|ext-|outp|uplo|receive-p|pre$|pre=|conf|eval|command|plugin|rsh|to-c)"
)

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+@-]*|\./[A-Za-z0-9_./+-]+|/[A-Za-z0-9_./+-]+")


def scope(command: str) -> str:
    """Return the scope of `command`: a prefix of its words, or all of it."""
    whole = command.strip()
    if len(whole) > MAX_LENGTH or not is_plain(whole):
        return whole
    words = shlex.split(whole)
    name = words[0] if words else ""
    if not _WORD.fullmatch(name) or _is_open(name):
        return whole
    depth = _DEPTHS.get(name, 1)
    if depth == 2:
        depth = _DEPTHS.get(" ".join(words[:2]), 2)
    prefix = words[:depth]
    if " ".join(words[:2]) in _OPEN_PAIRS or not all(map(_WORD.fullmatch, prefix)):
        return whole
    if any(map(_OPEN_ARGUMENT.match, words[1:])):
        return whole
    return " ".join(prefix)


def _is_open(name: str) -> bool:
    """Tell whether `name`, in any case and version (`python3.12`), is among the open programs."""
    program = name.rpartition("/")[2].lower()
    return bool({program, program.rstrip("0123456789.-")} & _OPEN)


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
