"""A session whose process is killed at any moment loads, and loses nothing acknowledged."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from acp_agent.agent.stored import Asked
from acp_agent.conversation import ModelStep, UserMessage
from acp_agent.events import TextDelta
from acp_agent.recording.recall import Recall
from acp_agent.recording.trajectory import Trajectory
from tests.recording.writers import TURNS, answer

pytestmark = pytest.mark.anyio

KILLS, SEED = 160, 6


async def recalled(path: Path) -> tuple[Recall, dict[str, str]]:
    """Read a session; return its texts by message as well."""
    recall, texts = Recall(path), dict[str, str]()
    async for batch in recall.shown():
        for item in batch:
            if isinstance(item, TextDelta):
                texts[item.message_id] = texts.get(item.message_id, "") + item.text
            elif isinstance(item, Asked):
                assert item.message.words in ("go on", f"prompt {item.number}")
    return recall, texts


async def test_a_killed_writer_has_lost_nothing_that_had_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.recording.writers", str(tmp_path), str(SEED)]
    with anyio.fail_after(60):
        ran = await anyio.run_process([*command, str(KILLS)], cwd=Path(__file__).parents[2])
    acknowledged = [int(line) for line in ran.stdout.split()]
    assert len(acknowledged) == KILLS
    assert len(set(acknowledged)) == TURNS + 1  # they were killed at many moments
    for number, turns in enumerate(acknowledged):
        path = tmp_path / f"sess_{number}.jsonl"
        if not path.exists():
            assert turns == 0
            continue
        recall, texts = await recalled(path)
        assert recall.skipped <= 1
        assert recall.turns in (turns, turns + 1)
        for n in range(1, turns + 1):
            assert texts[f"{n}.m"] == f"{answer(n)} "
        assert answer(turns + 1).startswith(texts.get(f"{turns + 1}.m", "").strip())
        steps = [entry for entry in recall.entries if isinstance(entry, ModelStep)]
        assert [step.tokens for step in steps[:turns]] == [(1, 2, n) for n in range(1, turns + 1)]


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
async def test_a_torn_session_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "s.jsonl"
    record = Trajectory(path)
    record.turn(1, UserMessage("prompt 1"))
    record.event(TextDelta("1.m", "x" * 300))
    record.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = Trajectory(path, size=None)
    again.turn(2, UserMessage("go on"))
    again.event(TextDelta("2.m", "y"))
    await again.end(2, "end_turn")
    recall, texts = await recalled(path)
    assert (recall.turns, recall.skipped, texts["2.m"]) == (2, 0 if cut == 1 else 1, "y")
