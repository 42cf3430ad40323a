"""How models stand, what their manifests may be, verifying, repairing, adopting, clearing away."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.backends.endpoint import Endpoint
from acp_agent.backends.llama_server import LlamaServer
from acp_agent.config import Settings
from acp_agent.engine.locate import find_engine
from acp_agent.engine.models import installed_model
from acp_agent.engine.nano import ensure_nano
from acp_agent.models.adopt import adopt, name_for
from acp_agent.models.base import InstallFailed, Progress
from acp_agent.models.locking import if_free, is_held, locked, progress_of
from acp_agent.models.manifest import Manifest, ManifestBroken, parse
from acp_agent.models.meter import Meter
from acp_agent.models.origin import Origin, open_source
from acp_agent.models.repair import Mended, check, repair
from acp_agent.models.store import Store
from acp_agent.models.tidy import Leftover, leftovers, remove, sweep
from acp_agent.models.verify import Fault
from acp_agent.ports import Availability
from tests.models.shelf import ENTRY, PIECE, Heard, Memory, begin, gguf, put, tiny

pytestmark = pytest.mark.anyio

NAME = ENTRY.name
FILE = "gpt-oss-tiny.gguf"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


async def faults_of(store: Store, manifest: Manifest) -> list[Fault]:
    return await check(store, manifest, Heard().progress.append, lambda: None)


async def mended(store: Store, manifest: Manifest, source: Memory) -> Mended:
    return await repair(store, manifest, source.open, Heard().progress.append, lambda: None)


async def test_a_missing_file_a_wrong_size_and_wrong_bytes_are_told_apart(store: Store) -> None:
    manifest = await put(store, tiny())
    path = store.place(manifest) / FILE
    data = path.read_bytes()
    assert await faults_of(store, manifest) == []
    path.write_bytes(data[:-1])
    size = f"has {len(data) - 1} bytes instead of {len(data)}"
    assert await faults_of(store, manifest) == [Fault(FILE, "size", size, (0,))]
    path.write_bytes(b"X" + data[1:])
    text = "holds other bytes than it should in block 0 of 1"
    assert await faults_of(store, manifest) == [Fault(FILE, "bytes", text, (0,))]
    assert store.standing(NAME).why == f"{FILE} {text}"
    path.unlink()
    assert await faults_of(store, manifest) == [Fault(FILE, "missing", "is missing", (0,))]
    path.mkdir()
    assert [f.kind for f in await faults_of(store, manifest)] == ["unreadable"]


@pytest.mark.parametrize("harm", ["gone", "short", "long", "changed"])
async def test_repair_brings_back_what_was(store: Store, harm: str) -> None:
    source = tiny()
    manifest = await put(store, source)
    path, data = store.place(manifest) / FILE, source.files[FILE]
    harmed = {"short": data[:100], "long": data + b"more", "changed": data[:-1] + b"?"}
    path.unlink() if harm == "gone" else path.write_bytes(harmed[harm])
    await faults_of(store, manifest)
    assert store.standing(NAME).state == "damaged"
    fetched = (await mended(store, manifest, source)).fetched
    assert fetched == (0 if harm == "long" else len(data))
    assert path.read_bytes() == data
    assert store.standing(NAME).state == "ready"
    assert source.opened[-1] == replace(ENTRY.origin, revision="c0ffee")


async def test_a_damaged_model_is_no_engines_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store = Store(tmp_path / "acp-agent" / "models")
    manifest = await put(store, tiny())
    weights = store.weights(manifest)
    assert installed_model() == weights
    assert installed_model("gpt-oss-20b") == weights
    await put(store, tiny(), replace(ENTRY, name="gpt-oss-other"))
    assert installed_model(NAME) == weights
    assert installed_model("gpt-oss-other") != weights
    await put(store, tiny(), replace(ENTRY, name="gpt-oss-mlx", format="mlx", architecture=""))
    store.record_damage(NAME, ["it is damaged"])
    assert installed_model(NAME) == installed_model("gpt-oss-other") != weights


async def test_a_source_with_other_bytes_repairs_nothing(store: Store) -> None:
    manifest = await put(store, tiny())
    (store.place(manifest) / FILE).unlink()
    with pytest.raises(InstallFailed, match="other bytes in block 0"):
        await mended(store, manifest, Memory({FILE: bytes(manifest.size)}))
    assert store.standing(NAME).state == "damaged"


async def test_a_manifest_reads_back_as_it_was_written(store: Store) -> None:
    manifest = await put(store, tiny())
    assert parse(manifest.as_json()) == manifest


GOOD = json.loads(
    Manifest("a", Origin("hub", "a/b"), "r", "p", (), "2026-01-01T00:00:00+00:00").as_json()
)
HASHED = {"path": "x", "size": 3, "sha256": "", "blocks": ["ab"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 1}, "name is no string"),
        ({"origin": None}, "'None' is no object"),
        ({"origin": {**GOOD["origin"], "kind": "ftp"}}, "origin of kind 'ftp'"),
        ({"files": {}}, "files is no list"),
        ({"files": [{**HASHED, "path": "../x"}]}, "file '../x'"),
        ({"files": [{**HASHED, "path": "/etc/x"}]}, "file '/etc/x'"),
        ({"files": [{**HASHED, "size": -1}]}, "file 'x'"),
        ({"files": [{**HASHED, "size": -1, "blocks": []}]}, "file 'x'"),
        ({"files": [{**HASHED, "size": True}]}, "file 'x'"),
        ({"files": [{**HASHED, "blocks": []}]}, "file 'x'"),
        ({"accepted": {"licence": "x"}}, "is damaged"),
        ({"place": "../../elsewhere"}, "place"),
        ({"format": 2}, "written by a newer acp-agent (format 2, this one knows 1)"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(change: dict[str, object], message: str) -> None:
    assert parse(json.dumps(GOOD)).name == "a"
    with pytest.raises(ManifestBroken, match=re.escape(message)):
        parse(json.dumps(GOOD | change))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(GOOD)), inner),
    )
)
def test_no_manifest_can_do_more_than_be_broken(value: object) -> None:
    merged = GOOD | cast("dict[str, object]", value) if isinstance(value, dict) else value
    with suppress(ManifestBroken):
        parse(json.dumps(merged))


def test_nothing_there_is_nothing_installed(tmp_path: Path) -> None:
    assert Store(tmp_path / "none").names() == []
    (tmp_path / "file").touch()
    assert Store(tmp_path / "file").names() == []
    assert Store(tmp_path).standing("a").state == "absent"


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_nano(cache=tmp_path_factory.mktemp("nano"))


async def test_a_file_of_the_users_is_adopted_where_it_lies_and_stays_when_it_is_removed(
    store: Store, nano: Path
) -> None:
    heard = Heard()
    manifest = await adopt(store, name_for(nano), nano, heard.progress.append, heard.wait)
    assert (manifest.architecture, manifest.size) == ("gpt-oss", nano.stat().st_size)
    assert store.weights(manifest) == nano
    assert store.standing(manifest.name).state == "ready"
    assert await faults_of(store, manifest) == []
    assert await leftovers(store, manifest.name) == []
    with pytest.raises(InstallFailed, match="is a file of yours"):
        open_source(manifest.origin, os.environ)
    await remove(store, manifest.name)
    assert nano.is_file()
    assert store.names() == []


async def test_a_split_model_is_adopted_whole_or_not(
    store: Store, nano: Path, tmp_path: Path
) -> None:
    for number in (1, 2):
        os.link(nano, tmp_path / f"gpt-oss-0000{number}-of-00002.gguf")
    second = tmp_path / "gpt-oss-00002-of-00002.gguf"
    manifest = await adopt(store, name_for(second), second, lambda _: None, lambda: None)
    assert (manifest.name, len(manifest.files)) == ("gpt-oss", 2)
    (tmp_path / "gpt-oss-00001-of-00002.gguf").unlink()
    with pytest.raises(InstallFailed, match="is one of 2 parts, and 1 lie beside it"):
        await adopt(store, "again", second, lambda _: None, lambda: None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a GGUF file"),
        (b"PK\3\4", "is not a GGUF file"),
        (b"GGUF", "is not adopted: no token table"),
        (gguf("llama"), "architecture 'llama', not gpt-oss"),
        (gguf(), "has no tokenizer.ggml.tokens"),
    ],
)
async def test_what_is_no_gpt_oss_is_not_adopted(
    store: Store, tmp_path: Path, data: bytes, message: str
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    with pytest.raises(InstallFailed, match=re.escape(message)):
        await adopt(store, "x", path, lambda _: None, lambda: None)
    assert store.names() == []


async def test_a_name_that_is_taken_is_not_adopted_over(store: Store, nano: Path) -> None:
    await put(store, tiny())
    with pytest.raises(InstallFailed, match="there already, from hub:me/tiny; give this one"):
        await adopt(store, NAME, nano, lambda _: None, lambda: None)


async def test_what_was_broken_off_is_a_leftover_and_goes(store: Store) -> None:
    await begin(store, tiny(), 2 * PIECE)
    (found,) = await leftovers(store, NAME)
    assert (found.path, found.what) == (store.folder(NAME), "an install that was broken off")
    assert await sweep(store, NAME) == [found]
    assert store.names() == []


async def test_an_installed_model_and_what_is_being_installed_are_no_leftovers(
    store: Store,
) -> None:
    await begin(store, tiny(), 2 * PIECE)
    async with if_free(store.lock_file(NAME)) as free:
        assert free
        assert is_held(store.lock_file(NAME))
        assert await sweep(store, NAME) == []
        with pytest.raises(InstallFailed, match="is being installed or verified now"):
            await remove(store, NAME)
    manifest = await put(store, tiny())
    part = store.place(manifest) / "other.gguf.part"
    part.write_bytes(b"12")
    assert await sweep(store, NAME) == [Leftover(part, "the beginning of a file", 2)]
    assert store.standing(NAME).state == "ready"


async def test_what_a_newer_version_wrote_is_neither_removed_nor_cleared(store: Store) -> None:
    await put(store, tiny())
    path = store.folder(NAME) / "manifest.json"
    path.write_text('{"format": 9}')
    assert await sweep(store, NAME) == []
    with pytest.raises(InstallFailed, match="is left as it is"):
        await remove(store, NAME)
    assert path.exists()


async def test_who_waits_reads_how_far_the_other_is(store: Store) -> None:
    source, seen = tiny(), list[Progress | None]()
    source.before_piece = lambda: seen.append(progress_of(store.lock_file(NAME)))
    with anyio.fail_after(10):
        await put(store, source)
    assert [progress.stage for progress in seen if progress][:1] == ["checking"]
    assert progress_of(store.lock_file(NAME)) is None


def test_rate_and_time_left_are_of_what_was_fetched_not_of_what_was_there() -> None:
    clock, told = iter([0.0, 1.0, 2.0, 3.0]), list[Progress]()
    meter = Meter("downloading", 1000, told.append, lambda: next(clock))
    meter.at(200, kept=400)
    meter.at(400, kept=400)
    meter.at(500, kept=400)
    meter.at(600, kept=400)
    assert told == [
        Progress("downloading", 200, 1000),
        Progress("downloading", 400, 1000),
        Progress("downloading", 500, 1000, 100.0, 5.0),
        Progress("downloading", 600, 1000, 100.0, 4.0),
    ]


async def test_a_model_that_another_process_installs_is_on_its_way(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acp_agent.engine.locate.USUAL", "http://127.0.0.1:9")
    engine = LlamaServer(partial(located, Settings()))
    assert (await engine.is_available()).state == "unavailable"
    store = Store(home.parent / "data" / "acp-agent" / "models")
    store.prepare()
    store.folder("gpt-oss-20b").mkdir()
    async with locked(store.lock_file("gpt-oss-20b"), lambda _: None, lambda: None) as tell:
        tell(Progress("downloading", 3_000, 12_000))
        assert await engine.is_available() == Availability(
            "downloading", "gpt-oss-20b is being installed by another process: 25%", 0.25
        )


async def located(settings: Settings) -> Endpoint:
    found = await find_engine(settings)
    raise AssertionError(found)
