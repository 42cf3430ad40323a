"""What a bench run says: figures beside their aims and the best of other agents; no measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

PEERS_MEASURED = "2026-11-20"


class Reference(NamedTuple):
    """What a figure is held against: our aim, and the best that another agent reached."""

    aim: str = ""
    peer: str = ""


# Fifteen agents against one local server on two shared cores. The best of each column; where that
# agent buys it with something else (one update for a whole answer), the next one.
REFERENCES: dict[str, Reference] = {
    "initialize": Reference("≤ 40", "38 codex-acp-zed (native code)"),
    "ready": Reference("≤ 60", "53 codex-acp-zed"),
    "start_cpu": Reference("", "0.04 codex-acp-zed"),
    "rss_initialize": Reference("≤ 40", "74 pi"),
    "rss_prompt": Reference("", "119 codex-acp-zed"),
    "exit": Reference("", "10 pi"),
    "overhead": Reference("≤ 2", "4.7 nanocoder"),
    "overhead_first": Reference("", "23 nanocoder"),
    "cpu_paced": Reference("", "0.20 codex-acp-zed"),
    "delivery_p50": Reference("", "0.2 codex-acp-zed"),
    "delivery_p95": Reference("", "0.2 codex-acp-zed"),
    "cpu_burst": Reference("", "0.048 codex-acp-zed"),
    "burst_rate": Reference("", "24,895 omp"),
    "cancel": Reference("≤ 1", "2.7 codex-acp-zed"),
    "abort": Reference("", "0.6 fast-agent"),
    "sessions": Reference("", "1.13 nanocoder"),
    "list": Reference("≤ 200", ""),
    "prompt_tokens": Reference("≤ 1,200", "409 fast-agent (3 tools), 1,130 pi (4)"),
    "step_beyond": Reference("1", ""),
    "new_turn": Reference("", "≥ 43 pi"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """Values of one kind; `direct` holds the same without the agent: a bare client, an engine.

    Without values, it is what could not be measured here, and the label says why.
    """

    key: str
    label: str
    unit: str
    values: tuple[float, ...]
    direct: tuple[float, ...] = ()

    @property
    def reference(self) -> Reference:
        return REFERENCES.get(self.key, Reference())

    def as_json(self) -> dict[str, object]:
        """Return everything that is known, for programs."""
        return {
            "key": self.key,
            "label": self.label,
            "unit": self.unit,
            "agent": _summary(self.values) if self.values else None,
            "direct": _summary(self.direct) if self.direct else None,
            "aim": self.reference.aim or None,
            "peer": self.reference.peer or None,
        }


HEAD = ("", "median", "min", "max", "n", "direct", "aim", "best peer")


def table(title: str, figures: Sequence[Figure]) -> str:
    """Return the figures of one section as aligned text."""
    rows = [(title, *HEAD[1:]), *(_row(figure) for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = max(widths[0], 58)
    lines = [
        "  ".join(
            cell.ljust(width) if index in (0, len(HEAD) - 1) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _row(figure: Figure) -> tuple[str, ...]:
    values = figure.values
    if not values:
        return (f"  {figure.label}", *[""] * (len(HEAD) - 1))
    return (
        f"  {figure.label}, {figure.unit}".removesuffix(", "),
        _number(median(values)),
        _number(min(values)),
        _number(max(values)),
        str(len(values)),
        _number(median(figure.direct)) if figure.direct else "",
        figure.reference.aim,
        figure.reference.peer,
    )


def _number(value: float) -> str:
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    digits = 0 if value == int(value) else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:.{digits}f}"


def _summary(values: Sequence[float]) -> dict[str, object]:
    return {
        "median": median(values),
        "min": min(values),
        "max": max(values),
        "n": len(values),
    }
