from __future__ import annotations

import contextlib
import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.errors import ToolFailed
from acp_agent.tools.patch_apply import apply_hunks
from acp_agent.tools.patch_grammar import AddFile, DeleteFile, Hunk, HunkLine, UpdateFile, parse
from acp_agent.tools.text_file import TextFile


def test_the_whole_grammar_is_understood() -> None:
    patch = """*** Begin Patch
*** Add File: a.py
+one
+
+*** End Patch
*** Delete File: b.py
*** Update File: c.py
*** Move to: d.py
@@ class C:
@@     def f(self):
 kept

-old
+new
@@
-last
*** End of File
*** End Patch"""
    assert parse(patch) == (
        AddFile("a.py", "one\n\n*** End Patch\n"),
        DeleteFile("b.py"),
        UpdateFile(
            "c.py",
            (
                Hunk(
                    ("class C:", "    def f(self):"),
                    (
                        HunkLine(" ", "kept"),
                        HunkLine(" ", ""),
                        HunkLine("-", "old"),
                        HunkLine("+", "new"),
                    ),
                ),
                Hunk((), (HunkLine("-", "last"),), at_end=True),
            ),
            "d.py",
        ),
    )


@pytest.mark.parametrize(
    "patch",
    [
        "```\n*** Begin Patch\n*** Delete File: a\n*** End Patch\n```",
        "Here it is:\n\n*** Begin Patch\n*** Delete File: a\n\n*** End Patch\nDone.",
        "*** Begin Patch\r\n*** Delete File: a\r\n*** End Patch\r\n",
        "  *** Begin Patch\n*** Delete File: a\n*** End Patch  ",
    ],
)
def test_what_stands_around_a_patch_does_no_harm(patch: str) -> None:
    assert parse(patch) == (DeleteFile("a"),)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("", "patch text must start with '*** Begin Patch'"),
        ("*** Update File: a", "patch text must start with '*** Begin Patch'"),
        ("*** Begin Patch\n*** Delete File: a", "missing '*** End Patch' sentinel"),
        ("*** Begin Patch\n*** End Patch", "the patch is empty"),
        ("*** Begin Patch\nhello\n*** End Patch", "invalid line: 'hello'"),
        ("*** Begin Patch\n*** Add File:\n+a\n*** End Patch", "'*** Add File:' needs a path"),
        ("*** Begin Patch\n*** Add File: a\nb\n*** End Patch", "invalid Add File line"),
        ("*** Begin Patch\n*** Update File: a\n*** End Patch", "nothing in the section of 'a'"),
        (
            "*** Begin Patch\n*** Update File: a\n@@ f\n*** End Patch",
            "nothing in the section below",
        ),
        ("*** Begin Patch\n*** Update File: a\nb\n*** End Patch", "invalid line: 'b'"),
        ("*** Begin Patch\n*** Rename File: a\n*** End Patch", "invalid line: '*** Rename"),
        ("*** Begin Patch\n*** Delete File: a\n-b\n*** End Patch", "invalid line below Delete"),
    ],
)
def test_what_is_wrong_with_a_patch_is_told(patch: str, words: str) -> None:
    with pytest.raises(ToolFailed) as failure:
        parse(patch)
    assert words in str(failure.value)


def applied(text: str, body: str) -> str:
    (operation,) = parse(f"*** Begin Patch\n*** Update File: f\n{body}\n*** End Patch")
    assert isinstance(operation, UpdateFile)
    return apply_hunks(TextFile(text), operation.hunks, "f").text


@pytest.mark.parametrize(
    ("text", "body", "result"),
    [
        pytest.param("a\nb\nc\n", " a\n-b\n+B\n c", "a\nB\nc\n", id="exact"),
        pytest.param("a  \nb\t\n", " a\n-b\n+B", "a  \nB\n", id="spaces at the end"),
        pytest.param("  a\n    b\n", " a\n-b\n+    B", "  a\n    B\n", id="spaces before"),
        pytest.param("say “hi” – ok\n", '-say "hi" - ok\n+bye', "bye\n", id="typography"),
        pytest.param(" x\nx\n", "-x\n+y", " x\ny\n", id="exact wins over loose"),
        pytest.param("  x\nx \n", "-x\n+y", "  x\ny\n", id="spaces before matter more"),
        pytest.param("a\nb\n", "@@\n+c", "a\nb\nc\n", id="only added lines go to the end"),
        pytest.param("", "@@\n+c", "c\n", id="added to an empty file"),
        pytest.param("def f():\n  x\n", "@@ def f():\n+  y", "def f():\n  y\n  x\n", id="below"),
        pytest.param("a\nx\nb\nx\n", "@@ b\n-x\n+y", "a\nx\nb\ny\n", id="header"),
        pytest.param(
            "class A:\n def f():\n  x\nclass B:\n def f():\n  x\n",
            "@@ class B:\n@@  def f():\n-  x\n+  y",
            "class A:\n def f():\n  x\nclass B:\n def f():\n  y\n",
            id="header in header",
        ),
        pytest.param("class A(B):\n x\n", "@@ class A\n- x\n+ y", "class A(B):\n y\n", id="short"),
        pytest.param(
            "def f():\n x\n", "@@ def f():\n def f():\n- x\n+ y", "def f():\n y\n", id="2x"
        ),
        pytest.param("a\nb\n", "@@ -1,2 +1,2 @@ here\n-b\n+c", "a\nc\n", id="unified positions"),
        pytest.param("x\nx\n", "-x\n+y\n*** End of File", "x\ny\n", id="end of file"),
        pytest.param("x\na\n", "-x\n+y\n*** End of File", "y\na\n", id="not at the end after all"),
        pytest.param("a\nb\n", "-b\n+c\n ", "a\nc\n", id="the nothing after the last line end"),
        pytest.param("x\nx\nx\n", "-x\n+1\n@@\n-x\n+2", "1\n2\nx\n", id="hunks go forward"),
        pytest.param("a\n", "-a", "", id="all lines removed"),
        pytest.param("a", "-a\n+b", "b", id="no line end at the end"),
        pytest.param("a", " a\n+b", "a\nb", id="added after a last line without end"),
        pytest.param("a\r\nb\r\n", " a\n-b\n+c", "a\r\nc\r\n", id="windows"),
        pytest.param("a\r\nb", " a\n-b\n+c\n+d", "a\r\nc\r\nd", id="windows without last end"),
        pytest.param("a\r\nb\nc\r\n", " b\n-c\n+d", "a\r\nb\nd\r\n", id="mixed line ends stay"),
        pytest.param("a\x0cb\u2028c\n", "-a\x0cb\u2028c\n+d", "d\n", id="odd separators"),
    ],
)
def test_a_hunk_finds_its_place(text: str, body: str, result: str) -> None:
    assert applied(text, body) == result


@pytest.mark.parametrize(
    ("text", "body", "words"),
    [
        ("a\n", "-b\n+c", "invalid context in 'f', it has no such lines after line 0:\nb\n"),
        ("x\na\n", "-a\n+b\n@@\n-x\n+y", "no such lines after line 2"),
        ("a\nx\nb\nx\n", "@@ missing\n-x\n+y", "no line '@@ missing' in 'f'"),
        ("a\n", "@@ missing\n+y", "no line '@@ missing' in 'f'"),
    ],
)
def test_a_place_that_is_not_there_is_told(text: str, body: str, words: str) -> None:
    with pytest.raises(ToolFailed) as failure:
        applied(text, body)
    assert words in str(failure.value)


def test_a_header_that_is_not_there_does_no_harm_where_the_place_is_certain() -> None:
    assert applied("a\nx\nb\n", "@@ missing\n-x\n+y") == "a\ny\nb\n"


lines = st.lists(st.sampled_from(["", "a", "  a", "b", "}", "x = 1", "-", "+", "@@", "*** x"]))


@given(old=lines, new=lines, newline=st.sampled_from(["\n", "\r\n"]), closed=st.booleans())
def test_a_patch_made_from_a_difference_gives_the_target(
    old: list[str], new: list[str], newline: str, closed: bool
) -> None:
    def joined(lines: list[str]) -> str:
        text = newline.join(lines)
        return f"{text}{newline}" if lines and (closed or not lines[-1]) else text

    body = [line[0] + line[2:] for line in difflib.ndiff(old, new) if line[0] != "?"]
    if old == new or not old:
        return
    expected = "".join(f"{line}{newline}" for line in new)
    if not (closed or not old[-1]):
        expected = expected.removesuffix(newline)
    result = applied(joined(old), "\n".join(body))
    plain = newline if newline in joined(old) else "\n"
    assert result == expected.replace(newline, plain)


fragments = st.sampled_from(
    ["*** Begin Patch", "*** End Patch", "*** Update File: f", "*** Add File: g", "*** Move to: h",
     "*** Delete File: f", "*** End of File", "@@", "@@ a", " a", "-a", "+b", "", " ", "a", "***"]
)  # fmt: skip


@given(st.lists(fragments | st.text(), max_size=12), st.text())
def test_garbage_raises_nothing_but_tool_failed(parts: list[str], text: str) -> None:
    with contextlib.suppress(ToolFailed):
        for operation in parse("\n".join(["*** Begin Patch", *parts, "*** End Patch"])):
            if isinstance(operation, UpdateFile):
                apply_hunks(TextFile(text), operation.hunks, "f")
