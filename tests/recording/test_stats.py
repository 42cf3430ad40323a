"""What model calls cost is measured from the record, kept, and shown."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from acp_agent import cli
from acp_agent.events import StepMeasured, TextDelta, ToolCallStarted, ToolCallUpdated
from acp_agent.recording.lines import Line
from acp_agent.recording.metrics import Generation, Meter, MetricsLog
from acp_agent.verbs.stats import report, sparkline
from tests.recording.schemas import validator
from tests.recording.test_rlog import lines_of
from tests.recording.trajectories import Script

SCHEMAS = Path(__file__).parents[2] / "schemas" / "records"
STEP = StepMeasured(1000, 100, 900, 50, {"prompt": 300.0, "predicted": 2000.0})


def measured(lines: list[Line], meter: Meter | None = None) -> list[Generation]:
    meter = meter or Meter()
    return [found for found in map(meter.feed, lines) if found is not None]


@pytest.fixture
def script() -> Script:
    script = Script()
    routing = {"routing": {"decision": "delegate", "reason": "code"}}
    script.turn(
        "hi",
        [
            ToolCallStarted("g", "gptoss.generate", "GPT-OSS", "think", meta=routing),
            TextDelta("m", "let me see"),
            ToolCallStarted("c", "shell", "ls"),
            STEP,
            ToolCallUpdated("c", status="in_progress"),
            ToolCallUpdated("c", status="completed"),
            TextDelta("n", "done"),
            StepMeasured(1100, 20, 1080, 5, {}),
        ],
    )
    script.turn("more", [TextDelta("o", "well")], "cancelled")
    return script


def test_a_session_is_measured(script: Script) -> None:
    def generation(second: int, **known: object) -> Generation:
        whole = {
            "time": f"2026-11-20T12:00:{second:02}.000Z",
            "session_id": "sess_1",
            "model": "gpt-oss-20b",
            **known,
        }
        return Generation(**whole)  # pyright: ignore[reportArgumentType] - values of any type

    first = generation(
        6,
        route="delegate",
        first_token_ms=2000.0,
        total_ms=4000.0,
        tokens_per_second=25.0,
        prompt_tokens=1000,
        evaluated_tokens=100,
        cached_tokens=900,
        generated_tokens=50,
        memory_bytes=12,
    )
    second = generation(
        10,
        route="delegate",
        first_token_ms=1000.0,
        total_ms=2000.0,
        prompt_tokens=1100,
        evaluated_tokens=20,
        cached_tokens=1080,
        generated_tokens=5,
        memory_bytes=12,
    )
    third = generation(14, first_token_ms=1000.0, total_ms=2000.0, memory_bytes=12, cancelled=True)
    assert measured(lines_of(script.records), Meter(lambda: 12)) == [first, second, third]


def test_a_turn_cancelled_in_a_tool_is_no_generation() -> None:
    script = Script()
    script.turn("hi", [ToolCallStarted("c", "shell", "ls"), STEP], "cancelled")
    assert [found.cancelled for found in measured(lines_of(script.records))] == [False]


def test_generations_are_kept_by_their_schema(script: Script, tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    found = measured(lines_of(script.records))
    for generation in found:
        log.add(generation)
    assert log.last() == found
    assert log.last(1) == found[-1:]
    schema = json.loads((SCHEMAS / "generation.schema.json").read_text())
    fits = validator(schema)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        assert fits(json.loads(line))
    assert set(schema["properties"]) == set(asdict(found[0]))


def test_only_so_many_are_kept(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", max_bytes=2000)
    for number in range(100):
        log.add(Generation("", "s", "m", generated_tokens=number))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
    assert [found.generated_tokens for found in log.last(3)] == [97, 98, 99]


def test_a_broken_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    good = asdict(Generation("", "s", "m"))
    lines = ["{", "[]", json.dumps({**good, "model": 5}), '{"time": ""}', json.dumps(good)]
    path.write_text("\n".join([*lines, json.dumps({**good, "later": 1})]) + '\n{"ti')
    assert MetricsLog(path).last() == [Generation("", "s", "m")] * 2


def test_the_schema_of_trajectories_fits_what_is_written(script: Script) -> None:
    schema = json.loads((SCHEMAS / "trajectory.schema.json").read_text())
    script.permission("c", "shell", "ls", "allowed")
    script.record("drop", count=1)
    script.record("replace", entries=[])
    script.record("title", title="Files")
    script.record("later", what=1)
    fits = validator(schema)
    for record in script.records:
        assert fits(record)
    bad = [{}, {"k": "title"}, {"t": "noon", "k": "title", "title": "x"}, {"k": "event", "t": ""}]
    assert not any(map(fits, bad))


def test_stats_of_a_session(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["stats", str(script.write(tmp_path / "x.jsonl"))]) == 0
    assert capsys.readouterr().out == (
        "model        calls  first token p50      p95  tok/s p50  cached  cancelled\n"
        "gpt-oss-20b      3          1000 ms  2000 ms       25.0    94 %          1\n"
        "\n"
        "time                     route  first token  tok/s     in  read  cached  out  memory\n"
        "2026-11-20 12:00:06   delegate      2000 ms   25.0  1,000   100     900   50       -\n"
        "2026-11-20 12:00:10   delegate      1000 ms      -  1,100    20   1,080    5       -\n"
        "2026-11-20 12:00:14  cancelled      1000 ms      -      -     -       -    -       -\n"
        "\n"
        "tok/s  ▁  25 to 25\n"
    )


def test_stats_of_all_sessions_as_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generation = Generation("2026-11-20T12:00:00.000Z", "s", "m", memory_bytes=5)
    MetricsLog().add(generation)
    assert cli.run(["stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [asdict(generation)]


def test_nothing_measured_yet(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["stats"]) == 0
    assert capsys.readouterr().out == "nothing has been measured yet\n"


def test_a_sparkline_goes_from_low_to_high() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([3, 3]) == "▁▁"


def test_a_report_needs_nothing_to_be_known() -> None:
    assert list(report([Generation("", "", "")]))[1].split() == ["?", "1", "-", "-", "-", "-", "0"]
