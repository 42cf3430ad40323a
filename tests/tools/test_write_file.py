from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from acp_agent.errors import ToolFailed
from acp_agent.events import Diff, Location
from acp_agent.tools.base import Permission
from acp_agent.tools.text_file import TextFile
from tests.tools.conftest import ScriptedEditor

if TYPE_CHECKING:
    from tests.tools.conftest import Bench, MakeBench

pytestmark = pytest.mark.anyio


async def test_a_new_file_is_shown_and_asked_for_before_it_is_written(bench: Bench) -> None:
    path = bench.root / "a/b/new.txt"
    prepared = await bench.prepare("write_file", path="a/b/new.txt", content="hi\n")
    assert (prepared.title, prepared.kind) == ("Create a/b/new.txt", "edit")
    assert prepared.content == (Diff(str(path), None, "hi\n"),)
    assert prepared.locations == (Location(str(path), 1),)
    assert prepared.permission == Permission("edit", str(bench.root))
    assert prepared.raw_input == {"path": "a/b/new.txt", "content": "hi\n"}
    assert list(bench.root.iterdir()) == []
    result = await prepared.run(bench.emit)
    assert path.read_text() == "hi\n"
    assert result.text == "Done!\nA a/b/new.txt"
    assert result.raw_output == {"changed": ["A a/b/new.txt"]}
    assert result.content is None  # the diff that was shown stays
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


async def test_a_replaced_file_keeps_mode_and_line_ends_and_mark(bench: Bench) -> None:
    path = bench.put("run.sh", b"\xef\xbb\xbfone\r\ntwo\r\n")
    path.chmod(0o750)
    prepared = await bench.prepare("write_file", path="run.sh", content="one\n2\n")
    assert prepared.content == (Diff(str(path), "one\r\ntwo\r\n", "one\r\n2\r\n"),)
    assert prepared.locations == (Location(str(path), 2),)
    assert (await prepared.run(bench.emit)).text == "Done!\nM run.sh"
    assert path.read_bytes() == b"\xef\xbb\xbfone\r\n2\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert [entry.name for entry in bench.root.iterdir()] == ["run.sh"]


async def test_the_target_of_a_link_is_written_and_the_link_stays(bench: Bench) -> None:
    target = bench.put("real.txt", "old")
    (bench.root / "link.txt").symlink_to("real.txt")
    assert await bench.text("write_file", path="link.txt", content="new") == "Done!\nM real.txt"
    assert (bench.root / "link.txt").is_symlink()
    assert target.read_text() == "new"


async def test_the_same_text_again_changes_nothing_and_asks_nothing(bench: Bench) -> None:
    bench.put("a.txt", "same\n")
    prepared = await bench.prepare("write_file", path="a.txt", content="same\n")
    assert (prepared.permission, prepared.content) == (None, ())
    assert (await prepared.run(bench.emit)).text == "Done! Nothing had to be changed."


async def test_a_change_by_someone_else_is_not_overwritten(bench: Bench) -> None:
    path = bench.put("a.txt", "old\n")
    prepared = await bench.prepare("write_file", path="a.txt", content="new\n")
    path.write_text("theirs\n")
    with pytest.raises(ToolFailed, match="changed by someone else meanwhile"):
        await prepared.run(bench.emit)
    assert path.read_text() == "theirs\n"


async def test_what_cannot_be_written_is_told(bench: Bench) -> None:
    bench.put("d/a.txt", "x")
    bench.put("image", b"\0\1")
    assert "is a directory" in await bench.refusal("write_file", path="d", content="x")
    assert "cannot" in await bench.refusal("write_file", path="d/a.txt/b", content="x")
    assert "binary file" in await bench.refusal("write_file", path="image", content="x")
    assert "is no character" in await bench.refusal("write_file", path="new", content="\udcff")
    with pytest.raises(ToolFailed, match="is no character"):
        await bench.workspace.write(bench.root / "new", TextFile("\ud800"))
    assert sorted(p.name for p in bench.root.iterdir()) == ["d", "image"]


async def test_writing_goes_through_the_editor(make_bench: MakeBench) -> None:
    editor = ScriptedEditor(can_read_files=True, can_write_files=True)
    bench = make_bench(editor)
    path = str(bench.put("a.txt", "saved\n"))
    editor.buffers[path] = "unsaved\n"
    prepared = await bench.prepare("write_file", path="a.txt", content="new\n")
    assert prepared.content == (Diff(path, "unsaved\n", "new\n"),)
    await prepared.run(bench.emit)
    assert editor.buffers[path] == "new\n"


async def test_the_editors_refusal_is_told(make_bench: MakeBench) -> None:
    editor = ScriptedEditor(can_write_files=True)
    bench = make_bench(editor)
    editor.refuses[str(bench.root / "a.txt")] = "the user closed the project"
    refusal = await bench.refusal("write_file", path="a.txt", content="x")
    assert refusal == "the user closed the project"
