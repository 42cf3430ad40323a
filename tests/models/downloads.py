"""A program that downloads in processes of its own, forked so that they begin at once.

Each line on stdin, "address part", begins one, whose process id is answered. Started as
`python -m tests.models.downloads`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio

from acp_agent.models.fetch import fetch
from acp_agent.models.plain import UrlSource


async def download(url: str, part: Path) -> None:
    source = UrlSource(url)
    listing = await source.list()
    await fetch(source, listing, listing.files[0], part, lambda _: None)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while line := sys.stdin.readline():
        url, part = line.split()
        child = os.fork()
        if not child:
            anyio.run(download, url, Path(part))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
