"""Downloads that are killed, and disks that are full: what is left, and how it goes on."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from acp_agent.models.base import InstallFailed
from acp_agent.models.plain import UrlSource
from tests.engine.waiting import until
from tests.models.fetching import DATA, REPO, Play, installed, playing
from tests.models.hub_server import ALWAYS, Fault

pytestmark = pytest.mark.anyio
KILLS, LARGE = 20, 80_000_000
ROOM = 1 << 20


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    with playing(tmp_path) as play:
        yield play


@contextmanager
def downloads() -> Generator[Callable[[str], int]]:
    """Give what begins a download in a process of its own, and returns its id."""
    command = [sys.executable, "-m", "tests.models.downloads"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        asks, answers = process.stdin, process.stdout
        assert asks is not None
        assert answers is not None

        def begin(line: str) -> int:
            asks.write(line + "\n")
            asks.flush()
            return int(answers.readline())

        yield begin
        asks.close()


async def test_a_download_that_is_killed_twenty_times_is_whole_in_the_end(play: Play) -> None:
    chance = random.Random(3)
    data = chance.randbytes(LARGE)
    (play.folder / "large.gguf").write_bytes(data)
    play.hub.faults = [Fault("store", pace=0.001, times=ALWAYS)]
    url, kept = f"{play.hub.endpoint}/{REPO}/resolve/main/large.gguf", [0]
    with downloads() as begin:
        for _ in range(KILLS):
            goal = kept[-1] + chance.randrange(1, 500_000)

            async def has_come(goal: int = goal) -> bool:
                return play.part.exists() and play.part.stat().st_size >= goal

            child = begin(f"{url} {play.part}")
            await until(has_come)
            os.kill(child, signal.SIGKILL)
            kept.append(play.part.stat().st_size)
    assert kept == sorted(set(kept))
    assert kept[-1] < LARGE  # so each came in the middle
    assert play.part.read_bytes() == data[: kept[-1]]
    play.hub.faults = []
    source = UrlSource(url)
    listing = await source.list()
    found = await play.fetch(source, listing.files[0], listing)
    assert found == installed(data, "large.gguf")
    assert play.part.read_bytes() == data
    assert play.hub.ranges()[-1] == f"bytes={kept[-1]}-"


@contextmanager
def no_room_beyond(size: int) -> Generator[None]:
    """Let no file of this process grow beyond `size`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_file_that_may_not_grow_is_gone_on_with_later(play: Play) -> None:
    with no_room_beyond(1_234_567):
        words = await play.refusal()
    assert words.startswith("no room for '…/tiny.part' (File too large): 1.8 MB more are needed, ")
    assert words.endswith(" are free; make room and install again, what has come is kept")
    assert play.part.stat().st_size == 1_234_567
    await play.arrives()
    assert play.hub.ranges()[-1] == "bytes=1234567-"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 1 MiB, where one can be mounted."""
    place, mount = tmp_path / "small", shutil.which("mount")
    place.mkdir()
    command = [str(mount), "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)]
    if not mount or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here (that takes root)")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


async def test_a_full_disk_is_told_with_numbers_and_gone_on_with(
    play: Play, small_disk: Path
) -> None:
    play.part = small_disk / "tiny.part"
    assert await play.refusal() == (
        "no room for '…/tiny.part': 2.0 MB more are needed, 0.0 MB are free; make room and install"
        " again, what has come is kept"
    )
    assert play.part.read_bytes() == DATA[:ROOM]
    await anyio.run_process(["mount", "-o", "remount,size=8m", str(small_disk)])
    await play.arrives()
    assert play.hub.ranges() == ["", f"bytes={ROOM}-"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_must_not_be_written_is_named(play: Play) -> None:
    play.part.parent.mkdir(mode=0o500)
    assert await play.refusal() == (
        "cannot write '…/tiny.part': Permission denied; mend that and try again"
    )


async def test_a_folder_that_is_a_file_is_named(play: Play) -> None:
    play.part.parent.touch()
    with pytest.raises(InstallFailed):
        await play.fetch()
    assert await play.refusal() == "cannot write '…': File exists; mend that and try again"
