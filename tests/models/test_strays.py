"""What `models gc` clears away outside the store, and what it leaves."""

from __future__ import annotations

import os
from pathlib import Path

from acp_agent.engine.home import EngineHome
from acp_agent.engine.nano import ensure_nano
from acp_agent.engine.smollm2 import FILE_NAME, SIZE, installed
from acp_agent.paths import cache_dir, runtime_dir
from acp_agent.verbs.models_strays import strays

LONG_AGO = (1e9, 1e9)


def engine(name: str) -> EngineHome:
    """Make what an engine of long ago would have left."""
    home = EngineHome(runtime_dir() / f"engine-{name}")
    for lock in ("alive", "starting", "users"):
        held = home.lock(lock)
        assert held is not None
        held.release()
        os.utime(home.path / lock, LONG_AGO)
    os.utime(home.path, LONG_AGO)
    return home


def test_old_demo_weights_and_dead_engines_are_strays(home: Path) -> None:
    current = ensure_nano()
    old = cache_dir() / "nano-0123456789ab-01234567.gguf"
    old.write_bytes(b"old")
    unfinished = cache_dir() / ".nano-x"
    unfinished.write_bytes(b"")
    os.utime(unfinished, LONG_AGO)
    dead, used = engine("dead"), engine("used")
    lease = used.lock("users", shared=True)
    fresh = engine("fresh")
    os.utime(fresh.path)
    found = strays()
    assert [leftover.path for leftover in found] == [old, unfinished, dead.path]
    for leftover in found:
        leftover.remove()
    assert strays() == []
    assert lease is not None
    lease.release()
    assert (current.is_file(), used.path.is_dir(), fresh.path.is_dir()) == (True, True, True)


def test_the_small_model_is_found_where_the_store_keeps_it(tmp_path: Path) -> None:
    assert installed(tmp_path) is None
    place = tmp_path / "smollm2" / "0123" / FILE_NAME
    place.parent.mkdir(parents=True)
    place.touch()
    assert installed(tmp_path) is None
    os.truncate(place, SIZE)
    assert installed(tmp_path) == place
