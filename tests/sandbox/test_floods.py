"""Attempts to use up the machine from inside a sandbox: each meets its limit."""

from __future__ import annotations

import sys

import pytest

from tests.sandbox.boxes import SMALL, Box, Ground, box, limited

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="these sandboxes are Linux's"),
]


async def test_a_fork_bomb_runs_into_its_limit(small: Box) -> None:
    if any("number of processes" in note for note in small.confined.notes):
        pytest.skip("root without a control group: nothing bounds the number of processes")
    output = await small.python("""
import os, time
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except OSError:
    pass
print("forked", count, flush=True)
os._exit(0)
""")
    assert 0 < int(output.split()[-1]) <= SMALL.processes


async def test_a_process_gets_no_more_memory_than_its_limit(small: Box) -> None:
    output = await small.python(f"""
try:
    held = bytearray({SMALL.memory} << 20)
    print("HELD")
except MemoryError:
    print("denied")
""")
    assert output == "denied\n"


async def test_many_processes_together_get_no_more_memory(small: Box) -> None:
    if any("memory is bounded" in note for note in small.confined.notes):
        pytest.skip("without a control group memory is bounded for each process only")
    output = await small.python("""
import os, time
for _ in range(4):
    if os.fork() == 0:
        held = b"x" * (100 << 20)
        time.sleep(60)
ended = [os.wait()[1] for _ in range(2)]
print("ended by", ended)
""")
    assert "ended by [9" in output or output == ""


async def test_a_process_gets_no_more_files_than_its_limit(jail: Box) -> None:
    output = await jail.python("""
import os
try:
    for count in range(100_000):
        os.dup(0)
except OSError as error:
    print(count < 5000, error.errno)
""")
    assert output == "True 24\n"


async def test_a_file_gets_no_larger_than_its_limit(small: Box) -> None:
    status, _ = await small.run("head -c 20M /dev/zero > big")
    assert status != 0
    assert (small.ground.work / "big").stat().st_size <= SMALL.scratch << 20
    status, _ = await small.run("head -c 20M /dev/zero > $TMPDIR/big")
    assert status != 0


async def test_shared_memory_is_bounded(where: Ground) -> None:
    async with box("bubblewrap", where, limited(where)) as jail:
        command = "for i in 1 2 3; do head -c 10M /dev/zero > /dev/shm/$i || exit 9; done"
        status, output = await jail.run(command)
        assert (status, "No space left" in output) == (9, True)
