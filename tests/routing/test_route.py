"""`acp-agent route`: one prompt, or a line each."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from acp_agent.errors import ConfigError
from acp_agent.verbs.route import run_route


def route_lines(text: str | bytes) -> tuple[int, list[dict[str, Any]]]:
    data = text.encode() if isinstance(text, str) else text
    out = io.StringIO()
    source = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    code = run_route(None, as_json=False, as_lines=True, source=source, out=out)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_prompt_is_routed_in_words() -> None:
    out = io.StringIO()
    assert run_route("Refactor src/app.py", as_json=False, as_lines=False, out=out) == 0
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("delegate: It needs a tool and it asks for work on code, so GPT-OSS")
    assert "      +100  tools: it needs a tool" in lines
    assert "prompt_tokens 5; tool_calls 3" in lines[-1]


def test_a_prompt_from_stdin_is_routed_as_json_with_exact_tokens() -> None:
    out = io.StringIO()
    source = io.StringIO("What is a mutex?")
    assert run_route("-", as_json=True, as_lines=False, source=source, out=out) == 0
    answer = json.loads(out.getvalue())
    assert answer["decision"] == "inline"
    assert answer["facts"]["prompt_tokens"] == 5
    assert list(answer) == ["decision", "reason", "rules", "score", "facts"]


def test_each_line_gets_a_decision_in_its_order() -> None:
    code, answers = route_lines(
        '{"prompt": "hi", "id": 7}\n\n'
        '{"prompt": "Summarise it", "resources": [{"uri": "file:///a", "chars": 90000}]}\n'
        '{"prompt": "Write a parser in Rust", "resources": []}'
    )
    assert code == 0
    assert [answer["decision"] for answer in answers] == ["inline", "delegate", "delegate"]
    assert answers[1]["facts"]["resource_tokens"] == 25715
    assert all(answer.keys() >= {"decision", "reason", "rules", "facts"} for answer in answers)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nope", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[" * 100_000, "not JSON: "),
        ('{"prompt": ' + "9" * 5000 + "}", "not JSON: "),
        (b"\xff\xfe", "not UTF-8"),
        ("[]", 'not an object; give {"prompt": "…"}'),
        ("{}", "'prompt' is missing"),
        ('{"prompt": 3}', "'prompt' must be a string"),
        ('{"prompt": " "}', "'prompt' is empty"),
        ('{"prompt": "a", "resources": {}}', "'resources' must be a list"),
        ('{"prompt": "a", "resources": [1]}', "'resources[0]' must be an object"),
        ('{"prompt": "a", "resources": [{}]}', "'resources[0].uri' must be a string"),
        (
            '{"prompt": "a", "resources": [{"uri": "a", "chars": -1}]}',
            "'resources[0].chars' must be a whole number, 0 or more",
        ),
        (
            '{"prompt": "a", "resources": [{"uri": "a"}, {"uri": "a", "chars": true}]}',
            "'resources[1].chars' must be a whole number, 0 or more",
        ),
    ],
)
def test_a_bad_line_is_named_and_does_not_stop_the_rest(line: str | bytes, message: str) -> None:
    data = line if isinstance(line, bytes) else line.encode()
    code, answers = route_lines(b'{"prompt": "hi"}\n' + data + b'\n{"prompt": "hi"}\n')
    assert code == 1
    assert answers[1]["line"] == 2
    assert answers[1]["error"].startswith(message)
    assert answers[0] == answers[2]
    assert answers[0]["decision"] == "inline"


def test_a_lone_surrogate_is_routed() -> None:
    code, answers = route_lines('{"prompt": "hi \\ud800"}')
    assert (code, answers[0]["decision"]) == (0, "inline")


def test_no_lines_give_no_answers() -> None:
    assert route_lines("") == (0, [])


@pytest.mark.parametrize(("prompt", "as_lines"), [(None, False), ("hi", True), ("  ", False)])
def test_a_wrong_call_is_refused(prompt: str | None, as_lines: bool) -> None:
    with pytest.raises(ConfigError):
        run_route(prompt, as_json=False, as_lines=as_lines, source=io.StringIO(), out=io.StringIO())


def test_a_prompt_on_stdin_that_is_no_text_is_refused() -> None:
    source = io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8")
    with pytest.raises(ConfigError, match="not UTF-8"):
        run_route("-", as_json=False, as_lines=False, source=source, out=io.StringIO())


def test_the_command_names_a_broken_rubric_and_exits_with_2(home: Path) -> None:
    rubric = home / "mine.toml"
    rubric.write_text("threshold = 'x'\n")
    command = [sys.executable, "-m", "acp_agent", "route", "--rubric", str(rubric), "hi"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"{rubric}, line 1: threshold: 'x' is not of type 'integer'" in ran.stderr
    again = subprocess.run(
        [*command, "--default-rubric"], capture_output=True, text=True, timeout=60, check=False
    )
    assert again.returncode == 0
    assert again.stdout.startswith("inline: ")


def test_without_a_file_the_rubric_of_the_settings_counts(home: Path) -> None:
    mine, broken = home / "mine.toml", home / "broken.toml"
    mine.write_text("threshold = -1000\n")
    broken.write_text("threshold = 'x'\n")

    def route(rubric: Path, *flags: str, default: str = "no") -> tuple[int, str]:
        settings = {
            "ACP_AGENT_RUBRIC": str(rubric),
            "ACP_AGENT_RUBRIC_DEFAULT_IF_BROKEN": default,
        }
        command = [sys.executable, "-m", "acp_agent", "route", *flags, "hi"]
        ran = subprocess.run(
            command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
        )
        return ran.returncode, ran.stdout.partition(":")[0]

    assert route(mine) == (0, "delegate")
    assert route(broken) == (2, "")
    assert route(broken, default="yes") == (0, "inline")
    assert route(broken, "--default-rubric") == (0, "inline")
    assert route(broken, "--rubric", str(mine)) == (0, "delegate")
    assert route(mine, "--rubric", str(broken), default="yes") == (2, "")
