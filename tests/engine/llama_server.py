"""A program that takes llama-server's place in tests: the real llama.cpp of the wheel, its flags.

What it serves is real: weights, HTTP, slots, crashes. Its command line is not: it knows the flags
of the help text whose age it is given, refuses others as llama-server does, and acts upon few.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from tests.engine.llama_help import AGES


def flags(text: str) -> dict[str, bool]:
    """Return the flags of a help text, and whether each takes a value."""
    found: dict[str, bool] = {}
    for line in text.splitlines():
        head = re.split(r"\s{2,}(?=[^\s-])", line)[0]
        if line.startswith("-"):
            takes = re.search(r" ([A-Z]+|\[on\|off\|auto\])$", head) is not None
            found |= dict.fromkeys(re.findall(r"--?[a-z][\w-]*", head), takes)
    return found


def parse(arguments: list[str], known: dict[str, bool]) -> dict[str, str]:
    """Return the values; end as llama-server does where it does not know a flag."""
    values: dict[str, str] = {}
    rest = iter(arguments)
    for flag in rest:
        if flag not in known:
            sys.exit(f"error: invalid argument: {flag}")
        values[flag] = next(rest) if known[flag] else ""
    return values


def key(values: dict[str, str]) -> str:
    if "--api-key-file" in values:
        return Path(values["--api-key-file"]).read_text().strip()
    return values.get("--api-key") or os.environ["LLAMA_API_KEY"]


def end(ended: threading.Event, _number: int, _frame: FrameType | None) -> None:
    ended.set()


def settle() -> None:
    """Wait for the log, which the wheel writes from a thread that ends with the process.

    The real program writes all of it before it ends.
    """
    size, since = -1, 0
    while since < 10:
        before, size = size, os.fstat(2).st_size
        since = since + 1 if size == before else 0
        time.sleep(0.05)


def serve(values: dict[str, str]) -> int:
    library: Any = import_module("xllamacpp")
    params = library.CommonParams()
    params.model.path = values["--model"]
    params.hostnames, params.port = [values["--host"]], int(values["--port"])
    params.api_keys = [key(values)]
    params.n_ctx = int(values.get("--ctx-size", 0))
    params.n_parallel = int(values["--parallel"])
    params.kv_unified = "--kv-unified" in values
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.endpoint_slots, params.ui, params.offline = True, False, True
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(end, ended))
    try:
        server = library.Server(params)
    except RuntimeError as error:
        settle()
        sys.stderr.write(f"error: {error}\n")
        return 1
    ended.wait()
    del server
    return 0


def main() -> int:
    age, record, *arguments = sys.argv[1:]
    if "--help" in arguments:
        sys.stdout.write(AGES[age])
        sys.stdout.flush()
        return 0
    if "--version" in arguments:
        sys.stderr.write(f"version: 6000 ({age})\nbuilt with the wheel for tests\n")
        sys.stderr.flush()
        return 0
    Path(record).write_text(json.dumps(arguments))
    return serve(parse(arguments, flags(AGES[age])))


if __name__ == "__main__":
    sys.exit(main())
