"""What a container may use, each limit run into for real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from acp_agent.sandbox.base import Limits

if TYPE_CHECKING:
    from tests.sandbox.conftest import Box, OpenBox

pytestmark = pytest.mark.anyio


async def test_memory_is_limited_and_the_hog_alone_is_killed(box: Box) -> None:
    hog = (
        "held = []\nwhile True:\n"
        "  held.append(bytearray(8 << 20))\n  print(len(held) * 8, flush=True)"
    )
    written, status = await box.run("python3", "-c", hog)
    assert status == -9
    assert 150 < int(written.split()[-1]) <= 256
    assert await box.run("echo", "still here") == ("still here\n", 0)


async def test_processes_are_limited_and_a_fork_bomb_is_cleared_away(box: Box) -> None:
    bomb = (
        "import os, time\nmade = 0\n"
        "try:\n  while True:\n    if os.fork() == 0: time.sleep(600)\n    made += 1\n"
        "except OSError as error: print(made, error)"
    )
    written = await box.python(bomb)
    assert "Resource temporarily unavailable" in written
    assert int(written.split()[0]) < 64
    assert await box.run("echo", "room again") == ("room again\n", 0)
    assert await processes(box) == 3


async def test_a_fork_bomb_that_goes_on_is_ended_with_its_block(box: Box) -> None:
    bomb = "import os\nprint(1, flush=True)\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    with anyio.fail_after(40):
        async with box.sandbox.start(["python3", "-c", bomb], cwd=box.workspace, env={}) as program:
            assert await anext(program.output) == b"1\n"
    assert await box.run("echo", "room again") == ("room again\n", 0)
    assert await processes(box) == 3


async def test_processor_time_is_limited(open_box: OpenBox) -> None:
    measure = (
        "import os, time\nstart = time.time()\nwhile time.time() < start + 1.5: pass\n"
        "print(sum(os.times()[:2]) / (time.time() - start))"
    )
    async with open_box(Limits(memory=256, processes=64, cpus=0.3, scratch=16)) as box:
        assert 0.1 < float(await box.python(measure)) < 0.5


async def test_more_processors_than_there_are_is_no_error(open_box: OpenBox) -> None:
    async with open_box(Limits(memory=64, cpus=4096)) as box:
        assert await box.run("true") == ("", 0)


@pytest.mark.parametrize("place", ["/tmp", "/mnt/data"])
async def test_scratch_space_is_limited(box: Box, place: str) -> None:
    flood = f"open('{place}/flood', 'wb').write(bytes(32 << 20))"
    assert "No space left on device" in await box.python(flood)
    assert await box.python(f"open('{place}/small', 'w').write('x'); print('ok')") == "ok\n"


@pytest.mark.parametrize("place", ["/tmp", "/mnt/data", "/dev/shm"])
async def test_the_number_of_files_is_limited(box: Box, place: str) -> None:
    flood = f"for n in range(100_000): open(f'{place}/{{n}}', 'w').close()"
    assert "No space left on device" in await box.python(flood)
    assert await box.run("echo", "still here") == ("still here\n", 0)


async def test_a_file_in_the_workspace_gets_no_larger_than_its_limit(open_box: OpenBox) -> None:
    async with open_box(Limits(memory=128, file=4)) as box:
        assert "File too large" in await box.python("open('big', 'wb').write(bytes(8 << 20))")
        assert (box.workspace / "big").stat().st_size == 4 << 20


async def test_open_files_are_limited(box: Box) -> None:
    flood = "held = []\nwhile True: held.append(open('/dev/null'))"
    assert "Too many open files" in await box.python(flood)


async def test_nothing_but_scratch_and_workspace_can_be_written(box: Box) -> None:
    code = (
        "import os\nfor top, _, _ in os.walk('/'):\n"
        "  if top.startswith(('/proc', '/sys')): continue\n"
        "  try: open(top + '/.try', 'w').close(); print(top)\n  except OSError: pass"
    )
    places = {
        place
        for place in (await box.python(code)).split()
        if not place.startswith(("/dev/shm", "/dev/mqueue"))
    }
    assert places == {"/tmp", "/mnt/data", str(box.workspace)}


async def processes(box: Box) -> int:
    """Return how many processes there are: init, the keeper, and the one that counts."""
    code = "import os; print(sum(name.isdigit() for name in os.listdir('/proc')))"
    return int(await box.python(code))
