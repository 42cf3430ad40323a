"""A process that answers like llama.cpp's server, at a fixed pace, and notes when it did what.

What it streams is `<|channel|>final<|message|>` and then the same word again and again; to a chat
request the word alone. It is told what to do, and asked what happened, by requests under /bench.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

from bench_wire import SECONDS, Address, Json, Server, ask, read_request

from acp_agent.harmony.vocab import CHANNEL, MESSAGE, RETURN

WORD = " word"
WORD_ID = 2195
FINAL_ID = 17196
HEADER = ((CHANNEL, "<|channel|>"), (FINAL_ID, "final"), (MESSAGE, "<|message|>"))
CHAT = "/v1/chat/completions"
CHAT_HEAD = 1  # chunks before the first word
PROPS = {"default_generation_settings": {"n_ctx": 131_072}}
STREAM = (
    b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


class Plan(NamedTuple):
    """How to answer: `words` of text at `pace` tokens a second (0: at once), after `delay`."""

    words: int
    pace: float
    delay: float = 0.02

    @property
    def seconds(self) -> float:
        """Return how long an answer takes."""
        return self.delay + (len(HEADER) + self.words) / self.pace if self.pace else self.delay


class Served(NamedTuple):
    """One completion: when it was asked for, when each word was written, when the client left."""

    received: float
    words: list[float]
    closed: float | None


class StandIn:
    """The handle of the process that runs the server."""

    def __init__(self, port: int) -> None:
        self.address = Address(f"http://127.0.0.1:{port}")

    def plan(self, plan: Plan) -> None:
        """Say how to answer from now on."""
        ask(self.address, "POST", "/bench/plan", plan._asdict())

    def requests(self) -> int:
        """Return how many requests came since the last `forget` or `take`, ours not among them."""
        return len(ask(self.address, "GET", "/bench/notes")["requests"])

    def take(self, count: int) -> list[Served]:
        """Wait until so many completions are over, return them and forget them."""
        served = self._when("served", count)
        ask(self.address, "POST", "/bench/forget")
        return [Served(*entry) for entry in served]

    def wait_for_prefills(self, count: int) -> None:
        """Wait until so many prompts were read ahead since the last `forget` or `take`."""
        self._when("prefills", count)

    def forget(self) -> None:
        """Forget what happened until now."""
        ask(self.address, "POST", "/bench/forget")

    def _when(self, what: str, count: int) -> list[Any]:
        until = time.monotonic() + SECONDS
        while len(found := ask(self.address, "GET", "/bench/notes")[what]) < count:
            if time.monotonic() > until:
                raise TimeoutError(f"only {len(found)} of {count} {what} within {SECONDS} s")
            time.sleep(0.01)
        return found


@contextmanager
def stand_in() -> Generator[StandIn]:
    """Run a server in a process of its own."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield StandIn(int(process.stdout.readline()))
        finally:
            process.kill()


# ---------------------------------------------------------------- the process


class _Engine:
    """Answers the requests; one plan and one set of notes for all of them."""

    def __init__(self) -> None:
        self._plan = Plan(10, 150)
        self._notes = _no_notes()

    def serve(self, client: socket.socket) -> None:
        head, body = read_request(client)
        received = time.monotonic()
        method, path, *_ = head.split(" ") if head else ("", "")
        if path and not path.startswith("/bench/"):
            self._notes["requests"].append(path)
        match [method, path]:
            case ["POST", "/completion"]:
                self._complete(client, json.loads(body), received)
            case ["POST", "/v1/chat/completions"]:
                self._note(client, received, partial(_chat, self._plan))
            case ["POST", "/bench/plan"]:
                self._plan = Plan(**json.loads(body))
                _answer(client, {})
            case ["POST", "/bench/forget"]:
                self._notes = _no_notes()
                _answer(client, {})
            case ["GET", "/bench/notes"]:
                _answer(client, self._notes)
            case ["GET", "/props"]:
                _answer(client, PROPS)
            case _:
                _answer(client, {"status": "ok", "data": [{"id": "stand-in"}]})

    def _complete(self, client: socket.socket, request: Json, received: float) -> None:
        length = len(request["prompt"])
        if request["n_predict"] == 0:
            client.sendall(STREAM + _end(0, length))
            self._notes["prefills"].append(length)
            return
        self._note(client, received, partial(_completion, self._plan, length))

    def _note(self, client: socket.socket, received: float, written: Callable[[], Written]) -> None:
        notes, served = self._notes, Served(received, [], None)
        try:
            gone = _stream(client, self._plan, served, written())
        except (BrokenPipeError, ConnectionResetError):
            gone = time.monotonic()
        notes["served"].append(served._replace(closed=gone))


def _no_notes() -> dict[str, list[Any]]:
    return {"served": [], "prefills": [], "requests": []}


class Written(NamedTuple):
    """What goes over the wire: the first `head` of the paced pieces hold no word yet."""

    pieces: Iterable[bytes]
    head: int
    end: bytes


def _completion(plan: Plan, length: int) -> Written:
    tokens = chain(HEADER, repeat((WORD_ID, WORD), plan.words))
    last = len(HEADER) + plan.words + 1
    return Written(
        (_event(number, *token, length) for number, token in enumerate(tokens, 1)),
        len(HEADER),
        _event(last, RETURN, "", length) + _end(last, length),
    )


def _chat(plan: Plan) -> Written:
    word = _chunk(_chat_event({"content": WORD}))
    return Written(
        chain([_chunk(_chat_event({"role": "assistant"}))], repeat(word, plan.words)),
        CHAT_HEAD,
        _chunk(_chat_event({}, "stop")) + _chunk("[DONE]") + b"0\r\n\r\n",
    )


def _chat_event(delta: Json, finish: str | None = None) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _stream(client: socket.socket, plan: Plan, served: Served, written: Written) -> float | None:
    """Write the answer; return when the client left, None if it stayed."""
    client.sendall(STREAM)
    for number, piece in enumerate(written.pieces, 1):
        due = served.received + plan.delay + (number / plan.pace if plan.pace else 0)
        if _leaves_before(due, client):
            return time.monotonic()
        if number > written.head:
            served.words.append(time.monotonic())
        client.sendall(piece)
    client.sendall(written.end)
    return None


def _leaves_before(due: float, client: socket.socket) -> bool:
    left = due - time.monotonic()
    return left > 0 and bool(select.select([client], [], [], left)[0])


def _answer(client: socket.socket, value: object) -> None:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    client.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)


def _event(number: int, token: int, text: str, length: int) -> bytes:
    return _chunk(
        f'{{"index":0,"content":"{text}","tokens":[{token}],"stop":false,"id_slot":-1,'
        f'"tokens_predicted":{number},"tokens_evaluated":{length}}}'
    )


def _end(number: int, length: int) -> bytes:
    timings = {"cache_n": 0, "prompt_n": length, "prompt_ms": 1.0, "predicted_n": number}
    value: Json = {
        "content": "",
        "tokens": [],
        "stop": True,
        "stop_type": "eos",
        "truncated": False,
        "timings": {**timings, "predicted_ms": 1.0},
        "tokens_predicted": number,
        "tokens_evaluated": length,
    }
    return _chunk(json.dumps(value)) + b"0\r\n\r\n"


def _chunk(event: str) -> bytes:
    data = f"data: {event}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def main() -> None:
    """Serve until the bench has gone."""
    with Server(_Engine().serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
