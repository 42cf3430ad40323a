"""Prints how the shipped rubric does on the labelled prompts, and how long it takes to load."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from acp_agent.routing.load import default_rubric
from tests.routing.labelled import Result, labelled, measure

TARGETS = "targets: accuracy > 90 %, missed < 5 %, needless < 10 %"


def print_routing() -> None:
    """Print the tables."""
    default_rubric.cache_clear()  # another section may have loaded it
    start = time.perf_counter()
    rubric = default_rubric()
    loaded = time.perf_counter() - start
    print(f"routing: the shipped rubric on labelled prompts ({TARGETS})")
    for split, name in (("held_out", "held out"), ("dev", "tuned on")):
        print(_table(name, measure(labelled(split), rubric)))
    print(f"loaded in {loaded * 1000:.0f} ms")


def _table(name: str, result: Result) -> str:
    rows = [f"\n{name:<22}{'decided inline':>16}{'decided delegate':>18}"]
    for label in ("inline", "delegate"):
        counts = (result.table[label, decided] for decided in ("inline", "delegate"))
        rows.append("{:<22}{:>16}{:>18}".format(f"  labelled {label}", *counts))
    rows.append(
        f"  accuracy {result.accuracy:.1%}, missed delegations {result.missed:.1%},"
        f" needless ones {result.needless:.1%}"
    )
    return "\n".join(rows)


if __name__ == "__main__":
    print_routing()
