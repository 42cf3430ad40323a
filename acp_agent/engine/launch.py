"""Finds the engine that already runs, or starts it; one for all agents of this user.

The model is not awaited: an engine that listens and loads answers `503`, and whoever asks it waits.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint
from acp_agent.engine.home import PREFIX, EngineHome, EngineState, Lock, LockName
from acp_agent.engine.last_words import explain
from acp_agent.engine.spec import EngineSpec
from acp_agent.errors import EngineFailed, EngineUnavailable
from acp_agent.paths import runtime_dir, state_dir

logger = logging.getLogger(__name__)

START_SECONDS = 30.0
ANSWER_SECONDS = 1.0
PAUSE = 0.02


class Launcher:
    """The engine for `spec`, as long as this is entered; `locate` finds or starts it.

    An engine that we start outlives its last user by `linger` seconds, and ends when it had
    nothing to do for `idle` seconds (0: it stays), to give the memory back. `engine` is the one
    that was found last.
    """

    def __init__(
        self,
        spec: EngineSpec,
        *,
        linger: float = 60.0,
        idle: float = 0.0,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._spec = spec
        self._linger = linger
        self._idle = idle
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
            with anyio.fail_after(self._start_seconds):
                state = await self._find(home)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise EngineUnavailable(
                    f"the engine did not listen within {self._start_seconds:g} s;"
                    f" see {self._log(home)}"
                ) from None
            raise EngineUnavailable(f"cannot start the engine: {error}") from None
        return Endpoint(state.url, state.key)

    async def _find(self, home: EngineHome) -> EngineState:
        async with self._one_at_a_time:
            self._release()
            # The lease comes first: an engine that somebody uses does not end.
            self._lease = await _acquire(home, "users", shared=True)
            starting = await _acquire(home, "starting")
            try:
                self.engine = await self._running(home) or await self._start(home)
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

    async def _running(self, home: EngineHome) -> EngineState | None:
        """Return the engine that listens or is about to, None if there is none."""
        state = await _listening(home)
        if state is None:
            self._mourn(home)
        return state

    def _mourn(self, home: EngineHome) -> None:
        """Raise why the engine that we gave out never came to load its model, if it did not."""
        left, given = home.read(), self.engine
        home.forget()
        if left is not None and given is not None and left.key == given.key and not left.ready:
            self.engine = None
            raise EngineFailed(left.failure or self._last_words(home))

    async def _start(self, home: EngineHome) -> EngineState:
        log = self._log(home)
        with log.open("ab") as output:
            output.truncate(0)
            await anyio.run_process(
                self._command(home, log),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                start_new_session=True,
            )
        state = await _listening(home)
        if state is None:
            left = home.read()
            home.forget()
            raise EngineFailed((left and left.failure) or self._last_words(home))
        logger.info("engine %d listens at %s", state.pid, state.url)
        return state

    def _command(self, home: EngineHome, log: Path) -> list[str]:
        spec = self._spec
        values = {
            "home": home.path,
            "log": log,
            "model": spec.model.resolve(),
            "context": spec.context,
            "parallel": spec.parallel,
            "batch": spec.batch,
            "ubatch": spec.ubatch,
            "port": spec.port,
            "threads": spec.threads,
            "linger": self._linger,
            "idle": self._idle,
        }
        flags = [part for name, value in values.items() for part in (f"--{name}", str(value))]
        # -P: Python would look for modules in the current directory first, the user's project.
        return [sys.executable, "-P", "-m", "acp_agent.engine.host", "--detach", *flags]

    def _last_words(self, home: EngineHome) -> str:
        log = self._log(home)
        words = explain(log.read_text(encoding="utf-8", errors="replace"), self._spec.model)
        return f"{words} (log: {log})"


async def _listening(home: EngineHome) -> EngineState | None:
    """Wait for a living host to listen; return None once it is not alive."""
    while home.is_alive():
        state = home.read()
        if state is not None and not state.failure and await _answers(state):
            return state
        await anyio.sleep(PAUSE)
    return None


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
