"""Loads a session as `session/load` does and forgets it; says by how much the process has grown.

`python -m tests.recording.loading FILE` prints the updates, the turns, and bytes of peak memory
above those before.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import anyio

from acp_agent.agent.stored import Asked
from acp_agent.protocol import jsonrpc
from acp_agent.protocol.agent import ClientCapabilities
from acp_agent.protocol.convert import Converter, user_chunk
from acp_agent.recording.store import StoredSession


def peak() -> int:
    """Return the most bytes that this process has held; macOS counts bytes, Linux kilobytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


async def load(path: Path) -> None:
    stored, converter, count = StoredSession(path), Converter(ClientCapabilities()), 0
    await anyio.to_thread.run_sync(int)  # the thread that reads is there
    before = peak()
    async for batch in stored.shown():
        for item in batch:
            asked = isinstance(item, Asked)
            for update in [user_chunk(item)] if asked else converter.updates(item):
                assert jsonrpc.notification("session/update", {"update": update})
                count += 1
    print(count, stored.recall.turns, peak() - before)  # noqa: T201  its result


if __name__ == "__main__":
    anyio.run(load, Path(sys.argv[1]))
