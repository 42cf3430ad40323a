"""Facts and a rubric to a decision, with every rule that had a part in it: pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from acp_agent.routing.facts import Answerer, Facts
from acp_agent.routing.rubric import Condition, Range, Rubric, Rule

ANSWERERS = {"inline": "the small model answers", "delegate": "GPT-OSS answers"}


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that held; `decides` is set if it settles the matter whatever the score."""

    name: str
    score: int
    because: str
    decides: Answerer | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Who answers, and why, in one sentence; `score` is the sum over `rules`.

    `detail` are the words of a model or a server about it, which may repeat the prompt.
    """

    decision: Answerer
    reason: str
    rules: tuple[Fired, ...]
    score: int
    facts: Facts
    detail: str = ""

    @property
    def told(self) -> str:
        """The reason as the user is told it."""
        return f"{self.reason} ({self.detail})" if self.detail else self.reason

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "decision": self.decision,
            "reason": self.reason,
            **({"detail": self.detail} if self.detail else {}),
            "rules": [
                {
                    "name": rule.name,
                    "score": rule.score,
                    **({"decides": rule.decides} if rule.decides else {}),
                }
                for rule in self.rules
            ],
            "score": self.score,
            "facts": {**asdict(self.facts), "signals": list(self.facts.signals)},
        }


def decide(facts: Facts, rubric: Rubric) -> Decision:
    """Return who answers: the first rule that decides, else the score against the threshold."""
    fired = tuple(
        Fired(rule.name, rule.score, rule.because, rule.decides)
        for rule in rubric.rules
        if _holds(rule, facts)
    )
    score = sum(rule.score for rule in fired)
    deciding = next((rule for rule in fired if rule.decides), None)
    if deciding is not None and deciding.decides is not None:
        reason = f"{deciding.because}, so {ANSWERERS[deciding.decides]}"
        return Decision(deciding.decides, _sentence(reason), fired, score, facts)
    decision: Answerer = "delegate" if score >= rubric.threshold else "inline"
    causes = _causes(decision, fired)
    reason = f"{causes}, so {ANSWERERS[decision]} (score {score}, threshold {rubric.threshold})"
    return Decision(decision, _sentence(reason), fired, score, facts)


def overruled(decision: Decision, by: Fired, detail: str = "") -> Decision:
    """Return what becomes of `decision` when something that no rubric knows settles the matter."""
    wanted = by.decides or decision.decision
    reason = _sentence(f"{by.because}, so {ANSWERERS[wanted]}")
    rules = (by, *decision.rules)
    return replace(decision, decision=wanted, reason=reason, rules=rules, detail=detail)


def _causes(decision: Answerer, fired: tuple[Fired, ...]) -> str:
    sign = 1 if decision == "delegate" else -1
    causes = sorted((r for r in fired if r.score * sign > 0), key=lambda r: -abs(r.score))
    if not causes:
        return "nothing in it needs GPT-OSS"
    return " and ".join(rule.because for rule in causes[:2])


def _sentence(text: str) -> str:
    # A name such as `fm_unavailable` at the beginning keeps its spelling.
    first = text.split(":", 1)[0]
    return text if "_" in first else text[0].upper() + text[1:]


def _holds(rule: Rule, facts: Facts) -> bool:
    return all(_meets(getattr(facts, fact), wanted) for fact, wanted in rule.when.items())


def _meets(value: object, wanted: Condition) -> bool:
    match wanted, value:
        case Range(low, high), int() | float():
            return low <= value <= high
        case tuple(), tuple():
            return any(name in value for name in wanted)
        case tuple(), _:
            return value in wanted
        case _:
            return value == wanted
