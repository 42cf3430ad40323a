"""What lies outside the store and nothing needs: demo weights of older versions, dead engines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from acp_agent.engine.home import EngineHome, LockName
from acp_agent.engine.nano import stem
from acp_agent.models.tidy import Leftover, size_of
from acp_agent.paths import cache_dir, runtime_dir

DAY = 86_400.0
LOCKS: tuple[LockName, ...] = ("starting", "alive", "users")


def strays() -> list[Leftover]:
    """Return them; a directory of an engine is only one after a day without any."""
    return [*_demo_weights(cache_dir()), *_engines(runtime_dir(), time.time() - DAY)]


def _demo_weights(cache: Path) -> Iterator[Leftover]:
    current = stem()
    for path in sorted(cache.glob("nano-*.gguf")):
        if not path.name.startswith(f"{current}-"):
            yield Leftover(path, "demo weights of another version", size_of(path))
    for path in sorted(cache.glob(".nano-*")):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - DAY:
                yield Leftover(path, "demo weights that were not finished", size_of(path))


def _engines(runtime: Path, before: float) -> Iterator[Leftover]:
    for path in sorted(runtime.glob("engine-*")):
        with suppress(OSError):
            newest = max(p.stat().st_mtime for p in (path, *path.iterdir()))
            if path.is_dir() and newest < before and _is_dead(EngineHome(path)):
                yield Leftover(path, "what an engine left behind", size_of(path))


def _is_dead(home: EngineHome) -> bool:
    """Tell whether nobody starts, runs or uses an engine there."""
    held = [home.lock(name) for name in LOCKS]
    for lock in held:
        if lock is not None:
            lock.release()
    return None not in held
