"""Where the ranks come from, and what happens when a source is broken."""

from __future__ import annotations

import base64
import hashlib
import logging
import lzma
import struct
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from acp_agent.errors import VocabularyError
from acp_agent.harmony.ranks import (
    FILE_NAME,
    PACKAGED,
    RANKS,
    SHA256,
    ranks_directory,
    ranks_from_gguf,
)

NOWHERE = Path("/nonexistent/ranks.xz")


def string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def pair(key: bytes, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def strings(values: Iterable[bytes]) -> bytes:
    packed = [string(value) for value in values]
    return struct.pack("<IQ", 8, len(packed)) + b"".join(packed)


def gguf(*pairs: bytes, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, 0, len(pairs)) + b"".join(pairs)


def architecture(name: bytes) -> bytes:
    return pair(b"general.architecture", 8, string(name))


def letters() -> dict[int, str]:
    """Spell bytes as GPT-2 does: printable ones as themselves, others from U+0100 on."""
    shown = {b: chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 256))}
    others = [b for b in range(256) if b not in shown]
    return shown | {b: chr(256 + i) for i, b in enumerate(others)}


@pytest.fixture(scope="module")
def ranks() -> bytes:
    return lzma.decompress(PACKAGED.read_bytes())


@pytest.fixture(scope="module")
def gpt_oss(ranks: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the header of a gpt-oss GGUF: all tokens, the special ones after them, no weights."""
    spelling = letters()
    tokens = [
        "".join(spelling[byte] for byte in base64.b64decode(line.split()[0])).encode()
        for line in ranks.splitlines()
    ]
    path = tmp_path_factory.mktemp("gguf") / "gpt-oss.gguf"
    path.write_bytes(
        gguf(
            architecture(b"gpt-oss"),
            pair(b"gpt-oss.block_count", 4, struct.pack("<I", 24)),
            pair(b"general.tags", 9, strings([b"text-generation"])),
            pair(b"gpt-oss.numbers", 9, struct.pack("<IQ3f", 6, 3, 1.0, 2.0, 3.0)),
            pair(b"tokenizer.ggml.tokens", 9, strings([*tokens, b"<|startoftext|>"])),
        )
    )
    return path


def test_the_packaged_ranks_have_the_published_digest(ranks: bytes) -> None:
    assert hashlib.sha256(ranks).hexdigest() == SHA256
    assert len(ranks.splitlines()) == RANKS


def test_a_gguf_gives_the_published_file_byte_for_byte(gpt_oss: Path, ranks: bytes) -> None:
    assert ranks_from_gguf(gpt_oss) == ranks


def test_the_cache_is_filled_once_and_then_used(tmp_path: Path, ranks: bytes) -> None:
    with ranks_directory(lambda: tmp_path) as first:
        assert (first / FILE_NAME).read_bytes() == ranks
    with ranks_directory(lambda: tmp_path, packaged=NOWHERE) as second:
        assert second == first == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_gguf_fills_the_cache_where_the_package_has_no_ranks(
    tmp_path: Path, gpt_oss: Path, ranks: bytes
) -> None:
    with ranks_directory(lambda: tmp_path, gpt_oss, NOWHERE) as directory:
        assert (directory / FILE_NAME).read_bytes() == ranks


@pytest.mark.parametrize("content", [b"", b"YQ== 0\n", b"\xff" * 5000])
def test_a_corrupt_cache_file_is_replaced(
    tmp_path: Path, content: bytes, ranks: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with caplog.at_level(logging.WARNING), ranks_directory(lambda: tmp_path) as directory:
        assert (directory / FILE_NAME).read_bytes() == ranks
    assert "it is replaced" in caplog.text


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path, ranks: bytes) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with ranks_directory(lambda: blocked / "vocabulary") as directory:
        assert (directory / FILE_NAME).read_bytes() == ranks
    assert not directory.exists()


def test_a_cache_directory_that_cannot_be_made_is_no_obstacle(ranks: bytes) -> None:
    def refuse() -> Path:
        raise PermissionError("no home")

    with ranks_directory(refuse) as directory:
        assert (directory / FILE_NAME).read_bytes() == ranks


def test_two_that_fill_the_cache_at_once_both_get_it(tmp_path: Path, ranks: bytes) -> None:
    seen: list[bytes] = []
    together = threading.Barrier(4)

    def fill() -> None:
        together.wait(5)
        with ranks_directory(lambda: tmp_path) as directory:
            seen.append((directory / FILE_NAME).read_bytes())

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [ranks] * 4
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


BROKEN = {
    "empty": (b"", "empty"),
    "no gguf": (b"\x7fELF" + bytes(100), "not a GGUF file"),
    "version 1": (gguf(version=1), "GGUF version 1"),
    "big endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "GGUF version"),
    "another model": (gguf(architecture(b"llama")), "'llama', not gpt-oss"),
    "architecture of another type": (
        gguf(pair(b"general.architecture", 4, bytes(4))),
        "architecture ''",
    ),
    "no tokens": (gguf(architecture(b"gptoss")), "no tokenizer.ggml.tokens"),
    "tokens of numbers": (
        gguf(pair(b"tokenizer.ggml.tokens", 9, struct.pack("<IQ", 4, 0))),
        "not strings",
    ),
    "cut in a string": (gguf(architecture(b"gpt-oss"))[:-3], "cut off"),
    "cut in a number": (gguf(architecture(b"gpt-oss"))[:20], "buffer"),
    "an absurd length": (gguf(string(b"key") + struct.pack("<IQ", 8, 2**63)), "cut off"),
    "an absurd count": (gguf(pair(b"k", 9, struct.pack("<IQ", 10, 2**62)), bytes(9)), "cut off"),
    "an unknown type": (gguf(pair(b"k", 99, bytes(8))), "type 99"),
    "too few tokens": (gguf(pair(b"tokenizer.ggml.tokens", 9, strings([b"a"]))), "wrong sha256"),
    "tokens not byte-level": (
        gguf(pair(b"tokenizer.ggml.tokens", 9, strings(["▁a".encode()]))),
        "not byte-level",
    ),
    "tokens not utf-8": (
        gguf(pair(b"tokenizer.ggml.tokens", 9, strings([b"\xff"]))),
        "not byte-level",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_gguf_of_no_use_says_why(name: str, tmp_path: Path) -> None:
    content, reason = BROKEN[name]
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(VocabularyError) as caught:
        ranks_from_gguf(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_gguf_of_no_use_falls_through_to_the_package_with_a_reason(
    tmp_path: Path, ranks: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    missing = tmp_path / "missing.gguf"
    with caplog.at_level(logging.WARNING):
        with ranks_directory(lambda: tmp_path / "cache", missing) as directory:
            assert (directory / FILE_NAME).read_bytes() == ranks
    assert "missing.gguf" in caplog.text
    assert "the packaged vocabulary is used" in caplog.text


@pytest.mark.parametrize("content", [None, b"not xz", lzma.compress(b"other ranks")])
def test_without_any_source_the_error_names_each(tmp_path: Path, content: bytes | None) -> None:
    packaged = tmp_path / "packaged.xz"
    if content is not None:
        packaged.write_bytes(content)
    with pytest.raises(VocabularyError) as caught:
        with ranks_directory(lambda: tmp_path / "cache", tmp_path / "no.gguf", packaged):
            pass
    assert "no.gguf" in str(caught.value)
    assert "packaged.xz" in str(caught.value)
    assert "GPT_OSS_GGUF_MODEL_PATH" in str(caught.value)
