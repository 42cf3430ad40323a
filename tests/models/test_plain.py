"""Files of this machine and of the web as sources, and proxies on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from acp_agent.models.base import InstallFailed, Interrupted, Listing, RemoteFile, Source
from acp_agent.models.origin import Origin
from acp_agent.models.plain import PathSource, UrlSource
from tests.models.fetching import DATA, NAME, REPO, Play, installed, playing
from tests.models.hub_server import ALWAYS, Fault

pytestmark = pytest.mark.anyio
PLACE = f"{REPO}/resolve/main/{NAME}"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with playing(tmp_path) as play:
        yield play


async def refusal(play: Play, source: Source) -> str:
    with pytest.raises(InstallFailed) as caught:
        await source.list()
    return play.said(caught.value).replace(str(play.folder), "…")


async def test_a_file_of_this_machine_is_a_model_of_one_file(play: Play) -> None:
    source = PathSource(play.folder / NAME)
    assert await source.list() == Listing("", (RemoteFile(NAME, len(DATA)),))
    play.part.parent.mkdir()
    play.part.write_bytes(DATA[:9])
    await play.arrives(source)


async def test_a_folder_is_a_model_of_all_that_is_not_hidden(play: Play) -> None:
    for name in ("sub/a.json", ".git/config", "sub/.hidden"):
        (play.folder / name).parent.mkdir(exist_ok=True)
        (play.folder / name).write_bytes(b"{}")
    (play.folder / "linked").symlink_to("sub/a.json")
    source = PathSource(play.folder)
    assert (await source.list()).files == (
        RemoteFile("linked", 2),
        RemoteFile("sub/a.json", 2),
        RemoteFile(NAME, len(DATA)),
    )
    found = await play.fetch(source, RemoteFile("sub/a.json", 2))
    assert found == installed(b"{}", "sub/a.json")


async def test_a_path_without_files_is_refused(play: Play, tmp_path: Path) -> None:
    assert await refusal(play, PathSource(play.folder / "none")) == (
        "cannot read '…/none': No such file or directory; mend that or name another"
    )
    (play.folder / NAME).unlink()
    assert await refusal(play, PathSource(play.folder)) == (
        "there is no file in '…'; name another folder"
    )


@pytest.mark.parametrize("now", [DATA[:-1], b""], ids=["shorter", "empty"])
async def test_a_file_that_shrinks_while_it_is_copied_is_refused(play: Play, now: bytes) -> None:
    (play.folder / NAME).write_bytes(now)
    words = await play.refusal(PathSource(play.folder / NAME))
    assert words.endswith("tiny.gguf' changed while it was copied; install again")


async def test_a_file_that_vanishes_is_named(play: Play) -> None:
    (play.folder / NAME).unlink()
    words = await play.refusal(PathSource(play.folder / NAME))
    assert words.endswith("tiny.gguf': No such file or directory; mend that or name another")


async def test_a_file_of_the_web_is_a_model_of_one_file(play: Play) -> None:
    source = UrlSource(f"{play.hub.endpoint}/{PLACE}?download=true", play.file.sha256)
    listing = await source.list()
    assert listing == Listing(f'"{play.file.sha256}"', (play.file,))
    assert play.said(Exception(source.name)) == f"url:http://hub/{PLACE}"
    play.hub.faults = [Fault("store", after=5000)]
    await play.arrives(source, listing)
    assert play.hub.ranges() == ["", "", "bytes=5000-"]


async def test_a_file_that_changes_meanwhile_is_noticed(play: Play) -> None:
    source = UrlSource(f"{play.hub.endpoint}/{PLACE}")
    listing = await source.list()
    play.part.parent.mkdir()
    play.part.write_bytes(DATA[:9])
    (play.folder / NAME).write_bytes(DATA[::-1])
    with pytest.raises(InstallFailed, match=r"is another file now; install again$"):
        async with source.read(listing, play.file, 9):
            pass


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("{}/" + REPO + "/resolve/main/none", "127.0.0.1 has no 'none' (404); look at the address"),
        ("{}/", "'http://hub/' names no file; give the address of the file itself"),
        ("http://a:b/c", "'http://a:b/c' is no address: Invalid port: 'b'; mend it"),
        (
            "models/x.gguf",
            "'models/x.gguf' is no address on the web; it must begin with https://",
        ),
    ],
    ids=["missing", "nameless", "no address", "no scheme"],
)
async def test_an_address_that_is_wrong_is_named(play: Play, url: str, words: str) -> None:
    assert await refusal(play, UrlSource(url.format(play.hub.endpoint))) == words


async def test_a_file_of_unknown_size_is_refused(play: Play) -> None:
    play.hub.faults = [Fault("store", chunked=True)]
    assert await refusal(play, UrlSource(f"{play.hub.endpoint}/{PLACE}")) == (
        "127.0.0.1 does not say how large 'tiny.gguf' is; download it by other means and name the"
        " file"
    )


async def test_a_name_and_password_in_an_address_are_not_shown(play: Play) -> None:
    source = UrlSource("http://me:secret@127.0.0.1:9/x.gguf?key=secret")
    assert source.name == "url:http://127.0.0.1:9/x.gguf"
    assert str(Origin("url", "http://me:secret@h:x/y.gguf#secret")) == "url:http://h:x/y.gguf"
    with pytest.raises(Interrupted) as caught:
        await source.list()
    assert "secret" not in str(caught.value)


async def test_a_proxy_of_the_environment_is_used_for_other_hosts(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", play.hub.endpoint)
    (play.folder / "config.json").write_bytes(b"{}")
    source = UrlSource(f"http://models.invalid/{REPO}/resolve/main/config.json")
    listing = await source.list()
    found = await play.fetch(source, listing.files[0], listing)
    assert found == installed(b"{}", "config.json")
    assert {asked.path.partition("/ggml-org")[0] for asked in play.hub.asked} == {
        "http://models.invalid",
        "http://models.invalid/api/resolve-cache/models",
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_proxy_stands_before_this_machine(
    play: Play, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    source = UrlSource(f"{play.hub.endpoint.replace('127.0.0.1', host)}/{PLACE}")
    await play.arrives(source, await source.list())


async def test_a_host_can_be_excepted_from_the_proxy(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", play.hub.endpoint)
    monkeypatch.setenv("NO_PROXY", "models.invalid")
    with pytest.raises(Interrupted, match=r"^cannot reach models.invalid \("):
        await UrlSource("http://models.invalid/x.gguf").list()
    assert play.hub.asked == []


async def test_a_proxy_that_lets_nothing_through_is_named(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", play.hub.endpoint)
    play.hub.faults = [Fault("resolve", status=407, times=ALWAYS)]
    with pytest.raises(Interrupted) as caught:
        await UrlSource("https://models.invalid/x.gguf").list()
    assert play.said(caught.value) == (
        "the proxy gives no way to models.invalid (501 Unsupported method ('CONNECT')); look at"
        " HTTPS_PROXY and NO_PROXY"
    )
