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
        ("npm run test -- --watch", "npm run test"),
        ("npm test", "npm test"),
        ("make check", "make check"),
        ("cargo build --release", "cargo build"),
        ("grep -rn 'a; b | c > d' src", "grep"),
        ('git commit -m "fix; a & b (c)"', "git commit"),
        (r'grep "a\"b" x', "grep"),
        ("./scripts/check --all", "./scripts/check"),
        ("/usr/bin/true x", "/usr/bin/true"),
        ("ls *.py", "ls"),
        ("git", "git"),
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
        assert is_plain(command)


@given(st.text(max_size=40))
def test_any_text_has_a_scope(command: str) -> None:
    prefix = scope(command)
    assert prefix == command.strip() or is_plain(command.strip())
