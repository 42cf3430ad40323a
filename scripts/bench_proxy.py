"""A proxy that notes what an agent asks an engine, and the engine's own figures for it.

It adds a moment to every request, so it is for counts and never for times.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from bench_wire import RECEIVE, SECONDS, Address, Json, Server, event_in, read_request


@dataclass(frozen=True, slots=True)
class Noted:
    """A completion that the engine finished: what was asked, and the last event."""

    body: bytes
    request: Json
    last: Json

    @property
    def is_prefill(self) -> bool:
        return self.request["n_predict"] == 0

    @property
    def length(self) -> int:
        """Return the tokens of the prompt."""
        return len(self.request["prompt"])

    @property
    def evaluated(self) -> int:
        """Return how many of them the engine had to read."""
        return self.last["timings"]["prompt_n"]

    @property
    def predicted(self) -> int:
        return self.last["tokens_predicted"]


class Recorder:
    """What was noted; completions that the agent broke off are not."""

    def __init__(self, engine: Address) -> None:
        self.engine = engine
        self.address = Address("", engine.key)
        self._noted: list[Noted] = []
        self._changed = threading.Condition()

    def note(self, noted: Noted) -> None:
        with self._changed:
            self._noted.append(noted)
            self._changed.notify_all()

    def take(self, complete: Callable[[list[Noted]], bool]) -> list[Noted]:
        """Return what was noted, and forget it, as soon as `complete` says so."""
        with self._changed:
            if not self._changed.wait_for(lambda: complete(self._noted), SECONDS):
                raise TimeoutError(f"the engine did too little within {SECONDS} s")
            noted, self._noted = self._noted, []
            return noted


@contextmanager
def recorder(engine: Address) -> Generator[Recorder]:
    """Listen in front of `engine`."""
    notes = Recorder(engine)
    with Server(partial(_relay, notes)) as server:
        notes.address = Address(server.url, engine.key)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield notes
        finally:
            server.shutdown()


def _relay(notes: Recorder, client: socket.socket) -> None:
    head, body = read_request(client)
    if not head:
        return
    with socket.create_connection(notes.engine.target, SECONDS) as engine:
        engine.sendall(head.encode("latin-1") + b"\r\n\r\n" + body)
        answer = _relayed(client, engine)
    if head.startswith("POST /completion"):
        events = [event for line in answer.split(b"\n") if (event := event_in(line))]
        if events and events[-1].get("stop"):
            notes.note(Noted(body, json.loads(body), events[-1]))


def _relayed(client: socket.socket, engine: socket.socket) -> bytes:
    """Pass the answer on until one side leaves, and return what was passed on."""
    answer = bytearray()
    while engine in select.select([client, engine], [], [], SECONDS)[0]:
        data = engine.recv(RECEIVE)
        if not data:
            break
        answer += data
        with suppress(BrokenPipeError, ConnectionResetError):  # it may leave at the last event
            client.sendall(data)
    return bytes(answer)
