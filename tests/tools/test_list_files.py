from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tools.conftest import Bench

pytestmark = pytest.mark.anyio


async def test_a_name_is_one_line_whatever_is_in_it(bench: Bench) -> None:
    bench.put("a\nb\x1b[2J\u202e\u202f.py", "needle")
    assert await bench.text("list_files") == "a�b�[2J�\u202f.py"
    assert await bench.text("search_files", pattern="needle") == "a�b�[2J�\u202f.py:1: needle"


async def test_files_and_directories_come_sorted_without_the_ignored(bench: Bench) -> None:
    for path in ("src/b.py", "src/a.py", "README.md", ".env", ".git/HEAD", "build/x.o", "a.log"):
        bench.put(path, "x")
    bench.put("src/gen/keep.log", "x")
    bench.put("src/gen/drop.py", "x")
    bench.put(".gitignore", "build/\n*.log\n")
    bench.put("src/.gitignore", "gen/*.py\n!keep.log\n")
    (bench.root / "empty").mkdir()
    (bench.root / "link").symlink_to("src")
    prepared = await bench.prepare("list_files")
    assert (prepared.title, prepared.kind, prepared.permission) == ("List .", "read", None)
    result = await prepared.run(bench.emit)
    assert result.text.splitlines() == [
        ".env",
        ".gitignore",
        "README.md",
        "empty/",
        "link",
        "src/",
        "src/.gitignore",
        "src/a.py",
        "src/b.py",
        "src/gen/",
        "src/gen/keep.log",
    ]
    assert await bench.text("list_files", path="src/gen") == "src/gen/keep.log"


async def test_an_ignored_directory_is_listed_when_it_is_named(bench: Bench) -> None:
    bench.put(".gitignore", "build/\n")
    bench.put("build/out/x.o", "x")
    assert await bench.text("list_files", path="build") == "build/out/\nbuild/out/x.o"
    assert await bench.text("list_files", path="build/out") == "build/out/x.o"


async def test_rules_of_an_outer_repository_count(bench: Bench) -> None:
    (bench.root.parent / ".git").mkdir()
    (bench.root.parent / ".gitignore").write_text("work/*.tmp\n")
    bench.put("a.tmp", "x")
    bench.put("b.txt", "x")
    bench.put("sub/c.tmp", "x")
    assert await bench.text("list_files") == "b.txt\nsub/\nsub/c.tmp"


async def test_a_repository_inside_another_has_its_own_rules(bench: Bench) -> None:
    bench.put(".git/HEAD", "x")
    bench.put(".gitignore", "*.tmp\n")
    bench.put("inner/.git/HEAD", "x")
    bench.put("inner/a.tmp", "x")
    bench.put("b.tmp", "x")
    assert await bench.text("list_files") == ".gitignore\ninner/\ninner/a.tmp"


async def test_a_large_tree_shows_what_is_near_and_names_the_rest(bench: Bench) -> None:
    for name in range(250):
        bench.put(f"big/{name:03}.txt", "x")
        bench.put(f"deep/deeper/{name:03}.txt", "x")
    bench.put("small/a.txt", "x")
    lines = (await bench.text("list_files")).splitlines()
    assert "small/a.txt" in lines and "big/249.txt" in lines
    assert "deep/deeper/ (250 entries)" in lines
    assert lines[-1] == "[1 directories are not opened here; list them by their path]"


async def test_a_large_directory_is_cut(bench: Bench) -> None:
    for name in range(310):
        bench.put(f"{name:03}.txt", "x")
    lines = (await bench.text("list_files")).splitlines()
    assert lines[-2:] == ["299.txt", "[10 more entries; use the shell]"]


async def test_an_empty_directory_says_so(bench: Bench) -> None:
    assert await bench.text("list_files") == "[the directory is empty]"


async def test_what_is_no_directory_is_told(bench: Bench) -> None:
    bench.put("a.txt", "x")
    assert await bench.refusal("list_files", path="a.txt") == "'a.txt' is a file; use read_file"
    assert await bench.refusal("list_files", path="no") == "there is no directory 'no'"
    assert "outside" in await bench.refusal("list_files", path="..")
