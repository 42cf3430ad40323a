"""Which paths are inside the workspace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from acp_agent.errors import ToolFailed
from acp_agent.tools.text_file import TextFile

if TYPE_CHECKING:
    from tests.tools.conftest import Bench, MakeBench

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "path",
    ["../secret", "/etc/passwd", "a/../../secret", "~/secret", "link", "dir/secret", "~nobody-x"],
)
async def test_a_path_outside_is_refused(bench: Bench, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("s")
    (bench.root / "link").symlink_to(tmp_path / "secret")
    (bench.root / "dir").symlink_to(tmp_path)
    for tool, more in (("read_file", {}), ("write_file", {"content": "x"})):
        refusal = await bench.refusal(tool, path=path, **more)
        assert "outside the workspace" in refusal or "no usable path" in refusal
    assert (tmp_path / "secret").read_text() == "s"


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "\ud800"])
async def test_a_path_that_cannot_be_is_refused(bench: Bench, path: str) -> None:
    assert await bench.refusal("read_file", path=path)
    assert await bench.refusal("write_file", path=path, content="x")


async def test_odd_names_are_shown_and_not_opened(bench: Bench) -> None:
    odd = bench.root / os.fsdecode(b"caf\xe9.txt")
    try:
        odd.write_text("alpha\n")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (bench.root / "link").symlink_to(odd)
    assert await bench.text("list_files") == "caf?.txt\nlink"
    assert await bench.text("search_files", pattern="alpha") == "caf\ufffd.txt:1: alpha"
    assert "not named in UTF-8" in await bench.refusal("read_file", path="link")


async def test_a_directory_with_the_same_beginning_is_outside(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "work2").mkdir()
    (tmp_path / "work2/a").write_text("x")
    assert "outside" in await bench.refusal("read_file", path=str(tmp_path / "work2/a"))


async def test_a_path_inside_is_spelled_as_the_editor_spells_its_directory(
    tmp_path: Path, make_bench: MakeBench
) -> None:
    bench = make_bench()
    bench.put("src/a.py", "x")
    (bench.root / "to").symlink_to(bench.root / "src")
    (tmp_path / "alias").symlink_to(bench.root)
    aliased = type(bench.workspace)(tmp_path / "alias")
    for path in ("src/a.py", "to/a.py", "src/../src/a.py", str(bench.root / "src/a.py")):
        assert aliased.resolve(path) == tmp_path / "alias/src/a.py"


async def test_additional_directories_are_inside(tmp_path: Path, make_bench: MakeBench) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.txt").write_text("there")
    bench = make_bench(roots=[other])
    assert await bench.text("read_file", path="../other/b.txt") == "there"
    prepared = await bench.prepare("write_file", path=str(other / "b.txt"), content="new")
    assert prepared.title == f"Edit {other}/b.txt"
    assert prepared.permission and prepared.permission.scope == str(other)


async def test_always_allow_covers_only_the_directories_that_a_patch_touches(
    tmp_path: Path, make_bench: MakeBench
) -> None:
    (tmp_path / "other").mkdir()
    bench = make_bench(roots=[tmp_path / "other"])
    patch = "*** Begin Patch\n*** Add File: a\n+a\n*** Add File: ../other/b\n+b\n*** End Patch"
    permission = (await bench.prepare("apply_patch", patch=patch)).permission
    assert permission and permission.scope == f"{tmp_path}/other{os.pathsep}{tmp_path}/work"


async def test_a_link_that_comes_after_the_permission_is_not_followed(
    bench: Bench, tmp_path: Path
) -> None:
    prepared = await bench.prepare("write_file", path="sub/a.txt", content="x")
    (tmp_path / "outside").mkdir()
    (bench.root / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(ToolFailed, match="outside the workspace"):
        await prepared.run(bench.emit)
    assert list((tmp_path / "outside").iterdir()) == []


async def test_a_link_inside_that_comes_after_the_permission_is_not_followed(bench: Bench) -> None:
    target = bench.put("target.txt", "keep")
    address = bench.workspace.resolve("a.txt")
    address.symlink_to(target)
    with pytest.raises(ToolFailed, match="become a link"):
        await bench.workspace.write(address, TextFile("x"))
    assert target.read_text() == "keep"


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", "sub/.GIT/config"])
async def test_what_git_runs_unasked_is_not_written(bench: Bench, path: str) -> None:
    assert "belongs to git" in await bench.refusal("write_file", path=path, content="x")
    assert not (bench.root / path).exists()
