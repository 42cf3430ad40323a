"""The process that holds llama.cpp's server, from the wheel; nobody's child, shared by all agents.

`python -m acp_agent.engine.host --home DIR --model FILE ...` listens on the loopback interface with
a key of its own, says both in the state file, and ends by itself when nobody has used it for a
while. Its log is its standard error. While the weights load, the wheel holds the interpreter: a
signal then ends the process as the system does it, and the server itself answers `503 Loading`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from acp_agent.engine.activity import Activity
from acp_agent.engine.home import EngineHome, EngineState, Lock
from acp_agent.engine.last_words import explain
from acp_agent.engine.marks import is_put
from acp_agent.engine.spec import EngineSpec

HOST = "127.0.0.1"
LAST_LINE, LOG_LOOKS = "exiting due to", 50
ATTEMPTS = 3  # somebody may take a free port between our look and llama.cpp's


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until unused or told to end; return the exit status."""
    options = _parse(arguments)
    home = EngineHome(options.home)
    alive = home.lock("alive") if options.alive is None else Lock(os.fdopen(options.alive, "ab"))
    if alive is None:
        return 0  # another one was faster, and is as good
    if options.detach:
        _detach(alive)
    spec = EngineSpec(
        options.model,
        options.context,
        options.parallel,
        options.batch,
        options.ubatch,
        options.port,
        options.threads,
    )
    return serve(spec, home, options.log, Patience(options.linger, options.idle))


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds after which the engine ends: without users, and without anything to do (0: never)."""

    linger: float
    idle: float


def serve(spec: EngineSpec, home: EngineHome, log: Path, patience: Patience) -> int:
    """Load the model, answer, and end. The caller holds the home's `alive` lock."""
    for attempt in range(1, ATTEMPTS + 1):
        port = spec.port or _free_port()
        key = secrets.token_urlsafe(32)
        url = f"http://{HOST}:{port}"
        state = EngineState(os.getpid(), url, key, str(spec.model), time.time())
        home.write(state)
        try:
            server = _llama(spec, port, key)
        except RuntimeError:
            words = explain(_whole_log(log), spec.model)
            if spec.port or attempt == ATTEMPTS or "in use" not in words:
                home.write(replace(state, failure=words))
                return 1
            os.truncate(log, 0)
            continue
        _stay(server, home, replace(state, ready=True), patience)
        return 0
    return 1


def _stay(server: object, home: EngineHome, state: EngineState, patience: Patience) -> None:
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    home.write(state)
    activity = Activity(state.url, state.key)
    closing = _wait_until_unused(home, activity, patience, ended)
    home.forget()
    del server
    if closing is not None:
        closing.release()


def _llama(spec: EngineSpec, port: int, key: str) -> object:
    """Return the server, which answers as long as it is referenced. Raises RuntimeError."""
    # Imported here: only this process pays for a library of 100 MB, and only after the fork; by
    # name, because it has no types.
    xllamacpp: Any = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(spec.model)
    params.model_alias = {spec.model.stem}
    params.hostnames, params.port, params.api_keys = [HOST], port, [key]
    params.n_ctx, params.n_parallel = spec.context, spec.parallel
    params.n_batch = spec.batch or params.n_batch
    params.n_ubatch = spec.ubatch or params.n_ubatch
    params.kv_unified = True  # every slot may use the whole context
    params.cache_ram_mib = _prompt_cache(spec.model)
    if spec.threads:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = spec.threads
    params.ui, params.offline = False, True
    params.endpoint_slots = params.endpoint_metrics = True
    return xllamacpp.Server(params)


def _prompt_cache(model: Path) -> int:
    """Return the MiB in which conversations without a slot are kept: a share of the weights' size.

    llama.cpp's own 8 GiB would fill a laptop with what was said long ago.
    """
    weights = model.stat().st_size >> 20
    return min(2048, max(128, weights // 8))


def _wait_until_unused(
    home: EngineHome, activity: Activity, patience: Patience, ended: threading.Event
) -> Lock | None:
    """Return when told to end, when idle for long, or when unused: then with the `users` lock.

    While we keep that lock, newcomers wait for us to be gone, and then start another. Users whose
    engine was idle start another when they need one again.
    """
    pause = min(1.0, max(0.05, min(patience.linger, patience.idle or 4) / 4))
    unused_since: float | None = None
    while not ended.wait(pause):
        if activity.is_idle(patience.idle):
            return None
        if is_put(home, "kept", os.getpid()):
            unused_since = None
            continue
        lock = home.lock("users")
        if lock is None:
            unused_since = None
            continue
        now = time.monotonic()
        unused_since = now if unused_since is None else unused_since
        if now - unused_since >= patience.linger:
            return lock
        lock.release()
    return None


def _whole_log(log: Path) -> str:
    """Return the log once its last line is there: llama.cpp writes it from a thread of its own."""
    text = ""
    for _ in range(LOG_LOOKS):
        text = log.read_text(encoding="utf-8", errors="replace")
        if LAST_LINE in text:
            break
        time.sleep(0.02)
    return text


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


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
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    for name in ("--context", "--batch", "--ubatch", "--port", "--threads"):
        parser.add_argument(name, type=int, default=0)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--linger", type=float, default=60.0, help="seconds without users")
    parser.add_argument("--idle", type=float, default=0.0, help="seconds with nothing to do")
    parser.add_argument("--alive", type=int, help="the lock, open already")
    parser.add_argument("--detach", action="store_true", help="go into the background")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
