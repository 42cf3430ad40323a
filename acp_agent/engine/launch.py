"""Finds the engine that already runs, or starts it; one for all agents of this user.

The model is not awaited: an engine that listens and loads answers `503`, and whoever asks it waits.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint
from acp_agent.engine import backoff
from acp_agent.engine.home import PREFIX, Crash, EngineHome, EngineState, Lock, LockName
from acp_agent.engine.last_words import explain, read_log
from acp_agent.engine.obituary import cause
from acp_agent.engine.spec import EngineSpec, Patience
from acp_agent.errors import EngineFailed, EngineUnavailable
from acp_agent.paths import runtime_dir, state_dir

logger = logging.getLogger(__name__)

START_SECONDS = 30.0
ANSWER_SECONDS = 1.0
PAUSE = 0.02


class Launcher:
    """The engine for `spec`, as long as this is entered; `locate` finds or starts it.

    An engine that we start outlives its last user by `linger` seconds, and ends when it had
    nothing to do for `idle` seconds (0: it stays), to give the memory back; `patience` says more.
    One that runs already is asked to stay as long as we want, if that is longer. `engine` is the
    one that was found last.
    """

    def __init__(
        self,
        spec: EngineSpec,
        *,
        linger: float = 60.0,
        idle: float = 0.0,
        patience: Patience | None = None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._spec = spec
        self._patience = patience or Patience(linger, idle)
        self._start_seconds = start_seconds
        self._lease: Lock | None = None
        self.engine: EngineState | None = None
        self._one_at_a_time = anyio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    async def locate(self) -> Endpoint:
        """Return where the engine answers; from now on it stays, until this is left.

        Raises:
            EngineUnavailable: There is no such model file, or the engine does not answer.
            EngineFailed: The engine could not load the model; the text is its own reason.

        """
        home = self._home()
        try:
            with anyio.fail_after(self._start_seconds) as limit:
                state = await self._find(home, limit)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise EngineUnavailable(
                    f"the engine did not listen within {self._start_seconds:g} s;"
                    f" see {self._log(home)}"
                ) from None
            raise EngineUnavailable(f"cannot start the engine: {error}") from None
        return Endpoint(state.url, state.key)

    async def _find(self, home: EngineHome, limit: anyio.CancelScope) -> EngineState:
        async with self._one_at_a_time:
            self._release()
            # The lease comes first: an engine that somebody uses does not end.
            self._lease = await _acquire(home, "users", shared=True)
            starting = await _acquire(home, "starting")
            try:
                self.engine = await self._running(home, limit) or await self._start(home, limit)
                asked = home.asked_linger(self.engine.pid) or 0.0
                if max(asked, self.engine.linger) < self._patience.linger:
                    home.ask_linger(self.engine.pid, self._patience.linger)
            finally:
                starting.release()
            return self.engine

    def _release(self) -> None:
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def _home(self) -> EngineHome:
        if self._spec.model.is_dir():
            raise EngineUnavailable(f"{self._spec.model} is a directory; name a GGUF file in it")
        try:
            digest = self._spec.digest()
        except OSError as error:
            reason = error.strerror or error
            raise EngineUnavailable(f"cannot use {self._spec.model}: {reason}") from None
        try:
            return EngineHome(runtime_dir() / f"{PREFIX}{digest}")
        except OSError as error:
            raise EngineUnavailable(f"cannot start the engine: {error}") from None

    def _log(self, home: EngineHome) -> Path:
        return state_dir() / f"{home.path.name}.log"

    async def _running(self, home: EngineHome, limit: anyio.CancelScope) -> EngineState | None:
        """Return the engine that listens or is about to, None if there is none."""
        state = await self._listening(home, limit)
        if state is None:
            self._mourn(home)
        return state

    def _mourn(self, home: EngineHome) -> None:
        """Raise why the engine that we gave out never came to load its model, if it did not.

        Raise, too, of one that keeps crashing, why and until when it is left alone.
        """
        left, given = self._bury(home), self.engine
        if left is not None and given is not None and left.key == given.key and not left.ready:
            self.engine = None
            raise EngineFailed(left.failure or self._last_words(home))
        crashes, now = home.crashes(), time.time()
        seconds = backoff.wait(crashes, now)
        if seconds:
            raise EngineFailed(
                f"{backoff.describe(crashes, now, seconds)} (log: {self._log(home)})"
            )

    def _bury(self, home: EngineHome) -> EngineState | None:
        """Remove what a dead engine said, and return it; note that it crashed, if it did."""
        left = home.read()
        home.forget()
        if left is not None and (left.ready or not left.failure):
            home.note_crash(Crash(time.time(), cause(left)))
        return left

    async def _start(self, home: EngineHome, limit: anyio.CancelScope) -> EngineState:
        log = self._log(home)
        _keep(log)
        with log.open("ab") as output:
            await anyio.run_process(
                self._command(home, log),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                start_new_session=True,
            )
        state = await self._listening(home, limit)
        if state is None:
            left = self._bury(home)
            raise EngineFailed((left and left.failure) or self._last_words(home))
        logger.info("engine %d listens at %s", state.pid, state.url)
        return state

    async def _listening(self, home: EngineHome, limit: anyio.CancelScope) -> EngineState | None:
        """Wait for a living host to listen; return None once it is not alive."""
        while home.is_alive():
            state = home.read()
            if state is not None and state.url and not state.failure:
                if await _answers(state):
                    return state
                if state.stall and not state.ready:  # it is ended if its model hangs
                    limit.deadline = anyio.current_time() + self._start_seconds
            await anyio.sleep(PAUSE)
        return None

    def _command(self, home: EngineHome, log: Path) -> list[str]:
        values = {
            "home": home.path,
            "log": log,
            "spec": self._spec.to_json(),
            "patience": self._patience.to_json(),
        }
        flags = [part for name, value in values.items() for part in (f"--{name}", str(value))]
        # -P: Python would look for modules in the current directory first, the user's project.
        return [sys.executable, "-P", "-m", "acp_agent.engine.host", "--detach", *flags]

    def _last_words(self, home: EngineHome) -> str:
        log = self._log(home)
        words = explain(read_log(log), self._spec.model)
        return f"{words} (log: {log})"


def _keep(log: Path) -> None:
    """Begin a new log; what the last engine said stays beside it."""
    with suppress(FileNotFoundError):
        log.replace(log.with_suffix(".log.1"))


async def _answers(state: EngineState) -> bool:
    # It may be someone else's port, which the engine is about to be refused; that one may be mute.
    with anyio.move_on_after(ANSWER_SECONDS):
        return await _is_llama(state)
    return False


async def _is_llama(state: EngineState) -> bool:
    try:
        async with http.request("GET", state.url + "/v1/models", key=state.key) as response:
            return response.status in (200, 503)
    except http.HttpError:
        return False


async def _acquire(home: EngineHome, name: LockName, *, shared: bool = False) -> Lock:
    while True:
        lock = home.lock(name, shared=shared)
        if lock is not None:
            return lock
        await anyio.sleep(PAUSE)
