"""Both engines, one answer."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import anyio
import pytest

from acp_agent.errors import ToolFailed
from acp_agent.tools.glob import compile_glob
from acp_agent.tools.search_files import SearchFiles, SearchFilesArguments

if TYPE_CHECKING:
    from tests.tools.conftest import Bench

pytestmark = pytest.mark.anyio
ENGINES = [
    None,
    pytest.param("rg", marks=pytest.mark.skipif(not shutil.which("rg"), reason="no ripgrep")),
]


async def search(bench: Bench, engine: str | None, pattern: str, **more: str) -> list[str]:
    tool = SearchFiles(bench.workspace, engine)
    prepared = await tool.prepare("call-1", SearchFilesArguments(pattern=pattern, **more))
    with anyio.fail_after(30):
        return (await prepared.run(bench.emit)).text.splitlines()


def fill(bench: Bench) -> None:
    bench.put(".gitignore", "build/\n*.log\n/only_top.py\n")
    bench.put("src/a.py", "import os\n\ndef alpha():\n    return 'Größe'\n")
    bench.put("src/b.ts", "export const alpha = 1\r\nalpha()\r\n")
    bench.put("src/sub/.gitignore", "*\n!kept.py\n")
    bench.put("src/sub/kept.py", "alpha\n")
    bench.put("src/sub/dropped.py", "alpha\n")
    bench.put("src/only_top.py", "alpha here\n")
    bench.put("only_top.py", "alpha\n")
    bench.put(".hidden/a.txt", "alpha hidden\n")
    bench.put("build/out.py", "alpha\n")
    bench.put("notes.log", "alpha\n")
    bench.put("image.bin", b"alpha\n\0\n")
    bench.put("late.bin", b"alpha\n" + b"x\n" * 200_000 + b"\0\n")
    bench.put("latin.txt", b"alpha caf\xe9\n")
    bench.put("bom.txt", b"\xef\xbb\xbfalpha\n")
    bench.put("wide.txt", "alpha\n".encode("utf-16"))
    bench.put("last.txt", "no newline, alpha")
    bench.put("src.py/x.txt", "alpha in src.py\n")
    (bench.root / "link.py").symlink_to("src/a.py")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("repository", [True, False])
async def test_ignored_binary_and_linked_files_are_left_out(
    bench: Bench, engine: str | None, repository: bool
) -> None:
    fill(bench)
    if repository:
        bench.put(".git/config", "alpha\n")
    assert await search(bench, engine, "^.*alpha") == [
        ".hidden/a.txt:1: alpha hidden",
        "bom.txt:1: alpha",
        "last.txt:1: no newline, alpha",
        "latin.txt:1: alpha caf\ufffd",
        "src/a.py:3: def alpha():",
        "src/b.ts:1: export const alpha = 1",
        "src/b.ts:2: alpha()",
        "src/only_top.py:1: alpha here",
        "src/sub/kept.py:1: alpha",
        "src.py/x.txt:1: alpha in src.py",
        "wide.txt:1: alpha",
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("repository", [True, False])
@pytest.mark.parametrize(
    ("more", "files"),
    [
        ({"path": "src"}, ["src/a.py", "src/b.ts", "src/only_top.py", "src/sub/kept.py"]),
        ({"path": "src/sub"}, ["src/sub/kept.py"]),
        ({"path": "build"}, ["build/out.py"]),
        ({"path": "notes.log"}, ["notes.log"]),
        ({"path": "src", "glob": "*.{py,md}"}, ["src/a.py", "src/only_top.py", "src/sub/kept.py"]),
        ({"glob": "src/*.py"}, ["src/a.py", "src/only_top.py"]),
        ({"glob": "src/"}, ["src/a.py", "src/b.ts", "src/only_top.py", "src/sub/kept.py"]),
        ({"path": "src", "glob": "!*.py"}, ["src/b.ts"]),
        ({"path": "src", "glob": "sub/**"}, ["src/sub/kept.py"]),
        ({"glob": "**/[ab].*s"}, ["src/b.ts"]),
        ({"glob": "*.log"}, ["[no match]"]),
    ],
)
async def test_path_and_glob_narrow_the_search(
    bench: Bench, engine: str | None, repository: bool, more: dict[str, str], files: list[str]
) -> None:
    fill(bench)
    if repository:
        (bench.root / ".git").mkdir()
    found = await search(bench, engine, r"\balpha\b", **more)
    assert list(dict.fromkeys(line.split(":")[0] for line in found)) == files


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"alpha\(\)$", ["a.txt:1: alpha()"]),
        (r"(?i)ALPHA", ["a.txt:1: alpha()"]),
        (r"(?<=x)y", ["a.txt:2: xyz"]),  # ripgrep's syntax has no look-behind
        (r"function {", ["a.txt:3: function {"]),  # nor takes it a lone brace
        ("--files", ["a.txt:4: --files"]),
        ("größe", ["a.txt:5: größe"]),
        ("nowhere", ["[no match]"]),
        (
            "alpha(",
            [
                "a.txt:1: alpha()",
                "['alpha(' is no regular expression (missing ), unterminated subpattern"
                " at position 5); searched as plain text]",
            ],
        ),
    ],
)
async def test_patterns_mean_the_same(
    bench: Bench, engine: str | None, pattern: str, found: list[str]
) -> None:
    bench.put("a.txt", "alpha()\nxyz\nfunction {\n--files\ngröße\n")
    assert await search(bench, engine, pattern) == found


@pytest.mark.parametrize("engine", ENGINES)
async def test_many_and_long_matches_are_cut(bench: Bench, engine: str | None) -> None:
    bench.put("a.txt", "x" * 1000 + "\n")
    bench.put("b.txt", "xxx\n" * 500)
    lines = await search(bench, engine, "x+")
    assert lines[0] == f"a.txt:1: {'x' * 240}…"
    assert lines[-2:] == ["b.txt:99: xxx", "[only the first 100 matches; narrow it down]"]
    assert len(lines) == 101


async def test_an_endless_pattern_is_stopped_and_leaves_no_process(bench: Bench) -> None:
    bench.put("a.txt", "a" * 64 + "b\n")
    tool = SearchFiles(bench.workspace, None, time_limit=0.5)
    prepared = await tool.prepare("call-1", SearchFilesArguments(pattern="(a+)+$"))
    with anyio.fail_after(5):
        result = await prepared.run(bench.emit)
    assert result.text == "[stopped after 0.5 s; search in a smaller directory]"


async def test_modules_of_the_workspace_are_not_run(bench: Bench) -> None:
    bench.put("pathspec.py", "raise SystemExit('stolen')\n")
    bench.put("json.py", "raise SystemExit('stolen')\n")
    assert await search(bench, None, "nowhere") == ["[no match]"]


async def test_a_missing_ripgrep_is_no_obstacle(bench: Bench) -> None:
    bench.put("a.txt", "alpha\n")
    assert await search(bench, "/no/such/rg", "alpha") == ["a.txt:1: alpha"]


async def test_a_broken_ripgrep_is_no_obstacle(bench: Bench) -> None:
    bench.put("a.txt", "alpha\n")
    broken = bench.put("rg", "#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert await search(bench, str(broken), "^alpha") == ["a.txt:1: alpha"]


async def test_what_cannot_be_searched_is_told(bench: Bench) -> None:
    assert "pattern is empty" in await bench.refusal("search_files", pattern="")
    assert "is longer than" in await bench.refusal("search_files", pattern="x" * 3000)
    assert "cannot run" in await bench.refusal("search_files", pattern="a\0b")
    assert "no file or directory" in await bench.refusal("search_files", pattern="x", path="no")
    assert "outside" in await bench.refusal("search_files", pattern="x", path="/etc")
    assert "is no glob" in await bench.refusal("search_files", pattern="x", glob="*.{a")
    assert "too complicated" in await bench.refusal("search_files", pattern="x", glob="*a" * 20)


async def test_the_title_says_what_is_searched_where(bench: Bench) -> None:
    bench.put("src/a.py", "")
    prepared = await bench.prepare("search_files", pattern="x+", path="src", glob="*.py")
    assert (prepared.title, prepared.kind) == ("Search 'x+' in src (*.py)", "search")
    assert prepared.permission is None


@pytest.mark.parametrize(
    "glob", ["[", "a[", "{", "}", "{a", "a}", "[!", "**", "", "[]", "[]a]", "[z-a]"]
)
def test_a_strange_glob_is_refused_or_taken_literally(glob: str) -> None:
    try:
        assert compile_glob(glob).fits("b") in (True, False)
    except ToolFailed as failure:
        assert "glob" in str(failure)
