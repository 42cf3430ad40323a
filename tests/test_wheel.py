"""The wheel: built from the checkout, installed into an empty environment, and run from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from acp_agent import __version__
from acp_agent.client import LocalHost, open_client
from acp_agent.engine.home import EngineHome
from acp_agent.voices import NANO_LABEL

ROOT = Path(__file__).parents[1]
INFO = f"gpt_oss_acp-{__version__}.dist-info"
PATIENCE = 60


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must succeed, and return what it said."""
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [built] = folder.iterdir()
    return built


@dataclass(frozen=True)
class Installation:
    """An environment with the wheel in it, and what its programs find around them."""

    bin: Path
    env: dict[str, str]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Install the wheel into an environment that sees what it needs, and not the checkout."""
    base = tmp_path_factory.mktemp("installation")
    venv.create(base / "venv", symlinks=True)
    scripts = base / "venv" / "bin"
    packages = Path(
        run(
            scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
        ).strip()
    )
    # A line of a .pth file is a directory to look in; .pth files in there, such as the one that
    # leads to the checkout, are not followed.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", wheel)
    (base / "home").mkdir()
    (base / "tmp").mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(base / "home"), "TMPDIR": str(base / "tmp")}
    yield Installation(scripts, env | {"ACP_AGENT_ENGINE_LINGER_SECS": "1"})
    for path in (base / "tmp").glob("acp-agent-*/engine-*"):
        if state := EngineHome(path).read():
            with suppress(ProcessLookupError):  # it ends by itself as well
                os.kill(state.pid, signal.SIGTERM)


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"acp_agent", INFO}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".gguf")]


def test_wheel_holds_every_file_that_the_package_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {path.relative_to(ROOT) for path in (ROOT / "acp_agent").rglob("*") if path.is_file()}
    schemas = {path.relative_to(ROOT) for path in (ROOT / "schemas").rglob("*") if path.is_file()}
    code = {str(path) for path in package if "__pycache__" not in path.parts}
    assert code | {f"acp_agent/{path}" for path in schemas} <= names
    assert {
        "acp_agent/engine/nano.bin.xz",
        "acp_agent/engine/smollm2.txt",
        "acp_agent/harmony/o200k_base.tiktoken.xz",
        "acp_agent/harmony/instructions.md",
        "acp_agent/tools/apply_patch.md",
        "acp_agent/schemas/acp/schema.v1.json",
        "acp_agent/py.typed",
        f"{INFO}/licenses/LICENSE",
        f"{INFO}/licenses/NOTICE",
    } <= names


def test_wheel_offers_both_names_of_the_program(wheel: Path) -> None:
    points = zipfile.ZipFile(wheel).read(f"{INFO}/entry_points.txt").decode()
    assert "acp-agent = acp_agent.__main__:main" in points
    assert "gpt-oss-acp = acp_agent.__main__:main" in points


def test_installed_package_is_the_one_that_runs(installed: Installation, tmp_path: Path) -> None:
    where = run(
        installed.bin / "python", "-c", "import acp_agent; print(acp_agent.__file__)", cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(installed.bin.parent)
    assert run(installed.bin / "gpt-oss-acp", "--version") == f"acp-agent {__version__}\n"


@pytest.mark.anyio
async def test_installed_agent_answers_in_an_empty_home(
    installed: Installation, tmp_path: Path
) -> None:
    said: list[str] = []

    def listen(update: dict[str, object]) -> None:
        if update["sessionUpdate"] == "agent_message_chunk":
            said.append(json.dumps(update["content"]))

    command = [str(installed.bin / "acp-agent"), "serve", "--demo"]
    with anyio.fail_after(PATIENCE):
        async with open_client(
            command, LocalHost(tmp_path), env=installed.env, cwd=tmp_path
        ) as client:
            session = await client.new_session(tmp_path)
            assert await session.prompt("hello", listen) == "end_turn"
    answer = "".join(json.loads(content)["text"] for content in said)
    assert answer.startswith(f"{NANO_LABEL}Hello! I am nano")
    assert list(tmp_path.iterdir()) == []
