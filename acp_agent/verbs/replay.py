"""`acp-agent replay`: a recorded session once more, on the terminal or as ACP."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

from acp_agent.errors import ConfigError
from acp_agent.recording.lines import Line, Opened
from acp_agent.recording.read import Skip, read, trajectory_file
from acp_agent.recording.replay import Update, paced, updates
from acp_agent.verbs.recorded import tell_skipped
from acp_agent.verbs.show import Screen


def run_replay(
    session: str,
    *,
    speed: str | None,
    as_acp: bool,
    out: TextIO,
    skip: Skip = tell_skipped,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Send every update of a session again; 1 if there was none.

    Raises:
        ConfigError: Called wrongly.

    """
    factor = _factor(speed)
    path = trajectory_file(session)
    watched = Watched(read(path, skip))
    timed = updates(watched.lines())
    stream = paced(timed, factor, pause) if factor else (update for _, update in timed)
    screen = Screen(out, out)
    is_empty = True
    for update in stream:
        is_empty = False
        if as_acp:
            print(json.dumps(notification(watched.session_id, update)), file=out, flush=True)
        else:
            show(screen, update)
        if screen.is_gone:
            raise BrokenPipeError
    screen.end()
    if is_empty:
        print(f"acp-agent: nothing was recorded in {str(path)!r}", file=sys.stderr)
    return 1 if is_empty else 0


class Watched:
    """Passes lines on, and knows whose they are."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self.session_id = "unknown"
        self._lines = lines

    def lines(self) -> Iterator[Line]:
        for line in self._lines:
            if isinstance(line, Opened):
                self.session_id = line.id
            yield line


def notification(session_id: str, update: Update) -> dict[str, Any]:
    """Return an update as it goes over the wire."""
    params = {"sessionId": session_id, "update": update}
    return {"jsonrpc": "2.0", "method": "session/update", "params": params}


def show(screen: Screen, update: Update) -> None:
    """Show an update; a file from elsewhere must not command the terminal."""
    update = cast("Update", _harmless(update))
    if update["sessionUpdate"] == "user_message_chunk":
        screen.line(f"> {update['content']['text']}", "bold")
    else:
        screen.update(update)


def _harmless(value: object) -> object:
    if isinstance(value, str):
        return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in value)
    if isinstance(value, dict):
        return {key: _harmless(item) for key, item in cast("Update", value).items()}
    if isinstance(value, list):
        return [_harmless(item) for item in cast("list[object]", value)]
    return value


def _factor(speed: str | None) -> float:
    """Return how fast, 0 for at once."""
    if speed is None:
        return 0
    try:
        factor = float(speed)
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor > 0):
        raise ConfigError(f"--speed: {speed!r} is not a number above 0, such as 2 (twice as fast)")
    return factor
