from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acp_agent.errors import ToolFailed
from acp_agent.events import Diff, Location, Text
from acp_agent.tools.base import Permission
from tests.tools.conftest import ScriptedEditor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.conftest import Bench, MakeBench

pytestmark = pytest.mark.anyio


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


async def test_several_files_change_at_once_and_are_shown_before(bench: Bench) -> None:
    changed = bench.put("a.py", "one\ntwo\nthree\n")
    dropped = bench.put("b.py", "gone\n")
    text = patch(
        "*** Update File: a.py", " two", "-three", "+3",
        "*** Delete File: b.py",
        "*** Add File: new/c.py", "+hello",
    )  # fmt: skip
    prepared = await bench.prepare("apply_patch", patch=text)
    assert (prepared.title, prepared.kind) == ("Edit a.py, new/c.py", "edit")
    assert prepared.permission == Permission("edit", str(bench.root))
    assert prepared.content == (
        Diff(str(changed), "one\ntwo\nthree\n", "one\ntwo\n3\n"),
        Diff(str(bench.root / "new/c.py"), None, "hello\n"),
        Diff(str(dropped), "gone\n", ""),
    )
    assert prepared.locations == (
        Location(str(changed), 3),
        Location(str(bench.root / "new/c.py"), 1),
    )
    assert files(bench.root) == {"a.py": b"one\ntwo\nthree\n", "b.py": b"gone\n"}
    result = await prepared.run(bench.emit)
    assert result.text == "Done!\nM a.py\nA new/c.py\nD b.py"
    assert files(bench.root) == {"a.py": b"one\ntwo\n3\n", "new/c.py": b"hello\n"}


async def test_a_file_moves_and_changes(bench: Bench) -> None:
    bench.put("a.py", "x\n")
    text = patch("*** Update File: a.py", "*** Move to: lib/b.py", "-x", "+y")
    prepared = await bench.prepare("apply_patch", patch=text)
    assert (prepared.title, prepared.kind) == ("Edit lib/b.py", "edit")
    assert prepared.content == (Diff(str(bench.root / "lib/b.py"), "x\n", "y\n"),)
    assert (await prepared.run(bench.emit)).text == "Done!\nR a.py -> lib/b.py"
    assert files(bench.root) == {"lib/b.py": b"y\n"}


async def test_a_pure_move_and_a_pure_delete_are_called_that(bench: Bench) -> None:
    bench.put("a.py", "x\n")
    move = patch("*** Update File: a.py", "*** Move to: b.py")
    prepared = await bench.prepare("apply_patch", patch=move)
    assert (prepared.title, prepared.kind) == ("Move a.py to b.py", "move")
    assert (await prepared.run(bench.emit)).text == "Done!\nR a.py -> b.py"
    delete = patch("*** Delete File: b.py")
    prepared = await bench.prepare("apply_patch", patch=delete)
    assert (prepared.title, prepared.kind) == ("Delete b.py", "delete")
    assert (await prepared.run(bench.emit)).text == "Done!\nD b.py"
    assert files(bench.root) == {}


async def test_operations_on_one_file_build_on_each_other(bench: Bench) -> None:
    bench.put("a.py", "x\n")
    text = patch(
        "*** Update File: a.py", "-x", "+y",
        "*** Update File: a.py", "*** Move to: b.py", "-y", "+z",
        "*** Update File: b.py", "*** Move to: c.py", "+end",
        "*** Add File: a.py", "+again",
    )  # fmt: skip
    assert await bench.text("apply_patch", patch=text) == "Done!\nM a.py\nR a.py -> c.py"
    assert files(bench.root) == {"a.py": b"again\n", "c.py": b"z\nend\n"}


async def test_a_file_may_be_deleted_and_added_anew(bench: Bench) -> None:
    bench.put("a.py", "x\n")
    text = patch("*** Delete File: a.py", "*** Add File: a.py", "+y")
    assert await bench.text("apply_patch", patch=text) == "Done!\nM a.py"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["*** Update File: no", "-x"], "Update File error - missing file: no"),
        (["*** Delete File: no"], "Delete File error - missing file: no"),
        (["*** Add File: a.py", "+x"], "Add File error - file already exists: a.py"),
        (["*** Update File: a.py", "*** Move to: b.py"], "Move error - file already exists: b.py"),
        (["*** Update File: ../x", "-x"], "outside the workspace"),
        (["*** Update File: a.py", "*** Move to: ../x"], "outside the workspace"),
        (["*** Delete File: d"], "is a directory"),
        (["*** Delete File: link"], "is a symbolic link"),
        (["*** Update File: link", "*** Move to: e"], "is a symbolic link"),
        (["*** Update File: image", "-x"], "is a binary file"),
    ],
)
async def test_one_wrong_file_and_nothing_is_written(
    bench: Bench, lines: list[str], words: str
) -> None:
    for path in ("a.py", "b.py", "d/c.py"):
        bench.put(path, "x\n")
    bench.put("image", b"\0")
    (bench.root / "link").symlink_to("a.py")
    before = files(bench.root)
    text = patch("*** Add File: first.py", "+x", *lines)
    assert words in await bench.refusal("apply_patch", patch=text)
    assert files(bench.root) == before


async def test_a_failure_half_way_takes_everything_back(make_bench: MakeBench) -> None:
    editor = ScriptedEditor(can_write_files=True)
    bench = make_bench(editor)
    bench.put("a.py", "x\n")
    bench.put("b.py", "x\n")
    before = files(bench.root)
    editor.refuses[str(bench.root / "b.py")] = "read only"
    text = patch(
        "*** Add File: 0.py", "+x", "*** Update File: a.py", "-x", "+y",
        "*** Update File: b.py", "-x", "+y",
    )  # fmt: skip
    assert await bench.refusal("apply_patch", patch=text) == "read only"
    assert files(bench.root) == before


async def test_what_could_not_be_taken_back_is_named(make_bench: MakeBench) -> None:
    class Closing(ScriptedEditor):
        async def write_text_file(self, path: str, content: str) -> None:
            await super().write_text_file(path, content)
            self.refuses = {str(bench.root / name): "closed" for name in ("a.py", "b.py")}

    bench = make_bench(Closing(can_write_files=True))
    bench.put("a.py", "x\n")
    bench.put("b.py", "x\n")
    text = patch("*** Update File: a.py", "-x", "+y", "*** Update File: b.py", "-x", "+y")
    refusal = await bench.refusal("apply_patch", patch=text)
    assert refusal == "closed; half written and not restored: a.py"


async def test_cancelling_half_way_takes_everything_back(make_bench: MakeBench) -> None:
    stuck = anyio.Event()

    class Slow(ScriptedEditor):
        async def write_text_file(self, path: str, content: str) -> None:
            if path.endswith("b.py") and not stuck.is_set():
                stuck.set()
                await anyio.sleep_forever()
            await super().write_text_file(path, content)

    bench = make_bench(Slow(can_write_files=True))
    bench.put("a.py", "x\n")
    bench.put("b.py", "x\n")
    before = files(bench.root)
    text = patch("*** Update File: a.py", "-x", "+y", "*** Update File: b.py", "-x", "+y")
    with anyio.fail_after(10):
        await bench.call_until(stuck, "apply_patch", patch=text)
    assert files(bench.root) == before


async def test_changes_too_long_to_show_are_named(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.put(name, "x\n" * 900_000)
    text = patch("*** Update File: a", " x", "+y", "*** Update File: b", " x", "+y")
    first, second = (await bench.prepare("apply_patch", patch=text)).content
    assert isinstance(first, Diff)
    assert second == Text(f"The change of {bench.root}/b is too long to be shown.")


async def test_unsaved_changes_are_what_is_patched(make_bench: MakeBench) -> None:
    editor = ScriptedEditor(can_read_files=True, can_write_files=True)
    bench = make_bench(editor)
    path = str(bench.put("a.py", "saved\n"))
    editor.buffers[path] = "unsaved\n"
    text = patch("*** Update File: a.py", "-unsaved", "+patched")
    assert await bench.text("apply_patch", patch=text) == "Done!\nM a.py"
    assert editor.buffers[path] == "patched\n"


names = st.sampled_from(["a.txt", "b.txt", "sub/c.txt", "../out.txt", "a.txt/x", ""])
heads = st.sampled_from(
    ["*** Update File: ", "*** Add File: ", "*** Delete File: ", "*** Move to: "]
)
part = st.builds(str.__add__, heads, names) | st.sampled_from(
    ["@@", "@@ one", " one", "-one", "+new", "-two", " ", "", "*** End of File", "junk"]
)


@given(st.lists(part, max_size=10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_any_patch_is_prepared_without_a_trace_and_run_whole(
    make_bench: MakeBench, parts: list[str]
) -> None:
    bench = make_bench()
    outside = bench.root.parent / "out.txt"
    outside.write_text("one\n")
    for name in files(bench.root):
        (bench.root / name).unlink()
    bench.put("a.txt", "one\ntwo\n")
    bench.put("b.txt", "two\none\n")
    before = files(bench.root)

    async def attempt() -> None:
        try:
            prepared = await bench.prepare("apply_patch", patch=patch(*parts))
        finally:
            assert files(bench.root) == before
        shown = {d.path: d.new_text for d in prepared.content if isinstance(d, Diff)}
        try:
            await prepared.run(bench.emit)
        except ToolFailed:
            assert files(bench.root) == before
            raise
        after = files(bench.root)
        for path, text in shown.items():
            name = path.removeprefix(f"{bench.root}/")
            assert after.get(name, b"").decode() == text

    with contextlib.suppress(ToolFailed):
        anyio.run(attempt)
    assert outside.read_text() == "one\n"


async def test_an_empty_buffer_for_a_missing_file_is_a_missing_file(make_bench: MakeBench) -> None:
    editor = ScriptedEditor(can_read_files=True, can_write_files=True)
    bench = make_bench(editor)
    editor.buffers[str(bench.root / "new.py")] = ""
    prepared = await bench.prepare("apply_patch", patch=patch("*** Add File: new.py", "+hello"))
    assert prepared.content == (Diff(str(bench.root / "new.py"), None, "hello\n"),)
