"""The log and the figures of a session, written while it runs."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from acp_agent.agent.recorder import Recorder
from acp_agent.backends.script import Invoke, Say, Wait
from acp_agent.recording.followers import Logged, Measured
from acp_agent.recording.lines import Opened
from acp_agent.recording.metrics import MetricsLog
from acp_agent.recording.trajectory import Trajectory, now
from tests.agent.conftest import MakeStage
from tests.agent.fm import DONE, HEAVY, LIGHT, LOOK, Play
from tests.agent.small import Small
from tests.recording.rlog_reading import read_rlog

pytestmark = pytest.mark.anyio


@pytest.fixture
def metrics(tmp_path: Path) -> MetricsLog:
    return MetricsLog(tmp_path / "metrics.jsonl")


@pytest.fixture
def recorder(tmp_path: Path, metrics: MetricsLog) -> Recorder:
    opened = Opened(now(), "s", str(tmp_path / "project"), model="m")
    record = Trajectory(None)
    record.bind(
        lambda: {"mode": "fm", "model": "m", "effort": "low", "approvals": "ask"},
        print,
        [Measured(opened, metrics, lambda: 5_000_000), Logged(opened)],
    )
    return record


def log_of(cwd: Path) -> str:
    (path,) = (cwd / "docs" / "logs").glob("*/s.rlog")
    text = path.read_text()
    assert read_rlog(text).wrong == []
    return text


async def test_the_log_says_who_answers_and_why(
    play: Play, recorder: Recorder, metrics: MetricsLog
) -> None:
    stage = play(Small("Hello to you."), LOOK, DONE, recorder=recorder)
    await stage.prompt(LIGHT)
    await stage.prompt(HEAVY)
    await stage.session.close()
    routed = [line for line in log_of(stage.cwd).splitlines() if line.startswith("# routing:")]
    assert [line.rpartition("→ ")[2] for line in routed] == ["[inline]", "[delegate]"]
    assert {(one.session_id, one.model, one.memory_bytes) for one in metrics.last()} == {
        ("s", "m", 5_000_000)
    }
    assert metrics.last()[-1].route == "delegate"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("allow_once", "allowed"), ("reject_once", "rejected"), (None, "cancelled")],
)
async def test_the_log_says_what_was_allowed(
    stage: MakeStage, recorder: Recorder, answer: str | None, verdict: str
) -> None:
    write = Invoke("write_file", '{"path": "a", "content": "x"}')
    made = stage([write], [Say("Done.")], answers=[answer], recorder=recorder)
    await made.prompt()
    await made.session.close()
    (line,) = (line for line in log_of(made.cwd).splitlines() if "permission:" in line)
    assert " edit " in line
    assert line.endswith(f" → [{verdict}]")


async def test_a_cancelled_model_call_is_measured(
    stage: MakeStage, recorder: Recorder, metrics: MetricsLog
) -> None:
    made = stage([Say("One word"), Wait(60)], recorder=recorder)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.prompt)
        with anyio.fail_after(10):
            await made.spoke.wait()
        made.session.cancel()
    await made.session.close()
    (one,) = metrics.last()
    assert one.cancelled
    assert one.first_token_ms is not None
