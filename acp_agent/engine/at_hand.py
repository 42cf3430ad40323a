"""Which small model this machine has already; asked at every start, so it only looks."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from acp_agent.engine import smollm2


def small_model(platform: str = sys.platform) -> str:
    """Return what `fm.backend` would name: Apple's model by its package, SmolLM2, or ""."""
    if platform == "darwin" and find_spec("apple_fm_sdk") is not None:
        return "apple_fm"
    return "smollm2" if smollm2.installed() else ""
