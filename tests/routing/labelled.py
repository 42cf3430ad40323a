"""The labelled prompts, and how a rubric does on them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from acp_agent.routing.decide import decide
from acp_agent.routing.facts import Answerer, Resource, SessionFacts
from acp_agent.routing.gather import gather
from acp_agent.routing.rubric import Rubric

Last = Answerer | Literal[""]
FILE = Path(__file__).with_name("labelled.jsonl")


class Result(NamedTuple):
    """How many were decided how: (label, decision) to count."""

    table: Counter[tuple[str, str]]

    @property
    def accuracy(self) -> float:
        right = self.table["inline", "inline"] + self.table["delegate", "delegate"]
        return right / self.table.total()

    @property
    def missed(self) -> float:
        """The share of prompts for GPT-OSS that were answered inline."""
        lost = self.table["delegate", "inline"]
        return lost / (lost + self.table["delegate", "delegate"])

    @property
    def needless(self) -> float:
        """The share of light prompts that were delegated."""
        lost = self.table["inline", "delegate"]
        return lost / (lost + self.table["inline", "inline"])


def labelled(split: str) -> list[dict[str, Any]]:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return [item for item in map(json.loads, lines) if item["split"] == split]


def words(text: str) -> int:
    """Count roughly: the vocabulary would cost more than everything else here."""
    return len(text) // 4 + 1


def decision(item: dict[str, Any], rubric: Rubric, last: Last = "") -> str:
    resources = [Resource(r["uri"], chars=r.get("chars")) for r in item.get("resources", [])]
    session = SessionFacts(last_decision=last)
    facts = gather(item["prompt"], resources, rubric=rubric, count_tokens=words, session=session)
    return decide(facts, rubric).decision


def measure(items: list[dict[str, Any]], rubric: Rubric, last: Last = "") -> Result:
    """Return how they are decided where `last` answered the prompt before."""
    return Result(Counter((item["label"], decision(item, rubric, last)) for item in items))
