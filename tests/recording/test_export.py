"""A session as a document: readable, harmless, and without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from inline_snapshot import snapshot

from acp_agent import cli
from acp_agent.conversation import Attachment, UserMessage
from acp_agent.events import (
    Diff,
    Image,
    Noticed,
    PlanEntry,
    PlanUpdated,
    TextDelta,
    ThoughtDelta,
    ToolCallStarted,
    ToolCallUpdated,
    ToolOutput,
)
from acp_agent.events import Text as Shown
from acp_agent.recording.document import Exporter
from acp_agent.recording.export_html import html
from acp_agent.recording.export_markdown import fenced, markdown
from acp_agent.recording.transcript import transcript
from tests.recording.sessions import sessions
from tests.recording.test_rlog import lines_of
from tests.recording.trajectories import Script

NASTY = "</pre><script>alert('1')</script><img src=x onerror=alert(1)>\"'&\x00"
KEY = "sk-ant-api03-" + "Abc9" * 8


def to_html(script: Script) -> str:
    return "".join(html(transcript(lines_of(script.records)), "a session"))


def to_markdown(script: Script) -> str:
    return "".join(markdown(transcript(lines_of(script.records))))


def everything(text: str) -> Script:
    """Return a session with the text wherever one can stand."""
    script = Script(session_id=text, cwd=text)
    meta = {"routing": {"decision": text, "reason": text}}
    diff = Diff(text, text, text + "\n" + text)
    script.turn(
        UserMessage(text, (Attachment(text),)),
        [
            ThoughtDelta("t", text, meta),
            TextDelta("m", text),
            ToolCallStarted("c", text, text, raw_input={text: [text]}),
            ToolCallUpdated("c", status="completed", content=(Shown(text), diff)),
            ToolCallStarted("d", text, text),
            ToolOutput("d", text, text, text),
            ToolCallStarted("e", text, text),
            ToolCallUpdated("e", content=(Image(text, text), Image("aGk=", "image/png"))),
            ToolCallUpdated("f", status="failed", raw_output={text: text}),
            PlanUpdated((PlanEntry(text, "in_progress"),)),
            Noticed(text, description=text),
        ],
        text,
    )
    script.permission(text, text, text, text)
    script.record("title", title=text)
    script.record("options", values={"mode": text, "model": text})
    return script


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)
        if tag not in ("meta", "img", "dt", "dd", "li"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


OURS = {
    *"html head meta title style body main header h1 h2 h3 dl dt dd details summary".split(),
    *"pre time section div p code b ul li img ins del".split(),
}


def check_page(page: str) -> Page:
    found = Page(page)
    assert found.open == []
    assert found.tags <= OURS
    names = {name for name, _ in found.attributes}
    assert names <= {"lang", "charset", "http-equiv", "content", "name", "class", "alt", "src"}
    sources = {value for name, value in found.attributes if name == "src"}
    assert all(value and value.startswith("data:image/") for value in sources)
    return found


def test_a_page_holds_no_markup_of_anybody_else() -> None:
    page = to_html(everything(NASTY))
    check_page(page)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 15


@settings(deadline=None)
@given(sessions())
def test_the_page_of_any_session_is_well_formed(script: Script) -> None:
    check_page(to_html(script)).close()


def test_a_page_loads_nothing() -> None:
    page = to_html(everything("see https://example.com/x.png"))
    assert "default-src 'none'" in page
    style = re.search("<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_exports_hold_no_secret() -> None:
    script = everything(f"it is {KEY}.")
    assert "[redacted:anthropic]" in to_html(script)
    assert KEY[:20] not in to_html(script)
    assert KEY[:20] not in to_markdown(script)


def test_a_secret_in_two_deltas_is_found() -> None:
    script = Script()
    script.turn("hi", [TextDelta("m", KEY[:15]), Noticed("wait"), TextDelta("m", KEY[15:])])
    assert KEY[15:] not in to_html(script) + to_markdown(script)


def test_a_session_reads_well() -> None:
    script = Script()
    script.turn(
        UserMessage("Fix `auth`\n# not a heading", (Attachment("file:///code/auth.py"),)),
        [
            ThoughtDelta("t", "Look "),
            ToolCallStarted("c", "apply_patch", "auth.py", "edit"),
            ThoughtDelta("t", "first."),
            ToolCallUpdated(
                "c", status="completed", content=(Diff("/code/auth.py", "a\n", "b\n"),)
            ),
            PlanUpdated((PlanEntry("Fix", "completed"),)),
            TextDelta("m", "Done: <b>see</b> `<i>`\n```py\nx < 1"),
        ],
    )
    assert to_markdown(script) == snapshot("""\
# Session

- session: `sess_1`
- began: `2026-11-20T12:00:00.000Z`
- workspace: `/code`
- agent: `acp-agent 0.1.0`
- mode: `gptoss_20b`
- model: `gpt-oss-20b`

*`mode gptoss_20b, model gpt-oss-20b, effort low, approvals ask`*

## You

> ```text
> Fix `auth`
> # not a heading
> ```

- `file:///code/auth.py`

### Thought

> ```text
> Look first.
> ```


### Tool `apply_patch`: `auth.py` (completed)

```diff
--- /code/auth.py
+++ /code/auth.py
@@ -1 +1 @@
-a
+b
```

## Agent

Done: &lt;b>see&lt;/b> `<i>`
```py
x < 1
```

*`turn 1: end_turn`*

### Plan

- [x] `Fix`

""")


@pytest.mark.parametrize("text", ["```\nescaped", "````", "~~~", "a`b", "``` ```", ""])
def test_nothing_ends_a_fence_but_the_fence(text: str) -> None:
    first, *body, last, end = fenced(text).split("\n")
    assert (first, end) == (last, "")
    assert not any(line.strip().startswith(first) for line in body)


def test_what_the_agent_left_open_is_closed() -> None:
    script = Script()
    script.turn("hi", [TextDelta("m", "~~~~\n```\n<!-- in code"), TextDelta("n", "<!-- out")])
    text = to_markdown(script)
    assert "~~~~\n```\n<!-- in code\n~~~~\n" in text
    assert "&lt;!-- out" in text


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    script = Script()
    script.turn("hi", [TextDelta("m", "hello")])
    return script.write(tmp_path / "sess_1.jsonl")


FORMS = {"md": "## You", "html": "<!doctype html>", "rlog": "u: hi", "jsonl": '"k": "session"'}


@pytest.mark.parametrize(("form", "words"), FORMS.items())
def test_a_session_is_exported(
    recorded: Path, form: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["export", "--format", form, str(recorded)]) == 0
    printed = capsys.readouterr().out
    assert words in printed
    target = recorded.with_name("out")
    assert cli.run(["export", str(recorded), "--format", form, "-o", str(target)]) == 0
    assert target.read_text() == printed


def test_an_exported_rlog_is_valid(recorded: Path) -> None:
    target = recorded.with_name("out.rlog")
    assert cli.run(["export", str(recorded), "--format", "rlog", "-o", str(target)]) == 0
    assert cli.run(["validate", str(target)]) == 0


def test_exported_json_lines_are_those_that_can_be_read(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = recorded.read_text()
    recorded.write_text(whole + "\x00\x00\n" + '{"torn')
    assert cli.run(["export", str(recorded), "--format", "jsonl"]) == 0
    printed = capsys.readouterr()
    assert printed.out == whole
    assert printed.err.split("\n") == [
        "acp-agent: line 6 was skipped: it is not JSON",
        "acp-agent: line 7 was skipped: it is the last and was not finished",
        "",
    ]


def wrong(path: Path) -> Iterator[tuple[list[str], str]]:
    yield ["export", str(path), "-o", str(path)], "is the session's own file"
    yield ["export", "sess_none"], "no session 'sess_none'"
    yield ["export", str(path.parent)], "is not a file"


def test_called_wrongly(home: Path, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = recorded.read_text()
    for arguments, words in wrong(recorded):
        assert cli.run(arguments) == 2
        assert words in capsys.readouterr().err
    assert recorded.read_text() == before


def test_half_a_character_of_a_model_can_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Script()
    script.turn("\ud800", [TextDelta("m", "half \udc00")])
    path = script.write(tmp_path / "x.jsonl")
    for form in FORMS:
        assert cli.run(["export", str(path), "--format", form]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["k"] == "end"


@pytest.mark.parametrize("place", [0, 60_000, 65_530, 131_000, 150_000, 250_000])
def test_a_long_result_is_cut_and_holds_no_part_of_a_secret(place: int) -> None:
    text = "x y\n" * 75_000
    script = Script()
    call = ToolCallUpdated("c", status="completed", raw_output=text[:place] + KEY + text[place:])
    script.turn("hi", [call])
    page = to_markdown(script)
    assert "characters left out]" in page
    assert len(page) < 70_000
    assert "Abc9" not in page


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["md", "html", "jsonl"])
async def test_a_document_in_the_workspace_is_for_its_user_alone(tmp_path: Path, form: str) -> None:
    made = Script()
    made.turn("hello", [TextDelta("m", KEY)])
    exporter = Exporter(made.write(tmp_path / "state" / "s.jsonl"), tmp_path)
    assert Path(await exporter(form)).stat().st_mode & 0o777 == 0o600
