from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from acp_agent.errors import ToolFailed
from acp_agent.events import Diff, Event, Terminal, Text, ToolCallUpdated, ToolOutput
from acp_agent.tools.base import Permission
from acp_agent.tools.shell import Shell, ShellArguments
from tests.tools.conftest import ScriptedEditor, ScriptedTerminal

if TYPE_CHECKING:
    from tests.tools.conftest import Bench, MakeBench

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]


def outputs(bench: Bench) -> list[ToolOutput]:
    return [event for event in bench.events if isinstance(event, ToolOutput)]


async def gone(pid: int) -> None:
    """Wait until no process `pid` runs (a zombie runs no more)."""
    while True:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat")
            if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        await anyio.sleep(0.01)  # nobody tells when a process that is no child of ours ends


async def test_a_command_is_shown_and_asked_for_before_it_runs(bench: Bench) -> None:
    prepared = await bench.prepare("shell", command="touch made && echo hi")
    assert (prepared.title, prepared.kind) == ("touch made && echo hi", "execute")
    assert prepared.permission == Permission("shell", "touch made && echo hi")
    assert prepared.raw_input == {"command": "touch made && echo hi"}
    assert not (bench.root / "made").exists()
    result = await prepared.run(bench.emit)
    assert (result.text, result.failed) == ("hi\n[exit code 0]", False)
    assert result.raw_output == {
        "output": "hi\n",
        "exit_code": 0,
        "signal": None,
        "timed_out": False,
    }
    assert (bench.root / "made").exists()
    *_, last = outputs(bench)
    assert last == ToolOutput(
        "call-1", last.delta, "hi\n", str(bench.root), exit_code=0, ended=True
    )


async def test_a_long_command_is_shown_whole(bench: Bench) -> None:
    command = "echo one\necho two"
    prepared = await bench.prepare("shell", command=command)
    assert prepared.title == "echo one …"
    assert prepared.content == (Text(f"```sh\n{command}\n```"),)


async def test_a_command_cannot_leave_the_block_that_shows_it(bench: Bench) -> None:
    command = "rm x\n```\nharmless"
    prepared = await bench.prepare("shell", command=command)
    assert prepared.content == (Text(f"````sh\n{command}\n````"),)


async def test_a_prefix_is_what_always_allow_covers(bench: Bench) -> None:
    prepared = await bench.prepare("shell", command="git status --short")
    assert prepared.permission == Permission("shell", "git status")


async def test_a_program_of_another_directory_is_another_program(bench: Bench) -> None:
    bench.put("sub/check", "")
    here = await bench.prepare("shell", command="./check --all")
    there = await bench.prepare("shell", command="./check --all", workdir="sub")
    assert here.permission == Permission("shell", "./check --all")
    assert there.permission == Permission("shell", f"./check --all (in {bench.root}/sub)")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("exit 3", "[no output, exit code 3]"),
        ("echo out; echo err >&2; exit 1", "out\nerr\n[exit code 1]"),
        ("kill -9 $$", "[no output, ended by SIGKILL]"),
        ("no-such-command-x 2>/dev/null", "[no output, exit code 127]"),
    ],
)
async def test_a_failure_is_told_and_marked(bench: Bench, command: str, text: str) -> None:
    result = await bench.call("shell", command=command)
    assert (result.text, result.failed) == (text, True)


async def test_nothing_can_be_read_and_nothing_pages(bench: Bench) -> None:
    command = "cat; echo $TERM $PAGER $GIT_PAGER; pwd"
    text = await bench.text("shell", command=command)
    assert text == f"dumb cat cat\n{bench.root}\n[exit code 0]"


async def test_our_key_stays_with_us(bench: Bench) -> None:
    environ = {**os.environ, "GPT_OSS_API_KEY": "secret", "MINE": "kept"}
    shell = Shell(bench.workspace, None, timeout=20, environ=environ)
    prepared = await shell.prepare("call-1", ShellArguments(command="echo $GPT_OSS_API_KEY,$MINE"))
    assert (await prepared.run(bench.emit)).text == ",kept\n[exit code 0]"


async def test_workdir_is_confined(bench: Bench) -> None:
    bench.put("sub/a", "")
    assert await bench.text("shell", command="ls", workdir="sub") == "a\n[exit code 0]"
    assert "outside" in await bench.refusal("shell", command="ls", workdir="..")
    assert "no directory" in await bench.refusal("shell", command="ls", workdir="sub/a")


async def test_binary_output_and_split_characters_are_tolerated(bench: Bench) -> None:
    command = r"printf '\xf0\x9f'; sleep 0.3; printf '\x98\x80 \xff\x00 end\xc3'"
    text = await bench.text("shell", command=command)
    assert text == "😀 \ufffd\x00 end\ufffd\n[exit code 0]"
    assert "".join(event.delta for event in outputs(bench)) == "😀 \ufffd\x00 end\ufffd"


async def test_output_comes_live_and_adds_up(bench: Bench) -> None:
    def go(event: Event) -> None:
        if isinstance(event, ToolOutput) and "first" in event.delta:
            (bench.root / "go").touch()

    bench.on_event = go
    result = await bench.call(
        "shell", command="echo first; until [ -e go ]; do sleep 0.01; done; echo second"
    )
    assert result.text == "first\nsecond\n[exit code 0]"
    assert "".join(event.delta for event in outputs(bench)) == "first\nsecond\n"
    assert [event.ended for event in outputs(bench)].count(True) == 1
    assert outputs(bench)[-1].snapshot == "first\nsecond\n"


async def test_events_come_at_most_ten_times_a_second(bench: Bench) -> None:
    start = anyio.current_time()
    await bench.call("shell", command="for i in $(seq 300); do echo $i; sleep 0.001; done")
    seconds = anyio.current_time() - start
    assert len(outputs(bench)) <= seconds * 10 + 2
    told = "".join(event.delta for event in outputs(bench))
    assert told == "".join(f"{n}\n" for n in range(1, 301))


async def test_long_output_loses_its_middle(bench: Bench) -> None:
    result = await bench.call("shell", command="seq 1 1000000")
    assert result.text.startswith("1\n2\n3\n")
    assert result.text.endswith("\n999999\n1000000\n[exit code 0]")
    assert "characters left out …]" in result.text
    assert len(result.text) < 11_000
    assert sum(len(event.delta) for event in outputs(bench)) < 1_001_000
    assert all(len(event.snapshot) < 11_000 for event in outputs(bench))


async def test_the_time_limit_ends_the_whole_group(bench: Bench) -> None:
    command = "trap '' TERM; (trap '' TERM; sleep 600 & echo $! > pid; wait) & echo start; wait"
    with anyio.fail_after(10):
        result = await bench.call("shell", command=command, timeout=0.5)
    assert result.failed
    assert result.text == (
        "start\n[stopped after 0.5 s; pass a larger timeout if it needs more time]"
    )
    assert outputs(bench)[-1].ended
    await gone(int((bench.root / "pid").read_text()))


async def test_the_default_time_limit_holds(make_bench: MakeBench) -> None:
    bench = make_bench(timeout=0.3)
    assert "stopped after 0.3 s" in await bench.text("shell", command="sleep 600")


async def test_what_stays_in_the_background_ends_with_the_command(bench: Bench) -> None:
    with anyio.fail_after(10):
        text = await bench.text("shell", command="sleep 600 & echo $! > pid; echo done")
    assert text == "done\n[exit code 0]"
    await gone(int((bench.root / "pid").read_text()))


async def test_cancelling_ends_the_whole_group(bench: Bench) -> None:
    started = anyio.Event()
    bench.on_event = lambda _: started.set()
    command = "trap '' TERM; sleep 600 & echo $! > pid; echo up; wait"
    with anyio.fail_after(10):
        await bench.call_until(started, "shell", command=command)
        await gone(int((bench.root / "pid").read_text()))


async def test_killing_the_agent_kills_its_command(tmp_path: Path) -> None:
    program = """
import anyio, sys
from acp_agent.sandbox.process import process_group
async def main():
    async with process_group(["sh", "-c", "echo $$; sleep 600"], cwd=sys.argv[1]) as process:
        print((await process.stdout.receive()).decode(), flush=True)
        await process.wait()
anyio.run(main)
"""
    with anyio.fail_after(10):
        async with await anyio.open_process(
            [sys.executable, "-c", program, str(tmp_path)]
        ) as agent:
            assert agent.stdout is not None
            pid = int(await agent.stdout.receive())
            agent.kill()
        await gone(pid)


async def test_a_directory_that_is_gone_is_told(bench: Bench) -> None:
    (bench.root / "sub").mkdir()
    prepared = await bench.prepare("shell", command="ls", workdir="sub")
    (bench.root / "sub").rmdir()
    with pytest.raises(ToolFailed, match="cannot run"):
        await prepared.run(bench.emit)


async def test_a_command_that_the_system_refuses_is_told(bench: Bench) -> None:
    assert "cannot run" in await bench.refusal("shell", command="echo " + "x" * 3_000_000)


async def test_colours_and_windows_line_ends_are_not_for_the_model(bench: Bench) -> None:
    result = await bench.call("shell", command=r"printf '\033[1;31mred\033[0m\r\nend\r\n'")
    assert result.text == "red\nend\n[exit code 0]"
    assert outputs(bench)[-1].snapshot == "\x1b[1;31mred\x1b[0m\r\nend\r\n"


async def test_an_empty_command_is_refused(bench: Bench) -> None:
    assert await bench.refusal("shell", command="  ") == "the command is empty"
    assert "NUL" in await bench.refusal("shell", command="a\0b")
    assert "'timeout' should be greater than 0" in await bench.refusal(
        "shell", command="ls", timeout=0
    )


async def test_the_editors_terminal_is_used_when_there_is_one(make_bench: MakeBench) -> None:
    terminal = ScriptedTerminal(output="hello\n", exit_code=2)
    editor = ScriptedEditor(terminal=terminal)
    bench = make_bench(editor)
    result = await bench.call("shell", command="make it")
    (opened,) = editor.opened
    assert opened[1:] == ("-c", "make it", str(bench.root))
    assert editor.environments == [{"PAGER": "cat", "GIT_PAGER": "cat", "NO_COLOR": "1"}]
    assert bench.events == [ToolCallUpdated("call-1", content=(Terminal("term-1"),))]
    assert (result.text, result.failed) == ("hello\n[exit code 2]", True)
    assert result.content == (Terminal("term-1"),)
    assert terminal.released and not terminal.killed


LONG = "echo one\necho two; exit 3"


async def test_a_long_command_stays_above_its_output(bench: Bench, make_bench: MakeBench) -> None:
    shown = Text(f"```sh\n{LONG}\n```")
    result = await bench.call("shell", command=LONG)
    assert result.content == (shown, Text("```\none\ntwo\n[exit code 3]\n```"))
    in_terminal = make_bench(ScriptedEditor(terminal=ScriptedTerminal(output="", exit_code=0)))
    result = await in_terminal.call("shell", command=LONG)
    assert in_terminal.events == [ToolCallUpdated("call-1", content=result.content)]
    assert result.content == (shown, Terminal("term-1"))


async def test_the_editors_terminal_has_a_time_limit(make_bench: MakeBench) -> None:
    terminal = ScriptedTerminal(output="so far", hangs=True, truncated=True)
    bench = make_bench(ScriptedEditor(terminal=terminal))
    text = await bench.text("shell", command="sleep 600", timeout=0.1)
    assert terminal.killed and terminal.released
    assert text.startswith("[… the beginning left out …]\nso far\n[stopped after 0.1 s")


async def test_cancelling_releases_the_editors_terminal(make_bench: MakeBench) -> None:
    terminal = ScriptedTerminal(hangs=True)
    bench = make_bench(ScriptedEditor(terminal=terminal))
    shown = anyio.Event()
    bench.on_event = lambda _: shown.set()
    await bench.call_until(shown, "shell", command="sleep 600")
    assert terminal.released


PATCH = "*** Begin Patch\n*** Update File: a.py\n-x\n+y\n*** End Patch"


@pytest.mark.parametrize(
    "command",
    [
        f"apply_patch <<'EOF'\n{PATCH}\nEOF",
        f'apply_patch << "PATCH"\n{PATCH}\nPATCH\n',
        f"cd sub/.. && apply_patch <<-EOF\n{PATCH}\nEOF",
        f"applypatch '{PATCH}'",
        ["apply_patch", PATCH],
        ["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}\nEOF"],
        ["/bin/sh", "-c", f"apply_patch <<'EOF'\n{PATCH}\nEOF"],
    ],
)
async def test_a_patch_in_the_shell_is_an_edit(bench: Bench, command: object) -> None:
    path = bench.put("a.py", "x\n")
    bench.put("sub/b.py", "")
    prepared = await bench.prepare("container.exec", cmd=command)
    assert (prepared.title, prepared.kind) == ("Edit a.py", "edit")
    assert prepared.content == (Diff(str(path), "x\n", "y\n"),)
    assert prepared.permission == Permission("edit", str(bench.root))
    assert (await prepared.run(bench.emit)).text == "Done!\nM a.py"
    assert path.read_text() == "y\n"


async def test_a_patch_in_the_shell_begins_where_the_shell_would(bench: Bench) -> None:
    bench.put("sub/a.py", "x\n")
    command = f"cd 'sub' && apply_patch <<'EOF'\n{PATCH}\nEOF"
    assert await bench.text("shell", command=command) == "Done!\nM sub/a.py"
    bench.put("sub/a.py", "x\n")
    command = f"apply_patch <<'EOF'\n{PATCH}\nEOF"
    assert await bench.text("shell", command=command, workdir="sub") == "Done!\nM sub/a.py"


async def test_a_patch_among_other_commands_is_refused(bench: Bench) -> None:
    command = f"apply_patch <<'EOF'\n{PATCH}\nEOF\nrm -rf x"
    assert "functions.apply_patch" in await bench.refusal("shell", command=command)
    outside = PATCH.replace("a.py", "../a.py")
    command = f"apply_patch <<'EOF'\n{outside}\nEOF"
    assert "outside the workspace" in await bench.refusal("shell", command=command)


async def test_a_command_that_only_mentions_a_patch_runs(bench: Bench) -> None:
    assert await bench.text("shell", command="echo apply_patch") == "apply_patch\n[exit code 0]"


async def test_arguments_of_another_agents_shell_are_understood(bench: Bench) -> None:
    body = json.dumps({"cmd": ["bash", "-lc", "echo hi"], "timeout": 10})
    prepared = await bench.tools.prepare("c", "container.exec<|channel|>commentary", body)
    assert prepared.title == "echo hi"
    body = json.dumps({"command": ["printf", "%s", "a b"]})
    prepared = await bench.tools.prepare("c", "functions.shell", body)
    assert (await prepared.run(bench.emit)).text == "a b\n[exit code 0]"
