"""What the Hub says of a repository, asked by the real huggingface_hub, and all its refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from acp_agent.models.base import InstallFailed, Interrupted, RemoteFile
from acp_agent.models.hub import HubSource
from tests.models.fetching import DATA, NAME, REPO, Play, installed, playing
from tests.models.hub_server import ALWAYS, Fault

pytestmark = pytest.mark.anyio
NETWORK_FREE = "http://127.0.0.1:9"


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    with playing(tmp_path) as play:
        yield play


async def refusal(play: Play, source: HubSource) -> str:
    with pytest.raises(InstallFailed) as caught:
        await source.list()
    return play.said(caught.value)


async def test_a_listing_has_sizes_and_hashes_and_pins_the_commit(play: Play) -> None:
    assert await play.source().list() == play.listing


async def test_files_are_picked_by_patterns_through_folders_and_pages(play: Play) -> None:
    play.hub.page = 2
    (play.folder / "mlx").mkdir()
    for name in ("config.json", "mlx/model-00001-of-00002.safetensors", "README.md", "z.bin"):
        (play.folder / name).write_bytes(b"{}")
    source = HubSource(REPO, ["*.safetensors", "*.json", "config.json"], environ=play.environ)
    assert (await source.list()).files == (
        RemoteFile("config.json", 2),
        RemoteFile("mlx/model-00001-of-00002.safetensors", 2),
    )
    assert sum(asked.where == "api" for asked in play.hub.asked) == 1 + 3


async def test_a_revision_that_is_named_is_the_one_that_is_read(play: Play) -> None:
    play.hub.repos[REPO].revisions = ("main", "refs/pr/1")
    source = HubSource(REPO, [NAME], "refs/pr/1", environ=play.environ)
    assert await source.list() == play.listing


async def test_small_files_come_from_the_hub_itself(play: Play) -> None:
    (play.folder / "config.json").write_bytes(b"{}")
    source = HubSource(REPO, ["config.json"], environ=play.environ)
    (file,) = (await source.list()).files
    assert await play.fetch(source, file) == installed(b"{}", "config.json")


async def test_names_with_odd_characters_are_found(play: Play) -> None:
    (play.folder / "ä b#c?d%.gguf").write_bytes(DATA)
    source = HubSource(REPO, ["ä*"], environ=play.environ)
    (file,) = (await source.list()).files
    assert await play.fetch(source, file) == installed(DATA, "ä b#c?d%.gguf")


async def test_the_token_is_for_the_hub_and_never_for_its_store(play: Play) -> None:
    source = play.source()
    await source.list()
    play.hub.faults = [Fault("store", after=10)]
    await play.fetch(source)
    assert {(asked.where, asked.token) for asked in play.hub.asked} == {
        ("api", "hf_known"),
        ("resolve", "hf_known"),
        ("store", ""),
    }


async def test_a_private_repository_is_read_with_its_token(play: Play) -> None:
    play.hub.repos[REPO].token = "hf_known"
    await play.arrives()


@pytest.mark.parametrize(
    ("repo", "revision", "words"),
    [
        (
            "ggml-org/none",
            "main",
            "http://hub has no repository 'ggml-org/none' that you may see; look at its name",
        ),
        (
            REPO,
            "v2",
            "'ggml-org/tiny-GGUF' has no revision 'v2' at http://hub; name another",
        ),
        ("a/b/c", "main", "'a/b/c' is no name of a repository; write owner/name"),
        ("", "main", "'' is no name of a repository; write owner/name"),
    ],
)
async def test_what_is_not_there_is_named(play: Play, repo: str, revision: str, words: str) -> None:
    assert await refusal(play, HubSource(repo, ["*"], revision, environ=play.environ)) == words


async def test_a_pattern_without_a_file_is_answered_with_the_files(play: Play) -> None:
    source = HubSource(REPO, ["*.bin"], environ=play.environ)
    assert await refusal(play, source) == (
        "'ggml-org/tiny-GGUF' has no file like '*.bin' at 'main'; it has tiny.gguf"
    )


async def test_a_file_that_was_taken_away_is_named(play: Play) -> None:
    (play.folder / NAME).unlink()
    assert await play.refusal() == (
        "'ggml-org/tiny-GGUF' has no file 'tiny.gguf'; look at its list of files"
    )


async def test_a_gated_repository_says_where_its_terms_are(play: Play) -> None:
    play.hub.repos[REPO].gated = True
    assert await play.refusal() == (
        "'ggml-org/tiny-GGUF' is for those who accept its terms: do that at"
        " http://hub/ggml-org/tiny-GGUF, then log in with a token that may read it (hf auth login)"
        " or set HF_TOKEN"
    )


async def test_a_token_that_nobody_knows_is_told_from_a_missing_model(play: Play) -> None:
    source = HubSource(REPO, [NAME], environ={**play.environ, "HF_TOKEN": "hf_old"})
    assert await refusal(play, source) == (
        "http://hub does not know your token; log in with a token that may read it (hf auth login)"
        " or set HF_TOKEN"
    )


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            Fault("api", status=200, body=b"<html>sign in</html>"),
            "what answers at http://hub is no hub (JSONDecodeError); look at HF_ENDPOINT, your"
            " network and its sign-in page",
        ),
        (
            Fault("api", status=200, body=b"{}"),
            "what answers at http://hub is no hub (KeyError); look at HF_ENDPOINT, your network"
            " and its sign-in page",
        ),
        (
            Fault("api", status=403),
            "http://hub does not let you read 'ggml-org/tiny-GGUF'; log in with a token that may"
            " read it (hf auth login) or set HF_TOKEN",
        ),
        (
            Fault(
                "api",
                status=403,
                headers={"X-Error-Message": "Access to this resource is disabled."},
            ),
            "'ggml-org/tiny-GGUF' was taken down at http://hub; use another source",
        ),
        (
            Fault("api", status=418),
            "http://hub answers 418 for 'ggml-org/tiny-GGUF'; use another source",
        ),
    ],
    ids=["portal", "empty", "forbidden", "disabled", "odd"],
)
async def test_other_refusals_are_sentences(play: Play, fault: Fault, words: str) -> None:
    fault.times, play.hub.faults = ALWAYS, [fault]
    assert await refusal(play, play.source()) == words


@pytest.mark.parametrize(
    ("headers", "wait"), [({"Retry-After": "7"}, 7.0), ({"RateLimit": '"api";r=0;t=55'}, 55.0)]
)
async def test_a_hub_that_is_busy_is_worth_another_try(
    play: Play, headers: dict[str, str], wait: float
) -> None:
    play.hub.faults = [Fault("api", status=429, headers=headers)]
    with pytest.raises(Interrupted, match=r"^127\.0\.0\.1 has had too many requests$") as caught:
        await play.source().list()
    assert caught.value.wait == wait


async def test_a_hub_that_is_not_there_is_worth_another_try(play: Play) -> None:
    source = HubSource(REPO, [NAME], environ={"HF_ENDPOINT": NETWORK_FREE, "HF_TOKEN": "x"})
    with pytest.raises(Interrupted, match=r"^cannot reach http://127.0.0.1:9 \("):
        await source.list()
    with pytest.raises(Interrupted, match=r"^cannot reach 127.0.0.1 \("):
        async with source.read(play.listing, play.file, 0):
            pass


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (
            {"HF_ENDPOINT": "huggingface.co"},
            "HF_ENDPOINT must be an address that begins with https://, not 'huggingface.co'",
        ),
        (
            {"HF_TOKEN": "hf_ä"},
            "HF_TOKEN, or the stored token, has characters that no token has",
        ),
    ],
)
async def test_a_setting_that_is_wrong_is_named(
    play: Play, environ: dict[str, str], words: str
) -> None:
    source = HubSource(REPO, [NAME], environ={**play.environ, **environ})
    assert await refusal(play, source) == words


async def test_a_name_that_leads_out_of_the_folder_is_refused(play: Play) -> None:
    tree = [{"type": "file", "oid": "0" * 40, "size": 9, "path": "../../.bashrc"}]
    info = {"id": REPO, "sha": play.listing.revision}
    play.hub.faults = [Fault("api", status=200, body=json.dumps(v).encode()) for v in (info, tree)]
    source = HubSource(REPO, ["*"], environ=play.environ)
    assert await refusal(play, source) == (
        "'ggml-org/tiny-GGUF' lists '../../.bashrc', which is no safe name of a file"
    )


async def test_a_cancel_does_not_wait_for_a_silent_hub(play: Play) -> None:
    source = play.source()
    async with source.read(play.listing, play.file, 0):
        pass  # the package is loaded
    play.hub.faults = [Fault("api", after=0)]
    with anyio.fail_after(5):
        with anyio.move_on_after(0.2) as scope:
            await source.list()
    assert scope.cancelled_caught


ASK = f"""
import anyio
from acp_agent.models.base import InstallFailed
from acp_agent.models.hub import HubSource
try:
    print(anyio.run(HubSource({REPO!r}, ["*.gguf"]).list).revision, end="")
except InstallFailed as error:
    print(error, end="")
"""


def in_process(play: Play, home: Path, **environ: str) -> str:
    """Return what a process with this environment gets; the package reads it when imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    kept |= {"HF_HOME": str(home), "HF_ENDPOINT": play.hub.endpoint, **environ}
    command = [sys.executable, "-c", ASK]
    said = subprocess.run(command, env=kept, capture_output=True, text=True, check=True, timeout=60)
    assert said.stderr == ""
    return play.said(Exception(said.stdout))


def test_the_token_that_was_stored_is_used(play: Play, tmp_path: Path) -> None:
    play.hub.repos[REPO].token = "hf_known"
    (tmp_path / "token").write_text("hf_known\n")
    assert in_process(play, tmp_path) == play.listing.revision


def test_without_a_token_a_private_repository_asks_for_one(play: Play, tmp_path: Path) -> None:
    play.hub.repos[REPO].token = "hf_known"
    assert in_process(play, tmp_path) == (
        "http://hub has no repository 'ggml-org/tiny-GGUF' that you may see; look at its name; if"
        " it is private, log in (hf auth login) or set HF_TOKEN"
    )


def test_offline_the_hub_is_not_asked(play: Play, tmp_path: Path) -> None:
    assert in_process(play, tmp_path, HF_HUB_OFFLINE="1") == (
        "the hub is not asked while HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set; unset it to"
        " download models"
    )
    assert play.hub.asked == []
