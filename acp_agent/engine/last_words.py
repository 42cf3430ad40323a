"""Turns what llama.cpp logged before it ended into one sentence for the user."""

from __future__ import annotations

import re
import time
from pathlib import Path

LAST_LINE, LOG_LOOKS, LOG_PAUSE = "exiting due to", 50, 0.02
TAIL = 20  # lines of a log that may tell why an engine died that had worked

# The first pattern that the log holds decides; `{0}` is the model, `{1}` what the pattern caught.
SENTENCES: tuple[tuple[str, str], ...] = (
    (
        r"couldn't bind HTTP server socket.*port: (\d+)",
        "port {1} is in use; set GPT_OSS_PORT to another one, or to 0 for any free one",
    ),
    (r"invalid magic characters", "{0} is not a GGUF file"),
    (
        r"unknown model architecture: '([^']*)'",
        "{0} holds a model of the kind {1!r}, which this llama.cpp does not know",
    ),
    (
        r"(?im)failed to allocate|unable to allocate|out of memory|bad_alloc|cannot allocate memory"
        r"|^MemoryError|failed to map segment|mmap failed: Cannot allocate",
        "there is not enough memory for {0}; use smaller weights or less context (GPT_OSS_CTX)",
    ),
    (
        r"not within the file bounds|exceeds remaining file size"
        r"|gguf_init_from_reader: failed to read",
        "{0} is incomplete; get it again",
    ),
    (r"error loading model: (.+)", "cannot load {0}: {1}"),
    (r"(?m)^[\d.]+ E +(?:\w+ +)?(.+)$", "cannot run {0}: {1}"),
    (r"(?m)^(\w*(?:Error|Exception): .+)$", "cannot run {0}: {1}"),
)
FATAL: tuple[str, ...] = (
    r"(?i)((?:cuda |metal |vulkan )?(?:error: )?out of memory.*)",
    r"(?i)(failed to allocate.*|std::bad_alloc)",
    r"((?:CUDA|Vulkan|Metal|SYCL|ROCm) error:? .+)",
    r"(GGML_ASSERT\(.+\) failed)",
    r"what\(\): +(.+)",
)
UNKNOWN = "the engine for {0} ended without a word, perhaps for lack of memory"


def explain(log: str, model: str | Path) -> str:
    """Return why the engine that wrote `log` could not run `model`."""
    for pattern, sentence in SENTENCES:
        found = re.search(pattern, log)
        if found:
            return sentence.format(str(model), *(part.strip() for part in found.groups()))
    return UNKNOWN.format(str(model))


def explain_crash(log: str) -> str:
    """Return what the engine that wrote `log` died of, though it had worked; "" if it says nothing.

    The end of the log alone counts: errors that it lived through stand there, too.
    """
    tail = "\n".join(log.splitlines()[-TAIL:])
    found = (re.search(pattern, tail) for pattern in FATAL)
    return next((match[1].strip()[:200] for match in found if match), "")


def read_log(log: Path) -> str:
    """Return what the engine wrote, nothing if there is no such file."""
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def whole_log(log: Path, *, looks: int = LOG_LOOKS) -> str:
    """Return the log once its last line is there: llama.cpp writes it from a thread of its own."""
    text = ""
    for _ in range(looks):
        text = read_log(log)
        if LAST_LINE in text:
            break
        time.sleep(LOG_PAUSE)
    return text
