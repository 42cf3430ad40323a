"""What is seen of a disk that a program fills."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import anyio
import pytest

from acp_agent.sandbox.disk_guard import Floor, nearly_full
from acp_agent.tools.live import run_live

pytestmark = pytest.mark.anyio


async def ignore(_: object) -> None:
    pass


@pytest.mark.parametrize("what", ["bytes", "files"])
async def test_a_command_that_fills_the_disk_is_stopped(tmp_path: Path, what: str) -> None:
    disk = os.statvfs(tmp_path)
    if what == "files" and not disk.f_files:
        pytest.skip("this file system does not count files")
    free = disk.f_bavail * disk.f_frsize
    # Wide, for other tests take and give room meanwhile: too little before the start stops nothing.
    floor = Floor(free - (500 << 20), 0) if what == "bytes" else Floor(0, disk.f_favail - 20_000)
    flood = {
        "bytes": "head -c 4000M /dev/zero > flood; sleep 600",
        "files": "for n in $(seq 400000); do : > $n; done; sleep 600",
    }
    argv = ["/bin/sh", "-c", flood[what]]
    environ = {"PATH": os.environ["PATH"]}
    guard = partial(nearly_full, [tmp_path], floor)
    with anyio.fail_after(60):
        ended = await run_live("call-1", argv, str(tmp_path), environ, 60, ignore, guard=guard)
    assert f"[stopped: the disk of {str(tmp_path)!r} is nearly full]" in ended.output
    assert (ended.exit_code, ended.timed_out) == (None, False)


async def test_a_disk_that_was_full_before_stops_nothing(tmp_path: Path) -> None:
    with anyio.move_on_after(0.1) as limit:
        await nearly_full([tmp_path, tmp_path / "gone"], Floor(size=1 << 62))
    assert limit.cancelled_caught
