"""What "always allow" would cover; a scope shorter than the command must never cover more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.tools.command_scope import is_plain, scope


@pytest.mark.parametrize(
    ("command", "prefix"),
    [
        ("git status", "git status"),
        ("git status --short src", "git status"),
        ("  ls -la  ", "ls"),
        ("pytest -q tests/test_a.py", "pytest"),
        ("npm run test -- -q", "npm run test"),
        ("npm test", "npm test"),
        ("make check", "make check"),
        ("cargo build --release", "cargo build"),
        ("grep -rn 'a; b | c > d' src", "grep"),
        ('git commit -m "fix; a & b (c)"', "git commit"),
        (r'grep "a\"b" x', "grep"),
        ("make -j4 test", "make -j4 test"),
        ("make test -j4", "make test"),
        ("git log --oneline -5", "git log"),
        ("ls *.py", "ls"),
        ("git", "git"),
        ("go test ./... -v", "go test"),
    ],
)
def test_a_plain_command_has_a_prefix(command: str, prefix: str) -> None:
    assert scope(command) == prefix


@pytest.mark.parametrize(
    "command",
    [
        "git status; rm -rf /",
        "git status && rm x",
        "git status || rm x",
        "git status | sh",
        "git status & rm x",
        "git status\nrm x",
        "git status\\\nx",
        "git status $(rm x)",
        "git status `rm x`",
        'git status "$(rm x)"',
        'git status "`rm x`"',
        "git status > /etc/x",
        "git status < x",
        "git status <(rm x)",
        "git status $'\\n' x",
        "git status 'unclosed",
        'git status "a" "unclosed',
        "git -c core.pager=evil status",
        "git -C /elsewhere status",
        "git diff --output=x",
        "git fetch --upload-pack=evil",
        "git config alias.status '!rm x'",
        "GIT_PAGER=evil git status",
        "env git status",
        "sudo git status",
        "bash -c 'git status'",
        "/bin/bash -c 'git status'",
        "python -c 'x'",
        "find . -delete",
        "xargs rm",
        "rm -rf x",
        "make SHELL=/tmp/evil test",
        "make test SHELL=/tmp/evil",
        "docker run x",
        "uv run x",
        "npx x",
        "RM -rf x",
        "python3.12 -c x",
        "git status {--output=x,}",
        "scripts/check",
        "./scripts/check --all",
        "/usr/bin/true x",
        "unknown-program x",
        "make test -E '$(shell touch x)'",
        "make test deploy",
        "make -C /elsewhere test",
        "npm run build -- --evil",
        "git push --rece=/tmp/evil origin",
        "git push",
        "git fetch --upl=x",
        "printf -v 'a[$(touch x)]' 1",
        "git diff --ext-diff",
        "git stash drop",
        "git branch -D main",
        "sqlite3 db '.shell id'",
        "man -P 'sh -c id' ls",
        "go test -exec=evil",
        "go build -toolexec evil",
        "cargo test --config x=y",
        "pytest -p evil",
        "pytest -c evil.ini",
        "eslint --rulesdir evil",
        "cmake -E rm -rf x",
        "sort -o.bashrc x",
        "rg --hostname-bin=evil x",
        "flock x sh",
        "julia x",
        "psql -c x",
        "echo " + "x" * 3000,
        "{ git status; }",
        "(git status)",
        "! git status",
        "$GIT status",
        "gi? status",
        "~/git status",
        "'git status' x",
        "\\git\x00 status",
        "",
    ],
)
def test_in_doubt_a_command_stands_for_itself_alone(command: str) -> None:
    assert scope(command) == command.strip()


hostile = st.sampled_from(
    [";", "&", "|", "\n", "$(x)", "`x`", ">", "<", "(", ")", "'", '"', "\\", "$x", "a", " ", "#"]
)


@given(st.lists(hostile, max_size=8))
def test_whatever_follows_an_allowed_prefix_only_arguments_are_covered(parts: list[str]) -> None:
    command = "git status " + "".join(parts)
    if scope(command) != command.strip():
        assert scope(command) == "git status"
        assert is_plain(command.strip())


@given(st.text(max_size=40))
def test_any_text_has_a_scope(command: str) -> None:
    prefix = scope(command)
    assert prefix == command.strip() or is_plain(command.strip())
