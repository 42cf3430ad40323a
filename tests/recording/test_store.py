"""The list of sessions: newest first, by page and workspace, whatever lies in the directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from acp_agent.agent.options import Choice, session_options
from acp_agent.agent.stored import Listed
from acp_agent.config import Settings
from acp_agent.conversation import UserMessage
from acp_agent.events import TextDelta
from acp_agent.protocol.sessions import OpenSession
from acp_agent.recorders import Recorders
from acp_agent.recording.lines import Opened
from acp_agent.recording.store import PAGE, TAIL, Store, StoredSession, workspace_name
from acp_agent.recording.trajectory import Trajectory

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000


async def write(
    root: Path, name: str, cwd: str = "/w", at: int = 1, title: str = "", words: str = "hi there"
) -> Path:
    path = root / workspace_name(Path(cwd)) / f"{name}.jsonl"
    record = Trajectory(path, Opened("", name, cwd, (cwd, "/more")))
    record.turn(1, UserMessage(words))
    if title:
        record.titled(title)
    await record.end(1, "end_turn")
    os.utime(path, ns=(at * SECOND, at * SECOND))
    return path


async def test_sessions_are_listed_newest_first_with_their_titles(tmp_path: Path) -> None:
    await write(tmp_path, "a", at=1)
    await write(tmp_path, "b", at=3, title="Fix the tests")
    await write(tmp_path, "c", "/v", at=2)
    store = Store(tmp_path)
    found, following = await store.page(None, "")
    assert found == [
        Listed("b", "/w", "Fix the tests", "1970-01-01T00:00:03Z", ("/w", "/more")),
        Listed("c", "/v", "hi there", "1970-01-01T00:00:02Z", ("/v", "/more")),
        Listed("a", "/w", "hi there", "1970-01-01T00:00:01Z", ("/w", "/more")),
    ]
    assert following == ""
    assert [one.id for one in (await store.page(Path("/w"), ""))[0]] == ["b", "a"]
    assert await store.page(Path("/nowhere"), "") == ([], "")


async def test_a_title_outlives_a_load_and_a_long_turn(tmp_path: Path) -> None:
    path = await write(tmp_path, "a", cwd=str(tmp_path), title="Fix the tests")
    options = session_options((Choice("m", "m"),), mode="gptoss_20b", effort="low", approvals="ask")
    opened = OpenSession("a", (tmp_path,), options)
    opened.stored = stored = StoredSession(path)
    async for _ in stored.shown():
        pass
    stored.release()
    record, _, _ = Recorders(Settings(), lambda: None).open(opened)
    record.turn(2, UserMessage("go on"))
    record.event(TextDelta("m", "long " * TAIL))
    await record.end(2, "end_turn")
    record.close()
    ((listed,), _) = await Store(tmp_path).page(None, "")
    assert listed.title == "Fix the tests"


async def test_pages_follow_one_another_to_the_end(tmp_path: Path) -> None:
    for number in range(PAGE + 1):
        await write(tmp_path, f"s{number}", at=number // 2)  # some are of the same time
    store = Store(tmp_path)
    first, following = await store.page(None, "")
    last, end = await store.page(None, following)
    assert (len(first), len(last), end) == (PAGE, 1, "")
    assert len({one.id for one in [*first, *last]}) == PAGE + 1


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "-a", "1-a/b", "9" * 30 + "-a"])
async def test_a_made_up_cursor_is_refused(tmp_path: Path, cursor: str) -> None:
    with pytest.raises(ValueError, match=cursor):
        await Store(tmp_path).page(None, cursor)


async def test_what_is_no_record_is_passed_over(tmp_path: Path) -> None:
    path = await write(tmp_path, "good")
    for name, text in {"a.jsonl": "", "b.jsonl": "no JSON\n", "c.jsonl": "[]\n", "d": "x"}.items():
        (path.parent / name).write_text(text)
    (tmp_path / "file").write_text("x")
    assert [one.id for one in (await Store(tmp_path).page(None, ""))[0]] == ["good"]
    assert await Store(tmp_path / "missing").page(None, "") == ([], "")


async def test_a_prompt_of_any_length_gives_a_title(tmp_path: Path) -> None:
    await write(tmp_path, "long", words='"quoted" \\ words\n' * 10_000)
    (listed,) = (await Store(tmp_path).page(None, ""))[0]
    assert listed.title == '"quoted" \\ words "quoted" \\ words "quoted" \\ words "quoted"…'


@pytest.mark.parametrize("name", ["../x", "a/b", "", "*", "x" * 200])
async def test_no_odd_id_leads_anywhere(tmp_path: Path, name: str) -> None:
    await write(tmp_path, "good")
    store = Store(tmp_path)
    assert await store.take_up(name) is None
    await store.delete(name)
    assert len((await store.page(None, ""))[0]) == 1
