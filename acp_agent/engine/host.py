"""The process that serves a model, by the wheel or by a `llama-server`; nobody's child, shared.

`python -m acp_agent.engine.host --home DIR --spec JSON ...` listens on the loopback interface with
a key of its own, says both in the state file, and ends by itself when nobody has used it for a
while. Its log is its standard error. One process kind hosts either server, so that locks, state and
end are the same for both.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from acp_agent.engine.home import EngineHome, EngineState, Lock
from acp_agent.engine.last_words import explain_crash, read_log
from acp_agent.engine.loading import loaded, look_before
from acp_agent.engine.order import LoadFailed, Server
from acp_agent.engine.spec import EngineSpec, Patience
from acp_agent.engine.stall import watched
from acp_agent.engine.watch import Watch

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until unused or told to end; return the exit status."""
    options = _parse(arguments)
    home = EngineHome(options.home)
    handed = None if options.alive is None else Lock(os.fdopen(options.alive, "ab"))
    alive = handed or home.lock_soon("alive")  # who asks whether we live holds it for a moment
    if alive is None:
        return 0  # another one was faster, and is as good
    if options.detach:
        _detach(alive)
    logging.basicConfig(level=logging.INFO, format="engine: %(message)s")
    status = serve(options.spec, home, options.log, options.patience)
    # The lock goes with the process, after its memory: whoever waits for it finds both free.
    sys.stderr.flush()
    os._exit(status)


def serve(spec: EngineSpec, home: EngineHome, log: Path, patience: Patience) -> int:
    """Load the model, answer, and end. The caller holds the home's `alive` lock."""
    state = EngineState(
        os.getpid(),
        url="",
        key=secrets.token_urlsafe(32),
        model=str(spec.model),
        started=time.time(),
        log=str(log),
        linger=patience.linger,
        idle=patience.idle,
        keepalive=patience.keepalive,
        limit=patience.limit,
        stall=patience.stall,
    )
    home.write(state)
    try:
        with watched(home, state):
            found = look_before(spec)
            state = replace(state, warnings=found.warnings)
            server, state = loaded(spec, found, home, state)
    except LoadFailed as error:
        home.write(replace(home.read() or state, failure=str(error)))
        return 1
    return _stay(server, home, state, patience)


def _stay(server: Server, home: EngineHome, state: EngineState, patience: Patience) -> int:
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    home.write(state)
    watch = Watch(server, home, state, patience)
    reason, closing = watch.until_end(ended)
    if reason == "crashed":
        words = explain_crash(read_log(Path(state.log)))
        server.close()
        home.write(replace(state, failure=words or f"{server.kind} ended without a word"))
        return 1
    logger.info("ends: %s", reason)
    server.close()
    home.forget()
    if closing is not None:
        home.remove("alive", "users")  # nobody can have anything to do with it
        closing.release()
    return 0


def _detach(alive: Lock) -> None:
    """Go on as a child of nobody's; whoever started us waits for this process only.

    The child is a new program, because macOS's frameworks do not survive a bare fork; the lock
    goes with it.
    """
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")  # whose directory we were started in may want to remove it
    kept = [argument for argument in sys.argv[1:] if argument != "--detach"]
    command = [sys.executable, "-P", "-m", "acp_agent.engine.host", *kept]
    os.execv(command[0], [*command, "--alive", str(alive.handed_on())])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="acp_agent.engine.host", allow_abbrev=False)
    parser.add_argument("--home", type=Path, required=True, help="directory of state and locks")
    parser.add_argument("--log", type=Path, required=True, help="the file that stderr goes to")
    parser.add_argument("--spec", type=EngineSpec.from_json, required=True, help="what to run")
    parser.add_argument("--patience", type=Patience.from_json, default=Patience())
    parser.add_argument("--alive", type=int, help="the lock, open already")
    parser.add_argument("--detach", action="store_true", help="go into the background")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
