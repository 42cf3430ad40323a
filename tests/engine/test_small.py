"""What `fm.backend` may name, and what is said of anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from acp_agent.backends.select import PROVIDERS, Selector
from acp_agent.engine.small import Gguf, Packaged, parse_small
from acp_agent.errors import ConfigError


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00")
    return path


def refusal(text: str) -> str:
    """Return the first half of the sentence; the second is the same for all."""
    with pytest.raises(ConfigError) as caught:
        parse_small(text)
    what, _, forms = str(caught.value).partition("; it may be ")
    assert forms == (
        f"'smollm2', the path of a GGUF file, or provider:model with one of {', '.join(PROVIDERS)}"
    )
    return what


def test_the_packaged_model_goes_by_its_name() -> None:
    assert parse_small("smollm2") == parse_small(" smollm2\n") == Packaged()


def test_a_path_is_a_gguf_file(gguf: Path) -> None:
    assert parse_small(str(gguf)) == Gguf(gguf)


def test_a_path_may_begin_at_home(home: Path, gguf: Path) -> None:
    gguf.rename(home / "small.gguf")
    assert parse_small("~/small.gguf") == Gguf(home / "small.gguf")


def test_a_name_that_ends_in_gguf_is_a_path(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(gguf.parent)
    assert parse_small("small.gguf") == Gguf(Path("small.gguf"))


def test_a_path_may_hold_a_colon(tmp_path: Path, gguf: Path) -> None:
    odd = tmp_path / "a:b.gguf"
    gguf.rename(odd)
    assert parse_small(str(odd)) == Gguf(odd)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("ollama:qwen3:4b", Selector("ollama", "qwen3:4b")),
        (
            "ollama:hf.co/Qwen/Qwen3-4B-GGUF:Q4_K_M",
            Selector("ollama", "hf.co/Qwen/Qwen3-4B-GGUF:Q4_K_M"),
        ),
        ("lmstudio:qwen3-4b.gguf", Selector("lmstudio", "qwen3-4b.gguf")),
        ("apple_fm", Selector("apple_fm", "")),
    ],
)
def test_a_known_provider_decides_whatever_its_model_is_called(
    text: str, selector: Selector
) -> None:
    assert parse_small(text) == selector


@pytest.mark.parametrize("text", ["", "qwen3", "olama:qwen3:4b", "SMOLLM2"])
def test_anything_else_is_refused(text: str) -> None:
    assert refusal(text) == f"fm.backend: {text!r} is no small model"


def test_a_provider_misspelt_before_a_path_is_refused() -> None:
    text = "olama:hf.co/Qwen/Qwen3-4B-GGUF"
    assert refusal(text) == f"fm.backend: {text!r} is no file that exists"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    text = str(tmp_path / "missing.gguf")
    assert refusal(text) == f"fm.backend: {text!r} is no file that exists"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert refusal(f"{tmp_path}/") == f"fm.backend: {f'{tmp_path}/'!r} is a directory"


@pytest.mark.parametrize("content", [b"", b"GGU", b"<!doctype html>"])
def test_a_file_of_another_kind_is_refused(gguf: Path, content: bytes) -> None:
    gguf.write_bytes(content)
    assert refusal(str(gguf)) == f"fm.backend: {str(gguf)!r} is not a GGUF file"


@pytest.mark.parametrize("text", ["~nobody-of-this-name/a.gguf", "/a\0b.gguf"])
def test_what_can_be_no_path_is_refused(text: str) -> None:
    assert refusal(text).startswith(f"fm.backend: {text!r} is no ")


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    text = str(tmp_path / ("x" * 300))
    assert refusal(text).startswith(f"fm.backend: {text!r} ")
