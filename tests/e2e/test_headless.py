"""The verbs of the command line, as somebody at a terminal or in a script meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from acp_agent import __version__
from acp_agent.voices import NANO_LABEL
from scripts.nano_dialogues import COMPUTE, FIX, HELLO, WRITE
from tests.e2e.processes import PATIENCE

Env = dict[str, str]

AT_ONCE = 10  # generous: the answer that nobody reads would go on for ever
ANSWER = NANO_LABEL + HELLO.answer.text


def agent(
    env: Env, *args: str, cwd: Path | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `acp-agent` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "acp_agent", *args],
        env=env,
        cwd=cwd or Path(env["HOME"]),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def outcome(ran: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Path]:
    """Give a script for each way in which a turn can end."""
    file = tmp_path / "script.txt"
    file.write_text(
        dedent("""\
            on "cut":
              begin Too
              limit
            on "fail":
              fail the slot is on fire
            on "turn":
              call list_files {}
              again
            otherwise:
              think Hm.
              say Hello!
        """)
    )
    yield file


def test_run_prints_the_answer_and_nothing_else_on_stdout(world: Env) -> None:
    ran = agent(world, "run", "--demo", "hello")
    assert (ran.returncode, ran.stdout) == (0, f"{ANSWER}\n")
    assert ran.stderr.strip() in ("", "the engine is loading its model")


def test_run_reads_the_prompt_from_stdin(world: Env) -> None:
    ran = agent(world, "run", "--demo", "-", stdin="hello\n")
    assert (ran.returncode, ran.stdout) == (0, f"{ANSWER}\n")


def test_run_shows_thoughts_and_calls_on_stderr(world: Env, script: Path) -> None:
    ran = agent(world, "run", "--script", str(script), "hi")
    assert outcome(ran) == (0, "Hello!\n", "Hm.\n")


def test_run_prints_every_update_as_a_line_of_json(world: Env) -> None:
    ran = agent(world, "run", "--demo", "--json", "hello")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (ran.returncode, lines[-1]) == (0, {"stopReason": "end_turn"})
    chunks = [line for line in lines if line.get("sessionUpdate") == "agent_message_chunk"]
    assert "".join(chunk["content"]["text"] for chunk in chunks) == ANSWER


def test_run_rejects_what_needs_permission_where_nobody_can_be_asked(
    world: Env, workspace: Path
) -> None:
    ran = agent(world, "run", "--demo", "--cwd", str(workspace), "write hello world")
    assert (ran.returncode, "Understood" in ran.stdout) == (0, True)
    assert "rejected: nobody is there to ask; see --approvals" in ran.stderr
    assert not (workspace / "hello.py").exists()


def test_run_with_full_approvals_does_the_work(world: Env, workspace: Path) -> None:
    ran = agent(world, "run", "--demo", "--approvals", "full", "write hello world", cwd=workspace)
    assert (ran.returncode, ran.stdout) == (0, f"{NANO_LABEL}{WRITE.answer.text}\n")
    assert (workspace / "hello.py").read_text() == "print('hello world')\n"


def test_run_says_why_a_turn_stopped_early(world: Env, script: Path) -> None:
    ran = agent(world, "run", "--script", str(script), "cut")
    assert outcome(ran) == (
        1,
        "Too\n",
        "acp-agent: the answer was cut: the limit of tokens was reached\n",
    )
    ran = agent(world | {"ACP_AGENT_MAX_STEPS": "1"}, "run", "--script", str(script), "turn")
    assert ran.returncode == 1
    assert ran.stderr.endswith("acp-agent: stopped: the limit of steps was reached\n")


def test_run_says_what_failed_in_one_line(world: Env, script: Path) -> None:
    ran = agent(world, "run", "--script", str(script), "fail")
    assert outcome(ran) == (1, "", "acp-agent: the slot is on fire\n")


def test_run_without_a_model_says_how_to_get_one(modelless: Env) -> None:
    ran = agent(modelless, "run", "hello")
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (1, "", 1)
    assert ran.stderr.startswith("acp-agent: no gpt-oss model was found: set GPT_OSS_GGUF_MODEL")


@pytest.mark.parametrize(
    "args", [("run", "--demo", "--json", "count forever"), ("demo",)], ids=["run", "demo"]
)
def test_it_ends_quietly_when_its_reader_leaves(world: Env, args: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "acp_agent", *args]
    with subprocess.Popen(
        command,
        env=world,
        cwd=world["HOME"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        try:
            _, said = process.communicate(timeout=AT_ONCE)
        finally:
            process.kill()
    assert process.returncode == 1
    assert b"Traceback" not in said


def computes_and_mends(ran: subprocess.CompletedProcess[str]) -> bool:
    """Tell whether the demo said what it must, and did its work."""
    lines = ran.stdout.splitlines()
    needed = {
        "  │ 541",
        NANO_LABEL + COMPUTE.answer.text,
        "  -    return a - b",
        "  +    return a + b",
        NANO_LABEL + FIX.answer.text,
    }
    return (
        ran.returncode == 0
        and "are not gpt-oss" in " ".join(lines[:2])
        and needed <= set(lines)
        and lines.count("  │ primes[99]") == 1
        and any(line.startswith("→ delegate: It needs a tool and it asks for") for line in lines)
        and ran.stdout.endswith("stop reason: end_turn; the test passes now.\n")
    )


def test_demo_shows_an_inline_answer_and_a_delegation_with_the_reasons(with_small: Env) -> None:
    ran = agent(with_small, "demo")
    assert computes_and_mends(ran), ran.stdout
    lines = ran.stdout.splitlines()
    inline = lines.index(
        "→ inline: It is a short question, so the small model answers (score -30, threshold 50)"
    )
    assert lines[inline + 1]
    assert NANO_LABEL not in lines[inline + 1]


def test_demo_does_without_a_network(world: Env) -> None:
    ran = agent(world, "demo")
    assert computes_and_mends(ran), ran.stdout
    assert "cannot fetch SmolLM2-135M-Instruct: " in ran.stdout
    assert "The demo weights answer light prompts too" in ran.stdout


def test_doctor_finds_everything_but_a_model(modelless: Env) -> None:
    ran = agent(modelless, "doctor")
    assert (ran.returncode, ran.stderr) == (1, "")
    marks = {line.partition(":")[0] for line in ran.stdout.splitlines() if line[0] in "✓✗"}
    assert {"✓ python", "✓ vocabulary", "✓ engine", "✗ model"} <= marks
    assert "GPT_OSS_GGUF_MODEL_PATH" in ran.stdout
    assert "acp-agent demo" in ran.stdout


def test_doctor_is_content_with_a_model_and_tells_programs_so(world: Env) -> None:
    [weights] = Path(world["XDG_CACHE_HOME"]).glob("acp-agent/nano-*.gguf")
    env = world | {"GPT_OSS_GGUF_MODEL_PATH": str(weights)}
    ran = agent(env, "doctor", "--json")
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["version"]) == (0, __version__)
    states = {finding["part"]: finding["state"] for finding in report["findings"]}
    for part in ("search", "python sandbox", "shell sandbox"):  # as the machine has them
        assert states.pop(part) in ("works", "note")
    assert states == {
        "python": "works",
        "vocabulary": "works",
        "engine": "works",
        "model": "works",
        "small model": "note",
        "rubric": "works",
    }


def test_doctor_tells_of_a_llama_server_that_is_broken(world: Env, tmp_path: Path) -> None:
    broken = tmp_path / "llama-server"
    broken.write_text("#!/bin/sh\necho Illegal instruction >&2\nexit 132\n")
    broken.chmod(0o755)
    ran = agent(world | {"LLAMA_SERVER": str(broken)}, "doctor", "--json")
    [engine] = [one for one in json.loads(ran.stdout)["findings"] if one["part"] == "engine"]
    assert engine["state"] == "note"
    assert engine["text"].startswith("llama.cpp from the xllamacpp wheel ")
    assert f"; passed over: {broken} ended with status 132" in engine["text"]
    assert engine["advice"] == "mend or remove that llama-server, or set LLAMA_SERVER=off"


@pytest.mark.parametrize(
    ("args", "settings", "complaint"),
    [
        (
            ("serve", "--effort", "extreme"),
            {},
            "--effort: effort must be one of low, medium, high, not 'extreme'",
        ),
        (
            ("serve", "--approvals", "none"),
            {},
            "--approvals: approvals must be one of ask, auto-edit, read-only, full, not 'none'",
        ),
        (
            ("run", "--engine-url", "localhost:8080", "hi"),
            {},
            "--engine-url: engine_url must be an http:// or https:// address, not 'localhost:8080'",
        ),
        (
            ("serve",),
            {"GPT_OSS_PORT": "eighty"},
            "GPT_OSS_PORT: port must be a number, not 'eighty'",
        ),
        (
            ("serve",),
            {"GPT_OSS_CTX": "-1"},
            "GPT_OSS_CTX: context must be 0 or 256 to 131072, not -1",
        ),
        (("doctor",), {"GPT_OSS_PORT": "70000"}, "GPT_OSS_PORT: port must be a port number, not"),
        (("run", "--demo", " "), {}, "the prompt is empty"),
        (("run", "--demo", "--cwd", "/no/such/dir", "hi"), {}, "--cwd: '/no/such/dir' is not a"),
        (("serve",), {"ACP_AGENT_LOG_PROMPTS": "maybe"}, "ACP_AGENT_LOG_PROMPTS: routing_log_pro"),
        (
            ("serve", "--mode", "fast"),
            {},
            "--mode: mode must be one of gptoss_20b, gptoss_120b, fm",
        ),
        (("run", "--mode", "gptoss_120b", "hi"), {}, "mode gptoss_120b is not on offer: set GPT_O"),
        (("run", "--fm-backend", "/no/a.gguf", "hi"), {}, "fm.backend: '/no/a.gguf' is no file"),
        (("serve",), {"GPT_OSS_120B_MODEL": "/no/b.gguf"}, "model_120b: there is no file '/no/b."),
        (
            ("serve", "--mode", "fm"),
            {"ACP_AGENT_RUBRIC": "/no/such/rubric"},
            "cannot read the rubric /no/such/rubric: ",
        ),
        (("serve", "--script", "/no/such/file"), {}, "cannot read the script /no/such/file:"),
    ],
)
def test_wrong_call_is_answered_by_one_line_and_exit_code_2(
    world: Env, args: tuple[str, ...], settings: Env, complaint: str
) -> None:
    ran = agent(world | settings, *args)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1)
    assert ran.stderr.startswith(f"acp-agent: {complaint}")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour = 'red'", "unknown setting 'colour' in "),
        ("effort = ", "is not TOML"),
        ("context = 'big'", "context must be a number, not 'big'"),
        ("fm.backnd = 'a'", "unknown setting 'fm.backnd' in "),
        ("[mode]\nfm = 1", "mode is one value, not a table"),
    ],
)
def test_wrong_settings_file_is_named(
    world: Env, tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    ran = agent(world | {"ACP_AGENT_CONFIG": str(file)}, "serve")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1)
    assert str(file) in ran.stderr
    assert complaint in ran.stderr


def test_wrong_script_is_refused_with_its_line(world: Env, tmp_path: Path) -> None:
    file = tmp_path / "script.txt"
    file.write_text("think Hm.\n\nshout Hello!\n")
    ran = agent(world, "serve", "--script", str(file))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"acp-agent: {file}:3: unknown command 'shout'; known: think,")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("serve", "--loud"), "unrecognized arguments: --loud"),
        (("bake",), "invalid choice: 'bake'"),
        (("serve", "--demo", "--script", "x"), "not allowed with"),
        (("run",), "required: prompt"),
    ],
)
def test_unknown_flags_and_verbs_are_answered_with_the_usage(
    world: Env, args: tuple[str, ...], words: str
) -> None:
    ran = agent(world, *args)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("usage: acp-agent")
    assert words in ran.stderr.splitlines()[-1]


def test_version_is_told(world: Env) -> None:
    assert outcome(agent(world, "--version")) == (0, f"acp-agent {__version__}\n", "")


def test_without_a_verb_and_with_a_pipe_it_serves(world: Env) -> None:
    request = {"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {"protocolVersion": 1}}
    ran = agent(world, stdin=f"{json.dumps(request)}\n")
    answer = json.loads(ran.stdout)
    assert (ran.returncode, answer["id"]) == (0, 7)
    assert answer["result"]["protocolVersion"] == 1
