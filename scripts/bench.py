"""Measures the agent beside the engine it drives: `make bench`, in a few minutes.

It asserts nothing. docs/bench.md says what each line means and how it is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench_engine import bench_engine, own_engine
from bench_figures import PEERS_MEASURED, Figure, table
from bench_fm import bench_fm
from bench_routing import print_routing
from bench_start import bench_start
from bench_store import bench_store
from bench_stream import bench_cancel, bench_first, bench_sessions, bench_stream
from bench_tools import bench_tools

SECTIONS: dict[str, tuple[str, Callable[[Path], list[Figure]]]] = {
    "start": ("start: serve --demo", bench_start),
    "first": ("first text: time beyond the server's own", bench_first),
    "stream": ("stream", bench_stream),
    "cancel": ("cancel", bench_cancel),
    "sessions": ("sessions", bench_sessions),
    "store": ("sessions store", bench_store),
    "fm": ("mode fm: time beyond the servers' own", bench_fm),
    "tools": ("tools", bench_tools),
    "engine": ("llama.cpp with the demo weights", bench_engine),
}


def main() -> int:
    arguments = _arguments()
    names = arguments.only or list(SECTIONS)
    results: dict[str, list[Figure]] = {}
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="acp-agent-bench-")))
        # An engine of our own: one that others use would answer them too.
        os.environ["XDG_RUNTIME_DIR"] = str(folder)
        if {"start", "engine"} & set(names):
            stack.enter_context(own_engine())
        for name in names:
            title, bench = SECTIONS[name]
            workspace = folder / name
            workspace.mkdir()
            results[name] = bench(workspace.resolve())
            if not arguments.json:
                print(f"\n{table(title, results[name])}", flush=True)
    if arguments.json:
        print(json.dumps(_report(results), indent=2))
    else:
        if not arguments.only:
            print()
            print_routing()
        print(f"\n{_footnote()}; took {time.monotonic() - began:.0f} s")
    return 0


def _report(results: dict[str, list[Figure]]) -> dict[str, object]:
    return {
        "python": sys.version.split()[0],
        "platform": sys.platform,
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "peers_measured": PEERS_MEASURED,
        "sections": {
            name: [figure.as_json() for figure in figures] for name, figures in results.items()
        },
    }


def _footnote() -> str:
    return (
        "direct: the same without the agent, in this run; best peer: as measured on"
        f" {PEERS_MEASURED}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument(
        "--only", action="append", choices=list(SECTIONS), metavar="NAME", help=", ".join(SECTIONS)
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
