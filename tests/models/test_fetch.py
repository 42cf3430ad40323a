"""Files brought from a hub on this machine by real HTTP, through all that interrupts them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from acp_agent.models.base import BLOCK, InstalledFile, InstallFailed, Interrupted, RemoteFile
from acp_agent.models.fetch import ask, fetch
from acp_agent.models.hashes import Hashes
from acp_agent.models.patience import Patience
from acp_agent.models.plain import UrlSource
from acp_agent.models.web import wait_asked
from tests.models.fetching import DATA, HASTE, NAME, REPO, Play, installed, playing
from tests.models.hub_server import ALWAYS, Fault

pytestmark = pytest.mark.anyio

SIZE = len(DATA)
ZEROS = "70ad09e2d656481c560afede293f158609e2badc4e4197bf7446a7b27df989b9"  # 33 blocks of them
CUT = "cannot fetch 'tiny.gguf': the connection to 127.0.0.1 broke"


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    with playing(tmp_path) as play:
        yield play


async def test_a_file_arrives_with_the_hashes_of_the_whole_and_its_blocks(play: Play) -> None:
    await play.arrives()
    assert play.hub.ranges() == [""]
    assert play.told == sorted(play.told)


async def test_a_file_that_is_there_is_hashed_and_not_fetched(play: Play) -> None:
    play.part.parent.mkdir()
    play.part.write_bytes(DATA)
    await play.arrives()
    assert play.hub.asked == []


async def test_an_empty_file_needs_no_connection(play: Play) -> None:
    assert await play.fetch(file=RemoteFile("none", 0)) == installed(b"", "none")
    assert play.hub.asked == []


async def test_a_file_is_gone_on_with_from_any_byte(play: Play) -> None:
    play.part.parent.mkdir()
    source, lengths = play.source(), [1, SIZE - 1, *random.Random(2).sample(range(SIZE), 18)]
    for length in lengths:
        play.part.write_bytes(DATA[:length])
        await play.arrives(source)
    assert play.hub.ranges() == [f"bytes={length}-" for length in lengths]


async def test_after_a_cut_only_the_rest_is_asked_for(play: Play) -> None:
    play.hub.faults = [Fault("store", after=70_001)]
    await play.arrives()
    assert play.hub.ranges() == ["", "bytes=70001-"]


async def test_as_long_as_something_comes_it_is_tried_again(play: Play) -> None:
    play.hub.faults = [Fault("store", after=300_000, times=9)]
    await play.arrives()
    assert len(play.hub.ranges()) == 10


async def test_when_nothing_comes_it_is_given_up_and_kept(play: Play) -> None:
    play.hub.faults = [Fault("store", after=5000), Fault("store", after=0, times=ALWAYS)]
    assert await play.refusal() == (
        f"{CUT}, 4 times in a row; try again later (what has come is kept)"
    )
    assert play.part.read_bytes() == DATA[:5000]


async def test_an_end_that_nobody_announced_is_a_cut(play: Play) -> None:
    play.hub.faults = [Fault("store", after=5000, chunked=True)]
    await play.arrives()
    assert play.hub.ranges() == ["", "bytes=5000-"]


async def test_a_server_without_ranges_sends_all_again(play: Play) -> None:
    play.hub.faults = [Fault("store", after=5000), Fault("store", whole=True)]
    await play.arrives()
    assert play.hub.ranges() == ["", "bytes=5000-"]


async def test_a_connection_that_falls_silent_is_made_anew(play: Play) -> None:
    play.hub.faults = [Fault("store", after=5000, then="stall")]
    await play.arrives(play.source(silent=0.2))
    assert play.hub.ranges() == ["", "bytes=5000-"]


async def test_a_slow_connection_is_not_broken_off(play: Play) -> None:
    play.hub.faults = [Fault("store", pace=0.01)]
    await play.arrives(play.source(silent=1))
    assert play.hub.ranges() == [""]
    assert len(play.told) > 3


@pytest.mark.parametrize("where", ["resolve", "store"])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_server_is_asked_again(play: Play, where: str, status: int) -> None:
    play.hub.faults = [Fault(where, status=status, headers={"Retry-After": "0"})]  # pyright: ignore[reportArgumentType] one of the two
    await play.arrives()


async def test_a_server_that_wants_a_long_pause_gets_it(play: Play) -> None:
    play.hub.faults = [Fault("resolve", status=429, headers={"Retry-After": "3600"})]
    assert await play.refusal() == (
        "cannot fetch 'tiny.gguf': 127.0.0.1 has had too many requests, and asks to wait 60"
        " minutes; try again then (what has come is kept)"
    )


async def test_an_address_whose_signature_expired_is_asked_for_again(play: Play) -> None:
    play.hub.faults = [Fault("store", after=5000), Fault("store", status=403, body=b"<Error/>")]
    await play.arrives()
    assert len(play.hub.ranges("resolve")) == 3


async def test_wrong_bytes_are_fetched_once_more(play: Play) -> None:
    play.hub.faults = [Fault("store", wrong=True)]
    await play.arrives()
    assert play.hub.ranges() == ["", ""]


async def test_a_part_that_rotted_is_begun_anew(play: Play) -> None:
    play.part.parent.mkdir()
    play.part.write_bytes(b"?" + DATA[1:5000])
    await play.arrives()
    assert play.hub.ranges() == ["bytes=5000-", ""]


async def test_a_part_of_something_larger_is_begun_anew(play: Play) -> None:
    play.part.parent.mkdir()
    play.part.write_bytes(DATA + b"?")
    await play.arrives()


async def test_bytes_that_stay_wrong_are_refused_and_not_kept(play: Play) -> None:
    play.hub.faults = [Fault("store", wrong=True, times=ALWAYS)]
    assert await play.refusal() == (
        "'tiny.gguf' came from hub:ggml-org/tiny-GGUF with wrong bytes, twice (its SHA-256 is not"
        f" {play.file.sha256[:12]}…); a proxy or a mirror may alter it, try another network or"
        " another source"
    )
    assert play.part.read_bytes() == b""


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            Fault("store", size=SIZE - 5),
            "'tiny.gguf' at 127.0.0.1 is another file now; install again (it has 2999995 bytes"
            " instead of 3000000)",
        ),
        (
            Fault("store", size=SIZE + 5, chunked=True),
            "hub:ggml-org/tiny-GGUF sends more than the 3000000 bytes of 'tiny.gguf'; it is"
            " another file now, install again",
        ),
        (
            Fault("store", packed=True),
            "127.0.0.1 sends 'tiny.gguf' packed (gzip), though it was asked not to; a proxy may do"
            " that, try another network or another source",
        ),
        (
            Fault("store", status=404),
            "127.0.0.1 has no 'tiny.gguf' (404); look at the address",
        ),
        (
            Fault("store", status=418),
            "127.0.0.1 answers 418 when asked for 'tiny.gguf'; use another source",
        ),
        (
            Fault("resolve", status=302, headers={"Location": "/again"}, times=ALWAYS),
            "127.0.0.1 sends on more than 8 times; use another source",
        ),
        (
            Fault("resolve", status=302, headers={"Location": "ftp://there/x"}),
            "127.0.0.1 sends on to ftp://; use another source",
        ),
    ],
    ids=["shorter", "longer", "packed", "missing", "odd", "loop", "ftp"],
)
async def test_what_another_try_would_not_mend_is_said_at_once(
    play: Play, fault: Fault, words: str
) -> None:
    fault.times, play.hub.faults = ALWAYS, [fault]
    if fault.chunked:
        fault.after = fault.size
        with (play.folder / NAME).open("ab") as file:
            file.write(b"more!")
    assert await play.refusal() == words
    assert len(play.hub.ranges()) <= 1


async def test_a_file_that_got_shorter_is_another_file(play: Play) -> None:
    play.hub.faults = [Fault("store", after=5000), Fault("store", size=4000)]
    assert await play.refusal() == (
        "'tiny.gguf' at 127.0.0.1 is another file now; install again (it ends before byte 5000)"
    )


async def test_a_cancel_keeps_what_has_come(play: Play) -> None:
    play.hub.faults = [Fault("store", after=1_500_000, then="stall")]
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:

            def tell(done: int) -> None:
                if done:
                    group.cancel_scope.cancel()

            group.start_soon(fetch, play.source(), play.listing, play.file, play.part, tell)
    kept = play.part.stat().st_size
    assert 0 < kept <= 1_500_000
    await play.arrives()
    assert play.hub.ranges()[-1] == f"bytes={kept}-"


async def test_a_file_of_gigabytes_is_gone_on_with_beyond_what_32_bits_count(
    play: Play, tmp_path: Path
) -> None:
    size, there = 33 * BLOCK, 33 * BLOCK - 5_000_000  # 2.2 GB, and all but 5 MB of it
    with (play.folder / "large.gguf").open("wb") as file:
        file.truncate(size)
    with (tmp_path / "large.part").open("wb") as file:
        file.truncate(there)
    source = UrlSource(f"{play.hub.endpoint}/{REPO}/resolve/main/large.gguf")
    listing = await source.list()
    found = await fetch(
        source, listing, listing.files[0], tmp_path / "large.part", play.told.append
    )
    zeros = Hashes()
    zeros.add(bytes(BLOCK))
    assert found == InstalledFile("large.gguf", size, ZEROS, zeros.installed("").blocks * 33)
    assert play.hub.ranges() == ["", f"bytes={there}-"]


async def test_asking_what_there_is_is_tried_again_too(play: Play) -> None:
    play.hub.faults = [Fault("api", status=503, times=2)]
    assert await ask(play.source(), patience=HASTE) == play.listing


async def test_asking_is_given_up_with_the_last_reason(play: Play) -> None:
    play.hub.faults = [Fault("api", status=503, times=ALWAYS)]
    with pytest.raises(InstallFailed) as caught:
        await ask(play.source(), patience=HASTE)
    assert play.said(caught.value) == (
        "cannot ask hub:ggml-org/tiny-GGUF: 127.0.0.1 cannot answer now (503), 4 times in a row;"
        " try again later"
    )


def test_pauses_double_up_to_a_limit_and_heed_the_server() -> None:
    patience = Patience(first=1, longest=10, jitter=lambda: 1.0)
    error, asking = Interrupted("busy"), Interrupted("busy", wait=30)
    assert [patience.pause(n, error, "") for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert patience.pause(1, asking, "") == 30
    assert Patience(first=8, jitter=lambda: 0.0).pause(1, error, "") == 4


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 60.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "²"}, None),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"ratelimit": '"api";r=9;t=55'}, None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_asked(headers, now=lambda: 1445412420.0) == seconds
