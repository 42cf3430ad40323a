"""What a user told a running engine, as files beside its state; gone with the engine.

`kept`: stay without users, until idle for long. `quiet`: send no more requests to keep warm. A mark
holds the id of the process that it is for, so that the next engine there does not obey it.
"""

from __future__ import annotations

from typing import Literal

from acp_agent.engine.home import EngineHome

Mark = Literal["kept", "quiet"]


def put(home: EngineHome, mark: Mark, pid: int) -> None:
    """Tell the host with this process id. Raises OSError."""
    (home.path / mark).write_text(str(pid), encoding="utf-8")


def is_put(home: EngineHome, mark: Mark, pid: int) -> bool:
    """Tell whether the host with this process id was told so."""
    try:
        return (home.path / mark).read_text(encoding="utf-8") == str(pid)
    except OSError:
        return False
