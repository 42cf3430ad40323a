"""One kept container, and the programs that run in it.

The engine has no call that ends a program, and one that has ended its connection runs on. So what
belongs to a program is found by its session and killed from inside; where that cannot be done, the
container is thrown away for a new one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

from acp_agent.errors import ToolFailed
from acp_agent.sandbox.confined import LAUNCHER
from acp_agent.sandbox.docker_engine import Engine, Gone
from acp_agent.sandbox.docker_stream import Stream

CLEAN_UP_SECONDS = 10.0
SWEEP_SECONDS = 5.0
_ENDED = "the container has ended; its image must have sh and cat"
# What runc and crun say of a container that the engine's list still calls running.
_SAID_OF_ENDED = ("stopped state", "deleted state", "has stopped", "is not running")
_POLL_SECONDS = (0.02, 0.2)

# The program says where it is before it begins, and waits until it is listened to. The launcher
# denies it what the engine's own filter may allow: sockets that lie in the workspace, io_uring.
_BEGIN = """
launcher=$1; shift
command -v -- "$1" >/dev/null 2>&1 || { echo "there is no such program in the image"; exit 127; }
echo "$$"; read -r _ || exit
exec python3 -I -S -c "$launcher" --inside container --internet yes -- "$@"
"""
_INTERRUPT = 'kill -s INT -- "-$1"'
# Ends all sessions but those given, with what the shell has built in: there may be no room for
# another process. What is stopped first cannot make new ones while the others are killed.
_SWEEP = """
keep=" 1 $$ $* "
for round in 1 2 3 4 5 6 7 8 9 10; do
  found=
  for signal in STOP KILL; do
    for directory in /proc/[0-9]*; do
      { read -r stat < "$directory/stat"; } 2>/dev/null || continue
      set -- ${stat##*) }
      case "$1" in Z|X) continue ;; esac
      case "$keep" in *" $4 "*) continue ;; esac
      found=1
      kill -s "$signal" "${directory#/proc/}" 2>/dev/null
    done
  done
  [ "$found" ] || exit 0
done
exit 1
"""


class Container:
    """A `Sandbox`; `make` is how to create one more container, by its options."""

    name = "docker"

    def __init__(self, engine: Engine, options: Mapping[str, Any]) -> None:
        self._engine = engine
        self._options = options
        self._id = ""
        self._held: Stream | None = None
        self._sessions: set[str] = set()
        # A program that has not said its session yet would be swept away as a stray.
        self._lock = anyio.Lock()

    async def open(self) -> None:
        """Make the container and start it. Raises ToolFailed."""
        self._id, holder = await self._engine.do("make a container", self._create, wait=True)
        self._held = Stream(holder)

    async def close(self) -> None:
        """Remove the container with all that runs in it; never fails, never takes long."""
        name, self._id = self._id, ""
        held, self._held = self._held, None
        self._sessions.clear()
        if not name:
            return
        with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
            await remove_container(self._engine, name)
        # Earlier, the end of its input would make the engine remove it at the same time.
        if held is not None:
            held.close()

    @asynccontextmanager
    async def start(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> AsyncGenerator[Program]:
        """Run a program; `env` is added to what the image has. Raises ToolFailed if it cannot."""
        program = await self._begin(argv, cwd, env)
        try:
            yield program
        finally:
            program.close()
            with anyio.CancelScope(shield=True):
                await self._sweep(program)

    async def run(self, script: str, *arguments: str) -> int:
        """Run a shell script to its end; return its exit status. Raises ToolFailed."""

        def run(client: Any) -> int:
            command = ["sh", "-c", script, "sh", *arguments]
            made = client.api.exec_create(self._id, command)
            client.api.exec_start(made["Id"])
            return client.api.exec_inspect(made["Id"])["ExitCode"]

        return await self._engine.do("run a program", run)

    async def _begin(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Program:
        async with self._lock:
            try:
                exec_id, holder = await self._exec(argv, cwd, env)
            except Gone:
                # Something killed it, perhaps for want of memory.
                await self._renew()
                exec_id, holder = await self._again(argv, cwd, env)
            stream = Stream(holder)
            try:
                session, rest = await _first_line(stream)
                if not session.isdecimal():
                    await self._check()
                    reason = (session + rest.decode(errors="replace"))[:300].strip()
                    if any(words in reason for words in _SAID_OF_ENDED):
                        raise ToolFailed(_ENDED)
                    raise ToolFailed(f"cannot run {argv[0]!r} in the sandbox: {reason}")
                stream.push_back(rest)
                await stream.send(b"\n")
            except BaseException:
                stream.close()
                raise
            self._sessions.add(session)
        return Program(self, self._engine, exec_id, session, stream)

    async def _again(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> tuple[str, Any]:
        try:
            return await self._exec(argv, cwd, env)
        except Gone:
            raise ToolFailed(_ENDED) from None

    async def _check(self) -> None:
        """Raise ToolFailed if the container has ended."""
        name = self._id
        running = await self._engine.do(
            "ask about a container",
            lambda client: client.api.containers(filters={"id": name, "status": "running"}),
        )
        if not running:
            raise ToolFailed(_ENDED)

    async def _exec(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> tuple[str, Any]:
        def start(client: Any) -> tuple[str, Any]:
            made = client.api.exec_create(
                self._id,
                ["sh", "-c", _BEGIN, "sh", LAUNCHER.read_text(encoding="utf-8"), *argv],
                stdin=True,
                workdir=str(cwd),
                environment=dict(env),
            )
            return made["Id"], client.api.exec_start(made["Id"], socket=True)

        return await self._engine.do("run a program", start, wait=True)

    async def _sweep(self, program: Program) -> None:
        """Kill the program and all it started."""
        async with self._lock:
            self._sessions.discard(program.session)
            if not self._id:
                return
            with anyio.move_on_after(SWEEP_SECONDS), suppress(ToolFailed):
                if await self.run(_SWEEP, *self._sessions) == 0:
                    return
            with suppress(ToolFailed):
                await self._renew()

    async def _renew(self) -> None:
        await self.close()
        await self.open()

    def _create(self, client: Any) -> tuple[str, Any]:
        options = dict(self._options)
        options["nano_cpus"] = min(options["nano_cpus"], int(client.info()["NCPU"] * 1e9))
        made = client.containers.create(**options)
        try:
            holder = client.api.attach_socket(made.id, {"stdin": 1, "stream": 1})
            made.start()
        except BaseException:
            made.remove(force=True)
            raise
        return made.id, holder


async def remove_container(engine: Engine, name: str) -> None:
    """Remove a container and wait until it is gone; never fails."""
    with suppress(ToolFailed):
        await engine.do("remove a container", lambda c: _remove(c, name))
    pause, longest = _POLL_SECONDS
    with suppress(ToolFailed):
        while await engine.do("list containers", lambda c: c.api.containers(**_only(name))):
            await anyio.sleep(pause)  # it is being removed already
            pause = min(2 * pause, longest)


def _remove(client: Any, name: str) -> None:
    client.api.remove_container(name, force=True, v=True)


def _only(name: str) -> dict[str, Any]:
    return {"all": True, "filters": {"id": name}}


class Program:
    """A `Running` in a container."""

    def __init__(
        self, container: Container, engine: Engine, exec_id: str, session: str, stream: Stream
    ) -> None:
        self._container = container
        self._engine = engine
        self._exec_id = exec_id
        self._stream = stream
        self.session = session

    @property
    def output(self) -> Stream:
        return self._stream

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def interrupt(self) -> None:
        with suppress(ToolFailed):  # It has ended, or there is no room for one more process.
            await self._container.run(_INTERRUPT, self.session)

    async def wait(self) -> int:
        pause, longest = _POLL_SECONDS

        def inspect(client: Any) -> dict[str, Any]:
            return client.api.exec_inspect(self._exec_id)

        while True:
            try:
                state = await self._engine.do("ask about a program", inspect)
            except ToolFailed:  # The container is gone, and whatever ran in it.
                return -9
            if not state["Running"] and state["ExitCode"] is not None:
                code: int = state["ExitCode"]
                return 128 - code if 128 < code <= 192 else code
            await anyio.sleep(pause)  # the engine tells nobody when a program has ended
            pause = min(2 * pause, longest)

    def close(self) -> None:
        self._stream.close()


async def _first_line(stream: Stream) -> tuple[str, bytes]:
    """Return the first line of the output and what came with it."""
    line = b""
    async for data in stream:
        line += data
        if b"\n" in line:
            break
    first, _, rest = line.partition(b"\n")
    return first.decode(errors="replace").strip(), rest
