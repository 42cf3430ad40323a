"""One block of a file fetched anew, into its place and only if it is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from acp_agent.models.base import BLOCK, InstalledFile, InstallFailed, Listing
from acp_agent.models.fetch import fetch_block
from acp_agent.models.plain import PathSource
from tests.models.fetching import DATA, HASTE, NAME, Play, installed, playing
from tests.models.hub_server import ALWAYS, Fault

pytestmark = pytest.mark.anyio
LAST = b"the last bytes of a large file"
AT = 70 * BLOCK  # 4.7 GB


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    with playing(tmp_path) as play:
        play.part.parent.mkdir()
        yield play


async def repair(play: Play, file: InstalledFile | None = None, index: int = 0) -> None:
    listing = Listing(play.listing.revision, ())
    file = file or installed(DATA)
    await fetch_block(play.source(), listing, file, index, play.part, patience=HASTE)


async def test_a_flipped_byte_is_mended(play: Play) -> None:
    play.part.write_bytes(DATA[:9] + b"?" + DATA[10:])
    await repair(play)
    assert play.part.read_bytes() == DATA


async def test_a_cut_in_the_block_is_gone_on_with(play: Play) -> None:
    play.hub.faults = [Fault("store", after=70_000)]
    await repair(play)
    assert play.part.read_bytes() == DATA
    assert play.hub.ranges() == ["", "bytes=70000-"]


async def test_a_missing_file_is_made(play: Play) -> None:
    play.part.parent.rmdir()
    await repair(play)
    assert play.part.read_bytes() == DATA


@pytest.mark.parametrize("left", [DATA[:9], DATA + b"more"], ids=["short", "long"])
async def test_a_file_gets_the_length_it_must_have(play: Play, left: bytes) -> None:
    play.part.write_bytes(left)
    await repair(play)
    assert play.part.read_bytes() == DATA


async def test_wrong_bytes_are_not_written_and_fetched_once_more(play: Play) -> None:
    play.part.write_bytes(b"damaged")
    play.hub.faults = [Fault("store", wrong=True)]
    await repair(play)
    assert play.part.read_bytes() == DATA


async def test_a_source_that_has_something_else_now_changes_nothing(play: Play) -> None:
    play.part.write_bytes(b"damaged")
    play.hub.faults = [Fault("store", wrong=True, times=ALWAYS)]
    with pytest.raises(InstallFailed) as caught:
        await repair(play)
    assert play.said(caught.value) == (
        "hub:ggml-org/tiny-GGUF has other bytes in block 0 of 'tiny.gguf' than were installed;"
        " remove the model and install it again"
    )
    assert play.part.read_bytes() == b"damaged"


async def test_a_source_that_is_gone_is_said(play: Play) -> None:
    play.hub.faults = [Fault("store", status=503, times=ALWAYS)]
    with pytest.raises(InstallFailed, match=r"^cannot repair 'tiny.gguf': 127.0.0.1 cannot answer"):
        await repair(play)
    assert not play.part.exists()


async def test_only_that_block_is_fetched_beyond_four_gigabytes(play: Play) -> None:
    large = play.folder / "large.gguf"
    for path in (large, play.part):
        with path.open("wb") as file:
            file.truncate(AT + len(LAST))
    with large.open("r+b") as file:
        file.seek(AT)
        file.write(LAST)
    manifest = InstalledFile("large.gguf", AT + len(LAST), "", ("",) * 70 + (_digest(LAST),))
    await repair(play, manifest, 70)
    with play.part.open("rb") as file:
        file.seek(AT)
        assert file.read() == LAST
    assert play.part.stat().st_blocks < 1000  # nothing else was written
    assert play.hub.ranges() == [f"bytes={AT}-"]


async def test_a_block_in_the_middle_of_a_file_is_read_no_further(play: Play) -> None:
    source = PathSource(play.folder)
    with (play.folder / NAME).open("ab") as file:
        file.truncate(3 * BLOCK)
    manifest = replace(installed(bytes(2 * BLOCK)), size=3 * BLOCK, path=NAME)
    await fetch_block(source, Listing("", ()), manifest, 1, play.part)
    assert play.part.stat().st_size == 3 * BLOCK


async def test_a_disk_that_takes_nothing_is_said(play: Play) -> None:
    play.part.parent.rmdir()
    play.part.parent.touch()
    with pytest.raises(InstallFailed) as caught:
        await repair(play)
    assert play.said(caught.value) == ("cannot write '…': File exists; mend that and try again")


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
