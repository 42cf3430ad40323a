"""`acp-agent engine logs`: what the engine says about itself, the newest last."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import anyio

from acp_agent.config import Settings
from acp_agent.engine.home import PREFIX
from acp_agent.engine.own import Own, log_of
from acp_agent.engine.running import matching
from acp_agent.errors import EngineUnavailable
from acp_agent.paths import state_dir

LOOK_SECONDS = 0.2


def logs(settings: Settings, *, lines: int, follow: bool, as_json: bool) -> int:
    """Print the end of the log, and with `follow` what comes, until the engine has ended."""
    found = matching(settings)
    own = found[0] if found else None
    log = _log(own)

    def show(line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r\n")
        print(json.dumps({"line": text}, ensure_ascii=False) if as_json else text, flush=True)

    print(f"{log}:", file=sys.stderr, flush=True)
    with log.open("rb") as file:
        for line in deque(file, maxlen=lines):
            show(line)
        if follow and own is not None:
            anyio.run(_follow, file, own, show)
    return 0


def _log(own: Own | None) -> Path:
    if own is not None and log_of(own).is_file():
        return log_of(own)
    found = [path for path in state_dir().glob(f"{PREFIX}*.log") if path.is_file()]
    if not found:
        raise EngineUnavailable("there is no log: no engine of ours has run yet")
    return max(found, key=lambda path: path.stat().st_mtime)


async def _follow(file: BinaryIO, own: Own, show: Callable[[bytes], None]) -> None:
    while True:
        is_alive = own.home.is_alive()  # asked first, for what it writes before it ends
        if os.fstat(file.fileno()).st_size < file.tell():
            file.seek(0)  # begun anew
        for line in file:
            show(line)
        if not is_alive:
            return
        await anyio.sleep(LOOK_SECONDS)
