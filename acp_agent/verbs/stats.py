"""`acp-agent stats`: how fast the models have been on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TextIO

from acp_agent.recording.metrics import Generation, Meter, MetricsLog
from acp_agent.recording.read import read, trajectory_file
from acp_agent.verbs.recorded import tell_skipped

SHOWN = 10
SPARKS = "▁▂▃▄▅▆▇█"
WIDTH = 60

Cell = Callable[[Generation], float | None]


def run_stats(session: str | None, *, as_json: bool, out: TextIO) -> int:
    """Show what the last model calls cost: of all sessions, or of one."""
    found = MetricsLog().last() if session is None else of_session(session)
    if as_json:
        print(json.dumps([asdict(generation) for generation in found], indent=2), file=out)
    elif not found:
        print("nothing has been measured yet", file=out)
    else:
        for line in report(found):
            print(line, file=out)
    return 0


def of_session(session: str) -> list[Generation]:
    """Measure a trajectory."""
    meter = Meter()
    measured = (meter.feed(line) for line in read(trajectory_file(session), tell_skipped))
    return [generation for generation in measured if generation is not None]


def report(found: Sequence[Generation]) -> Iterable[str]:
    """Give the lines: a table by model, the latest, and tokens a second as they went."""
    models = sorted({generation.model for generation in found})
    yield from _table(
        ("model", "calls", "first token p50", "p95", "tok/s p50", "cached", "cancelled"),
        [_summary(model, [g for g in found if g.model == model]) for model in models],
    )
    yield ""
    yield from _table(
        ("time", "route", "first token", "tok/s", "in", "read", "cached", "out", "memory"),
        [_row(generation) for generation in found[-SHOWN:]],
    )
    speeds = [g.tokens_per_second for g in found if g.tokens_per_second is not None][-WIDTH:]
    if speeds:
        yield ""
        yield f"tok/s  {sparkline(speeds)}  {min(speeds):.0f} to {max(speeds):.0f}"


def sparkline(values: Sequence[float]) -> str:
    """Return a bar for each value, from the lowest to the highest."""
    low, high = min(values), max(values)
    step = (high - low) / (len(SPARKS) - 1) or 1
    return "".join(SPARKS[round((value - low) / step)] for value in values)


def _summary(model: str, found: Sequence[Generation]) -> tuple[str, ...]:
    prompt = sum(g.prompt_tokens or 0 for g in found)
    cached = sum(g.cached_tokens or 0 for g in found)
    return (
        model or "?",
        str(len(found)),
        _ms(_percentile(found, lambda g: g.first_token_ms, 0.5)),
        _ms(_percentile(found, lambda g: g.first_token_ms, 0.95)),
        _number(_percentile(found, lambda g: g.tokens_per_second, 0.5), 1),
        f"{100 * cached / prompt:.0f} %" if prompt > 0 else "-",
        str(sum(g.cancelled for g in found)),
    )


def _row(g: Generation) -> tuple[str, ...]:
    counts = (g.prompt_tokens, g.evaluated_tokens, g.cached_tokens, g.generated_tokens)
    memory = None if g.memory_bytes is None else g.memory_bytes / 1e9
    return (
        g.time[:19].replace("T", " ") or "-",
        "cancelled" if g.cancelled else g.route or "-",
        _ms(g.first_token_ms),
        _number(g.tokens_per_second, 1),
        *(_number(count) for count in counts),
        "-" if memory is None else f"{memory:.1f} GB",
    )


def _percentile(found: Sequence[Generation], of: Cell, share: float) -> float | None:
    values = sorted(value for value in map(of, found) if value is not None)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None


def _ms(value: float | None) -> str:
    return (
        "-" if value is None else f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"
    )


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        first, *rest = (cell for cell in row)
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells)).rstrip()
