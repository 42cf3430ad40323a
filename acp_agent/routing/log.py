"""The decision log: one JSON object a line, by schemas/records/routing_decision.schema.json.

`record` builds a line and is pure; `DecisionLog` appends it to a file of bounded size that only
the user may read. A log that cannot be written is reported, and stops no turn.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

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
        self._path = path
        self._with_text = with_text
        self._max_bytes = max_bytes
        self._kept = kept

    def add(
        self, decision: Decision, prompt: str, session_id: str, now: datetime | None = None
    ) -> dict[str, Any]:
        """Log one decision, to the file and as a sentence at INFO; return its record."""
        line = record(
            decision, prompt, session_id, now or datetime.now(UTC), with_text=self._with_text
        )
        logger.info("%s: %s: %s", session_id, decision.decision, decision.reason)
        text = json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n"
        try:
            self._append(text.encode())
        except OSError as error:
            logger.warning("the decision was not written to the routing log: %s", error)
        return line

    def last(self, count: int = 10) -> list[dict[str, Any]]:
        """Return the newest records, oldest first; lines that are broken are left out."""
        found: deque[dict[str, Any]] = deque(maxlen=count)
        path = self._where()
        for number in (*range(self._kept, 0, -1), 0):
            try:
                text = _older(path, number).read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            found.extend(_records(text))
        return list(found)

    def _where(self) -> Path:
        return self._path or state_dir() / FILE

    def _append(self, line: bytes) -> None:
        path = self._where()
        if self._is_full(path, line):
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self._is_full(path, line):  # nobody else has been faster
                    self._rotate(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def _is_full(self, path: Path, line: bytes) -> bool:
        return path.exists() and path.stat().st_size + len(line) > self._max_bytes

    def _rotate(self, path: Path) -> None:
        for number in range(self._kept, 0, -1):
            newer = _older(path, number - 1)
            if newer.exists():
                newer.replace(_older(path, number))
        if not self._kept:
            path.unlink(missing_ok=True)


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _records(text: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for line in text.splitlines():
        try:
            value: object = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            records.append(cast("dict[str, Any]", value))
    return records
