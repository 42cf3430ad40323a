"""Writes sessions in processes that are killed at any moment; says what each had acknowledged.

`python -m tests.recording.writers DIRECTORY SEED COUNT` prints one number a line: the last turn
that session `sess_0`, `sess_1` and so on had ended.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import anyio

from acp_agent.conversation import Message, ModelStep, UserMessage
from acp_agent.events import StepMeasured, TextDelta, ThoughtDelta, UsageUpdated
from acp_agent.recording.lines import Opened
from acp_agent.recording.trajectory import Trajectory, now

TURNS, WORDS = 5, 30


def answer(number: int) -> str:
    return " ".join(f"word{number}.{i}" for i in range(WORDS)) + " 👋"


async def write(path: Path, told: int) -> None:
    """Write a session to its end, a byte to `told` for each line, and the number of each turn."""
    record = Trajectory(path, Opened(now(), path.stem, "/code"))
    for number in range(1, TURNS + 1):
        message = UserMessage(f"prompt {number}")
        record.turn(number, message)
        record.added(message)
        record.event(ThoughtDelta(f"{number}.t", "hm"))
        for word in answer(number).split(" "):
            record.event(TextDelta(f"{number}.m", f"{word} "))
            os.write(told, b".")
        record.added(ModelStep((Message("final", answer(number)),), (), (1, 2, number)))
        record.event(StepMeasured(5, 5, 0, WORDS))
        record.event(UsageUpdated(number, 100))
        await record.end(number, "end_turn")
        os.write(told, b"%d\n" % number)
    record.close()


def killed(path: Path, after: int, pause: float) -> int:
    """Kill a writer after it has told `after` bytes; return the last turn that it had ended."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(heard)
        anyio.run(write, path, told)
        os._exit(0)
    os.close(told)
    said = b""
    while len(said) < after and (data := os.read(heard, 64)):
        said += data
    time.sleep(pause)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while data := os.read(heard, 65536):
        said += data
    os.close(heard)
    whole = said[: said.rfind(b"\n") + 1].replace(b".", b"")
    return int(whole.split()[-1]) if whole else 0


def main() -> None:
    folder, seed, count = sys.argv[1:]
    anyio.run(anyio.sleep, 0)  # imports what every writer would
    chance = random.Random(int(seed))
    for number in range(int(count)):
        after = chance.randrange(TURNS * (WORDS + 3))
        print(killed(Path(folder) / f"sess_{number}.jsonl", after, chance.random() / 500))  # noqa: T201  its result


if __name__ == "__main__":
    main()
