"""The licences that models come under: their texts, and what the user accepts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from acp_agent.models.catalog import Entry
from acp_agent.models.install import now
from acp_agent.models.manifest import Accepted

TEXTS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence; `file` is where its text lies, None where only the source has it."""

    name: str
    text: str
    file: Path | None = None

    def accepted(self) -> Accepted:
        """Return the record that the user has accepted it, now."""
        return Accepted(self.name, hashlib.sha256(self.text.encode()).hexdigest(), now())


def licence_of(entry: Entry) -> Licence | None:
    """Return what must be accepted; None for a file that the user has already."""
    if entry.origin.kind in ("path", "adopted"):
        return None
    file = TEXTS / f"{Path(entry.licence).name}.txt"
    if entry.licence and file.is_file():
        return Licence(entry.licence, file.read_text(encoding="utf-8"), file)
    name = entry.licence or "unknown"
    where = entry.origin.location
    if entry.origin.kind == "hub":
        where = f"https://huggingface.co/{where}"
    return Licence(name, f"The licence of {entry.name} ({name}) is for you to read at {where}.")
