"""Installing into the store: whole or not at all, resumed, shared, and refused with a reason."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import anyio
import jsonschema
import pytest

from acp_agent.models.base import InstalledFile, InstallFailed
from acp_agent.models.install import Wish, install
from acp_agent.models.manifest import Manifest
from acp_agent.models.origin import Origin
from acp_agent.models.store import Standing, Store
from tests.models.shelf import ACCEPTED, ENTRY, PIECE, Heard, Memory, begin, gguf, put, tiny

pytestmark = pytest.mark.anyio

SCHEMA = Path(__file__).parents[2] / "schemas" / "records" / "model_manifest.schema.json"
PARTS = {f"gpt-oss-120b-0000{i}-of-00003.gguf": gguf(size=100_000 * i) for i in (1, 2, 3)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


async def test_an_installed_model_is_ready_and_its_manifest_says_what_it_is(store: Store) -> None:
    data = gguf()
    manifest = await put(store, tiny())
    digest = sha256(data).hexdigest()
    assert manifest == Manifest(
        "gpt-oss-tiny",
        ENTRY.origin,
        "c0ffee",
        manifest.place,
        (InstalledFile("gpt-oss-tiny.gguf", len(data), digest, (digest,)),),
        manifest.installed,
        "gguf",
        "gpt-oss",
        ACCEPTED,
    )
    assert store.standing("gpt-oss-tiny") == Standing("gpt-oss-tiny", "ready", "", manifest)
    weights = store.weights(manifest)
    assert weights is not None
    assert weights.read_bytes() == data
    written = json.loads((store.folder("gpt-oss-tiny") / "manifest.json").read_text())
    jsonschema.validate(written, json.loads(SCHEMA.read_text()))


async def test_what_is_installed_is_not_asked_for_again(store: Store) -> None:
    source = tiny()
    manifest = await put(store, source)
    served = source.served
    assert await put(store, source) == manifest
    assert source.served == served
    assert len(source.opened) == 1


async def test_an_install_that_ends_in_mid_file_is_no_model_and_goes_on_from_there(
    store: Store,
) -> None:
    source, heard = tiny(), Heard()
    size = len(source.files["gpt-oss-tiny.gguf"])
    await begin(store, source, 3 * PIECE, heard)
    standing = store.standing("gpt-oss-tiny")
    assert (standing.state, standing.manifest) == ("partial", None)
    assert heard.sizes == [size]
    await put(store, source, heard=heard)
    assert store.standing("gpt-oss-tiny").state == "ready"
    assert heard.sizes == [size, size - standing.done]


async def test_of_several_files_those_that_are_done_are_not_fetched_again(store: Store) -> None:
    source = Memory(PARTS)
    await begin(store, source, len(PARTS["gpt-oss-120b-00001-of-00003.gguf"]) + 3 * PIECE)
    source.served = 0
    manifest = await put(store, source)
    assert [file.path for file in manifest.files] == list(PARTS)
    assert source.served < sum(map(len, PARTS.values()))
    weights = store.weights(manifest)
    assert weights is not None
    assert weights.name == "gpt-oss-120b-00001-of-00003.gguf"


async def test_an_install_goes_on_with_the_revision_that_it_began(store: Store) -> None:
    source = tiny()
    await begin(store, source, 2 * PIECE)
    await put(store, source)
    assert source.opened == [ENTRY.origin, replace(ENTRY.origin, revision="c0ffee")]


async def test_two_installers_at_once_download_once_and_both_end_well(store: Store) -> None:
    source, first, second = tiny(), Heard(), Heard()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(put, store, source, ENTRY, first)
            group.start_soon(put, store, source, ENTRY, second)
    assert store.standing("gpt-oss-tiny").state == "ready"
    assert first.waited + second.waited == 1
    assert source.served < 2 * len(source.files["gpt-oss-tiny.gguf"])


async def test_an_update_takes_the_newest_revision_and_leaves_the_old_until_then(
    store: Store,
) -> None:
    old = await put(store, tiny())
    newer = Memory({"gpt-oss-tiny.gguf": gguf(size=300_000)}, revision="decaf")
    new = await install(store, Wish(ENTRY, ACCEPTED, update=True), newer.open, Heard().ears())
    assert (new.revision, new.size > old.size) == ("decaf", True)
    assert store.place(old).is_dir()
    assert store.standing("gpt-oss-tiny") == Standing("gpt-oss-tiny", "ready", "", new)


async def test_a_broken_manifest_is_made_anew_without_a_download(store: Store) -> None:
    source = tiny()
    manifest = await put(store, source)
    (store.folder("gpt-oss-tiny") / "manifest.json").write_text("{")
    assert store.standing("gpt-oss-tiny").why == "its manifest is not JSON"
    source.served, heard = 0, Heard()
    again = await put(store, source, heard=heard)
    assert replace(again, installed=manifest.installed) == manifest
    assert heard.sizes == [0]


async def test_a_manifest_of_a_newer_version_is_left_alone(store: Store) -> None:
    source = tiny()
    await put(store, source)
    path = store.folder("gpt-oss-tiny") / "manifest.json"
    path.write_text('{"format": 2}')
    with pytest.raises(InstallFailed, match=r"newer acp-agent .format 2, this one knows 1"):
        await put(store, source)
    assert path.read_text() == '{"format": 2}'


async def test_a_name_that_is_taken_by_another_source_is_refused(store: Store) -> None:
    await put(store, tiny())
    other = replace(ENTRY, origin=Origin("url", "https://a.org/m.gguf?key=secret"))
    with pytest.raises(InstallFailed, match="installed already, from hub:me/tiny") as caught:
        await put(store, tiny(), other)
    assert "--name" in str(caught.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "hub:me/tiny has no *.gguf"),
        ({"../x.gguf": gguf()}, "offers a file '../x.gguf', which cannot be kept here"),
        ({"/etc/x.gguf": gguf()}, "which cannot be kept here"),
        ({"a//x.gguf": gguf()}, "which cannot be kept here"),
        # It would be taken for the beginning of another.
        ({"x.gguf.part": gguf()}, "which cannot be kept here"),
        ({"a.gguf": gguf(), "b.gguf": gguf()}, "has 2 models; name one of these files: a.gguf"),
        ({"a.gguf": b"<html>"}, "a.gguf of memory:model is no model: it is not a GGUF file"),
        ({"a.gguf": b""}, "it is cut off"),
        ({"a.gguf": gguf("llama")}, "a model of architecture 'llama', not 'gpt-oss'"),
        ({"a.txt": b"hello"}, "has no GGUF file"),
    ],
)
async def test_what_is_no_model_is_refused_before_it_is_downloaded(
    store: Store, files: dict[str, bytes], message: str
) -> None:
    with pytest.raises(InstallFailed, match=re.escape(message)):
        await put(store, Memory(files))
    assert store.standing("gpt-oss-tiny").state == "absent"


async def test_notes_that_cannot_be_written_get_a_sentence(store: Store) -> None:
    (store.folder("gpt-oss-tiny") / "draft.json").mkdir(parents=True)
    with pytest.raises(InstallFailed, match=r"cannot write .*; mend that and install again"):
        await put(store, tiny())


async def test_what_is_wrong_is_known_until_the_manifest_is_another(store: Store) -> None:
    manifest = await put(store, tiny())
    store.record_damage(manifest.name, ["it is broken"])
    in_the_way = store.folder(manifest.name) / f".manifest.json.{os.getpid()}"
    in_the_way.mkdir()
    with pytest.raises(OSError, match="directory"):
        store.commit(manifest)
    assert store.standing(manifest.name).state == "damaged"


async def test_a_full_disk_is_seen_before_anything_is_downloaded(store: Store) -> None:
    source = tiny()
    there = await source.list()
    source.listing = replace(there, files=(replace(there.files[0], size=1 << 60),))
    with pytest.raises(InstallFailed, match=r"free, and .* are needed .* and a tenth to spare"):
        await put(store, source)
    assert source.served == 0


@pytest.mark.parametrize("where", ["file", "below a file", "read-only"])
async def test_a_store_that_cannot_be_written_gets_a_sentence(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "locked").mkdir(mode=0o500)
    place = {"file": "file", "below a file": "file/models", "read-only": "locked"}[where]
    if where == "read-only" and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    with pytest.raises(InstallFailed, match=r"models cannot be kept in .*XDG_DATA_HOME"):
        await put(Store(tmp_path / place), tiny())
    assert (tmp_path / "file").read_text() == "mine"
