"""The decision log: one JSON object a line, by schemas/records/routing_decision.schema.json.

`record` builds a line and is pure; `DecisionLog` appends it to a file of bounded size that only
the user may read. A log that cannot be written is reported, and stops no turn.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acp_agent.json_log import JsonLog
from acp_agent.paths import state_dir
from acp_agent.routing.decide import Decision

logger = logging.getLogger(__name__)

FILE = "routing.jsonl"
MAX_BYTES = 1_000_000
KEPT = 2  # older files beside the present one


def record(
    decision: Decision, prompt: str, session_id: str, now: datetime, *, with_text: bool = False
) -> dict[str, Any]:
    """Return one line of the log. The prompt, and words about it, are in it only `with_text`."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    decision = decision if with_text else replace(decision, detail="")
    return {
        "time": now.astimezone(UTC).isoformat(timespec="milliseconds"),
        "session_id": session_id,
        **decision.as_json(),
        "prompt_sha256": digest,
        **({"prompt": prompt} if with_text else {}),
    }


class DecisionLog:
    """Appends decisions to a file; several agents may share it, a line is one write."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        with_text: bool = False,
        max_bytes: int = MAX_BYTES,
        kept: int = KEPT,
    ) -> None:
        """Write to `path`, or to routing.jsonl in the state directory."""
        self._with_text = with_text
        self._log = JsonLog(lambda: path or state_dir() / FILE, max_bytes=max_bytes, kept=kept)

    def add(
        self, decision: Decision, prompt: str, session_id: str, now: datetime | None = None
    ) -> dict[str, Any]:
        """Log one decision, to the file and as a sentence at INFO; return its record."""
        line = record(
            decision, prompt, session_id, now or datetime.now(UTC), with_text=self._with_text
        )
        logger.info("%s: %s: %s", session_id, decision.decision, decision.reason)
        try:
            self._log.append(line)
        except OSError as error:
            logger.warning("the decision was not written to the routing log: %s", error)
        return line

    def last(self, count: int = 10) -> list[dict[str, Any]]:
        """Return the newest records, oldest first; lines that are broken are left out."""
        return self._log.last(count)
