from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

from acp_agent.events import Location
from tests.tools.conftest import ScriptedEditor

if TYPE_CHECKING:
    from tests.tools.conftest import Bench, MakeBench

pytestmark = pytest.mark.anyio


async def test_a_file_comes_as_it_is_and_needs_no_permission(bench: Bench) -> None:
    file = bench.put("a.txt", "one\n  two\n")
    prepared = await bench.prepare("read_file", path="a.txt")
    assert (prepared.title, prepared.kind, prepared.permission) == ("Read a.txt", "read", None)
    assert prepared.locations == (Location(str(file), None),)
    assert prepared.raw_input == {"path": "a.txt"}
    result = await prepared.run(bench.emit)
    assert (result.text, result.raw_output, result.content) == ("one\n  two", "one\n  two", None)


async def test_lines_come_with_a_note_of_what_is_left(bench: Bench) -> None:
    bench.put("a.txt", "".join(f"line {n}\n" for n in range(1, 11)))
    asked = {"path": "a.txt", "start_line": 3, "end_line": 4}
    assert await bench.text("read_file", **asked) == "line 3\nline 4\n[lines 3-4 of 10]"
    prepared = await bench.prepare("read_file", **asked)
    assert prepared.title == "Read a.txt (3-4)"
    assert prepared.locations[0].line == 3
    assert await bench.text("read_file", path="a.txt", start_line=10, end_line=99) == (
        "line 10\n[lines 10-10 of 10]"
    )


async def test_a_long_file_is_cut_and_says_how_to_read_on(bench: Bench) -> None:
    bench.put("a.txt", "x\n" * 1000)
    text = await bench.text("read_file", path="a.txt")
    assert text.endswith("x\n[lines 1-600 of 1000; read on with start_line 601]")
    bench.put("b.txt", ("y" * 999 + "\n") * 100)
    text = await bench.text("read_file", path="b.txt")
    assert text.endswith("y\n[lines 1-24 of 100; read on with start_line 25]")


async def test_a_long_line_is_cut(bench: Bench) -> None:
    bench.put("a.txt", "x" * 5000 + "\nend\n")
    assert await bench.text("read_file", path="a.txt") == (
        "x" * 2000 + "[… 3000 more characters in this line]\nend"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\0\0", "'f' is a binary file of 6 bytes, not text"),
        (b"caf\xe9", "'f' is not UTF-8 text (byte 3); use the shell to convert it first"),
    ],
)
async def test_what_is_no_text_is_named(bench: Bench, content: bytes, words: str) -> None:
    bench.put("f", content)
    assert await bench.refusal("read_file", path="f") == words


async def test_byte_order_mark_and_windows_line_ends_are_not_shown(bench: Bench) -> None:
    bench.put("a.txt", b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert await bench.text("read_file", path="a.txt") == "one\ntwo"


async def test_an_empty_file_says_so(bench: Bench) -> None:
    bench.put("a.txt", "")
    assert await bench.text("read_file", path="a.txt") == "[the file is empty]"


async def test_what_cannot_be_read_is_told(bench: Bench) -> None:
    bench.put("d/a.txt", "one\n")
    os.mkfifo(bench.root / "pipe")
    (bench.root / "loop").symlink_to("loop")
    with anyio.fail_after(5):
        assert "no regular file" in await bench.refusal("read_file", path="pipe")
        assert "is a directory" in await bench.refusal("read_file", path="d")
        assert "cannot read" in await bench.refusal("read_file", path="d/a.txt/b")
        assert "loop" in await bench.refusal("read_file", path="loop")
        assert await bench.refusal("read_file", path="none") == (
            "there is no file 'none'; use list_files"
        )
        assert "behind its end" in await bench.refusal("read_file", path="d/a.txt", start_line=9)
        assert "lies before" in await bench.refusal(
            "read_file", path="d/a.txt", start_line=9, end_line=2
        )


async def test_a_huge_file_is_refused_before_it_is_read(bench: Bench) -> None:
    with (bench.root / "huge").open("wb") as file:
        file.truncate(50_000_000)
    assert "50000000 bytes" in await bench.refusal("read_file", path="huge")


async def test_unsaved_changes_are_seen(make_bench: MakeBench) -> None:
    editor = ScriptedEditor(can_read_files=True)
    bench = make_bench(editor)
    editor.buffers[str(bench.put("a.txt", "saved\n"))] = "unsaved\n"
    editor.buffers[str(bench.root / "new.txt")] = "only in the editor\n"
    assert await bench.text("read_file", path="a.txt") == "unsaved"
    assert await bench.text("read_file", path="new.txt") == "only in the editor"


async def test_the_disk_answers_where_the_editor_does_not(make_bench: MakeBench) -> None:
    editor = ScriptedEditor(can_read_files=True)
    bench = make_bench(editor)
    editor.refuses[str(bench.put("private.txt", "on disk\n"))] = "not in the project"
    editor.refuses[str(bench.root / "nowhere.txt")] = "not in the project"
    bench.put("unknown.txt", "on disk too\n")
    assert await bench.text("read_file", path="private.txt") == "on disk"
    assert await bench.text("read_file", path="unknown.txt") == "on disk too"
    assert "there is no file" in await bench.refusal("read_file", path="nowhere.txt")
    assert "there is no file" in await bench.refusal("read_file", path="none.txt")
